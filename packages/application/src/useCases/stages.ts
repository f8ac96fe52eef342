import { addDays, type DateRange, isVarveError, type Layer, type SessionDate, VarveError } from '@varve/core'
import {
  type BackfillWish,
  buildReport,
  depthStart,
  dispatch,
  drainBackfills,
  healGaps,
  needsOf,
  refreshDaily,
  refreshListing,
  requestBackfills,
  planRetention,
  retainBars,
  type RetainResult,
  type RetentionMove,
  type RunReport,
  scanUniverse,
  detectGaps,
  Tally,
} from '@varve/pipeline'
import type { RecordRetentionReport } from '@varve/storage'
import { lookbackSessions } from '@varve/layers'
import type { Application } from '../openApplication.ts'
import { refuseOlderSession } from './run.ts'

/** Lists, refreshes and judges, without fetching what the changes ask for. */
export async function scan(
  app: Application,
  options: { readonly confirm?: boolean; readonly signal?: AbortSignal } = {},
): Promise<RunReport> {
  const { context, asOf } = app
  const startedMs = context.clock.monotonicMs()
  await refuseOlderSession(app)
  const tally = new Tally()
  await refreshListing(context, asOf, options.signal)
  await refreshDaily(context, asOf, tally, options.signal)
  await scanUniverse(context, asOf, tally, options)
  return buildReport(context, { asOf, tally, startedMs })
}

export interface BackfillOptions {
  /** Symbols by name, or every symbol of a layer and above. One of the two. */
  readonly symbols?: readonly string[]
  readonly layer?: Layer
  /** Days back from the session; without it each layer's policy. */
  readonly days?: number
  readonly signal?: AbortSignal
}

/**
 * Fetches history on purpose, besides what events ask for.
 *
 * @throws `SYMBOL_UNKNOWN` naming every symbol that is no company
 */
export async function backfill(app: Application, options: BackfillOptions): Promise<RunReport> {
  const { context, asOf } = app
  const startedMs = context.clock.monotonicMs()
  const tally = new Tally()
  const companies = await context.companies.load(context.sql, options.symbols)
  const unknown = (options.symbols ?? []).filter(
    (symbol) => !companies.some((company) => company.symbol === symbol),
  )
  if (unknown.length > 0) throw unknownSymbol(unknown)
  const chosen = companies.filter(
    (company) => options.layer === undefined || (company.layer ?? -1) >= options.layer,
  )
  const wishes: BackfillWish[] = chosen.flatMap(({ symbol, layer }) =>
    needsOf(context.retention, layer ?? 0).flatMap((need) => {
      const served = context.provider?.capabilities.bars.some((entry) => entry.interval === need.interval)
      if (need.dataType !== 'bars' || need.interval === null || served !== true) return []
      const range: DateRange = {
        from:
          options.days === undefined
            ? depthStart(need, asOf, lookbackSessions(context.universe), context.calendar)
            : addDays(asOf, -options.days),
        to: asOf,
      }
      const causationId = `command|${asOf}|${range.from}`
      const job = {
        symbol,
        dataType: 'bars' as const,
        interval: need.interval,
        ...range,
        layer,
        sessions: [],
        causationId,
      }
      return [
        {
          job: { ...job, reason: options.days === undefined ? ('layer' as const) : ('range' as const) },
          priority: 'high' as const,
          requestedBy: 'user' as const,
          metadata: { days: options.days ?? null },
        },
      ]
    }),
  )
  await context.sql.tx((tx) => requestBackfills(context, tx, wishes, asOf, tally))
  await dispatch(context, tally, options.signal)
  await drainBackfills(context, asOf, tally, options.signal)
  return buildReport(context, { asOf, tally, startedMs })
}

/** Looks for gaps in everything held; with `heal`, fetches what is missing where there is a provider to ask. */
export async function gaps(
  app: Application,
  options: { readonly heal: boolean; readonly signal?: AbortSignal },
): Promise<RunReport> {
  const { context, asOf } = app
  const startedMs = context.clock.monotonicMs()
  const tally = new Tally()
  if (options.heal) {
    await healGaps(context, asOf, tally, options.signal)
    return buildReport(context, { asOf, tally, startedMs })
  }
  const { rows } = await context.sql.query<{
    interval: string
    provider: string
    feed: string
    adjustment: string
  }>(
    'SELECT DISTINCT s.interval, o.provider, o.feed, o.adjustment FROM series s JOIN sources o ON o.id = s.source_id ORDER BY 1, 2, 3, 4',
  )
  for (const { interval, ...source } of rows) {
    await detectGaps(
      context,
      {
        interval: interval as Parameters<typeof detectGaps>[1]['interval'],
        source: source as Parameters<typeof detectGaps>[1]['source'],
        asOf,
        heal: source.provider !== 'import',
      },
      tally,
    )
  }
  return buildReport(context, { asOf, tally, startedMs })
}

/** What retention moves, per interval, layer and source, and what came of it; nothing comes of a dry run. */
export interface RetentionReport {
  readonly asOf: SessionDate
  readonly dryRun: boolean
  readonly moves: readonly RetentionMove[]
  /** The same of news, corporate actions and the like. */
  readonly records: readonly RecordRetentionReport[]
  readonly intervals: readonly RetainResult[]
}

/** Applies the retention policy as of the session, or only says what it would do. */
export async function retention(
  app: Application,
  options: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
): Promise<RetentionReport> {
  await refuseOlderSession(app)
  const { signal, dryRun = false } = options
  const { bars: moves, records } = await planRetention(app.context, app.asOf, { signal })
  const intervals = dryRun ? [] : await retainBars(app.context, app.asOf, { signal })
  return { asOf: app.asOf, dryRun, moves, records, intervals }
}

export function unknownSymbol(symbols: readonly string[]): VarveError {
  return new VarveError(
    `unknown symbol${symbols.length === 1 ? '' : 's'}: ${symbols.join(', ')}; symbols are case-sensitive, as the exchange writes them (BRK.B)`,
    { code: 'SYMBOL_UNKNOWN', details: { symbols } },
  )
}

/** Whether an error means that the user's input was wrong rather than that something broke. */
export function isUsageError(error: unknown): boolean {
  return isVarveError(error) && !error.retryable
}
