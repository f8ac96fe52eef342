import {
  type BarBatch,
  type BarSource,
  VarveError,
  barAt,
  dayNumber,
  dayOf,
  formatScaled,
  type Interval,
  type Layer,
  type SessionDate,
  DAY_MS,
} from '@varve/core'
import type { Reasons } from '@varve/layers'
import {
  type QueryKind,
  type RouteLabel,
  type RoutedQuery,
  createAdjustedReader,
  recordActions,
  routedReader,
} from '@varve/storage'
import type { Application } from '../openApplication.ts'
import { unknownSymbol } from './stages.ts'

export interface StatusReport {
  readonly asOf: SessionDate
  readonly dataDir: string
  readonly engine: string
  readonly symbols: { readonly active: number; readonly layers: Record<Layer, number> }
  readonly evaluatedOn: SessionDate | null
  readonly series: readonly {
    readonly interval: string
    readonly source: string
    readonly symbols: number
    readonly watermark: string | null
  }[]
  readonly storage: Awaited<ReturnType<Application['context']['bars']['stats']>>
  readonly quarantine: Readonly<Record<string, number>>
  readonly warnings: Readonly<Record<string, number>>
  readonly gaps: Readonly<Record<string, number>>
  readonly jobs: Readonly<Record<string, number>>
  readonly events: Readonly<Record<string, number>>
}

/** What the store holds. */
export async function status(app: Application): Promise<StatusReport> {
  const { context } = app
  const { sql } = context
  const companies = await sql.query<{ active: bigint; evaluated: string | null }>(
    'SELECT count(*) FILTER (WHERE is_active) AS active, max(evaluated_on) AS evaluated FROM companies',
  )
  const series = await sql.query<{
    interval: string
    source: string
    symbols: bigint
    watermark: Date | null
  }>(
    `SELECT s.interval, o.provider || '/' || o.feed AS source, count(*) AS symbols, max(w.archived_to) AS watermark
       FROM series s JOIN sources o ON o.id = s.source_id LEFT JOIN watermarks w ON w.interval = s.interval
      GROUP BY 1, 2 ORDER BY 1, 2`,
  )
  const counts = await context.quarantine.counts(sql)
  const byRule = (severity: 'error' | 'warning') =>
    Object.fromEntries(
      counts.filter((item) => item.severity === severity).map((item) => [item.rule, item.count]),
    )
  const events = await sql.query<{ type: string; count: bigint }>(
    'SELECT type, count(*) AS count FROM events GROUP BY 1 ORDER BY 1',
  )
  return {
    asOf: app.asOf,
    dataDir: app.locations.dataDir,
    engine: sql.engine,
    symbols: {
      active: Number(companies.rows[0]?.active ?? 0n),
      layers: await context.companies.countByLayer(sql),
    },
    evaluatedOn: companies.rows[0]?.evaluated ?? null,
    series: series.rows.map((row) => ({
      interval: row.interval,
      source: row.source,
      symbols: Number(row.symbols),
      watermark: row.watermark?.toISOString() ?? null,
    })),
    storage: await context.bars.stats(),
    quarantine: byRule('error'),
    warnings: byRule('warning'),
    gaps: await context.gaps.counts(sql),
    jobs: { ...(await context.jobs.counts('backfill')) },
    events: Object.fromEntries(events.rows.map((row) => [row.type, Number(row.count)])),
  }
}

export interface WhyReport {
  readonly symbol: string
  readonly name: string | null
  readonly active: boolean
  readonly layer: Layer | null
  readonly layerSince: SessionDate | null
  readonly evaluatedOn: SessionDate | null
  readonly liquidityScore: number | null
  readonly reasons: Reasons | null
  readonly held: readonly {
    readonly interval: string
    readonly source: string
    readonly from: string
    readonly to: string
    readonly state: string
  }[]
  readonly history: readonly { readonly type: string; readonly at: string; readonly data: unknown }[]
}

/**
 * Why a symbol is in its layer: value, threshold and margin of every criterion, what is held, and its history.
 *
 * @throws `SYMBOL_UNKNOWN`
 */
export async function why(app: Application, symbol: string): Promise<WhyReport> {
  const { context } = app
  const [company] = await context.companies.load(context.sql, [symbol])
  if (company === undefined) throw unknownSymbol([symbol])
  const coverage = await context.sql.query<{
    interval: string
    source: string
    from: string
    to: string
    state: string
  }>(
    `SELECT coalesce(interval, '') AS interval, source, from_date AS "from", to_date AS "to", state
       FROM coverage WHERE symbol = $1 ORDER BY 1, 2, 3`,
    [symbol],
  )
  const history = await context.events.readStream(`company:${symbol}`)
  return {
    symbol,
    name: company.name,
    active: company.active,
    layer: company.layer,
    layerSince: company.layerSince,
    evaluatedOn: company.evaluatedOn,
    liquidityScore: company.liquidityScore,
    reasons: company.reasons as Reasons | null,
    held: coverage.rows,
    history: history.map((event) => ({
      type: event.type,
      at: new Date(event.occurredAt).toISOString(),
      data: event.data,
    })),
  }
}

export interface BarsOptions {
  readonly symbol: string
  readonly interval: Interval
  readonly from?: SessionDate
  readonly to?: SessionDate
  /** Provider or `provider/feed`. */
  readonly source?: string
  /** Also gives rows that validation set aside, each with the rule that stopped it. */
  readonly includeSuspect?: boolean
  /** As the store knew them then, milliseconds UTC. */
  readonly knownAt?: number
  /** `hot`: Postgres alone. `cold`: the lake alone. @defaultValue 'both' */
  readonly tiers?: 'both' | 'hot' | 'cold'
  /** Answers with what Postgres holds when the lake cannot be read, and says so. @defaultValue false */
  readonly allowPartial?: boolean
  /** What the read is for; the router then chooses the tiers. @defaultValue both tiers, which is exact */
  readonly kind?: QueryKind
  /** Adjusts for corporate actions held of a source. @defaultValue as traded */
  readonly adjusted?: {
    readonly splits: boolean
    readonly dividends: boolean
    /** Observer's session; later actions do not apply and later bars are not shown. @defaultValue the application's */
    readonly asOf?: SessionDate
    /** Whose actions. @defaultValue the only source there is */
    readonly actions?: string
  }
}

/** Bars, and whether some are missing because the lake could not be read. */
export interface BarsReport {
  readonly rows: readonly BarRow[]
  /** Why rows are missing; only where that was allowed. */
  readonly partial?: string
  /** Actions that could not be applied, and why. */
  readonly warnings?: readonly string[]
  /** Where a routed answer came from. */
  readonly route?: RouteLabel
}

export interface BarRow {
  /** Session date for 1d, ISO instant otherwise. */
  readonly time: string
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  readonly volume: string | null
  /** `provider/feed`. */
  readonly source: string
  /** Rule that set the row aside; only on suspect rows. */
  readonly suspect?: string
}

/**
 * Bars of one symbol, oldest first, prices as exact decimal text.
 *
 * @throws `SYMBOL_UNKNOWN` when nothing was ever held of the symbol
 */
export async function bars(app: Application, options: BarsOptions): Promise<BarsReport> {
  const { context } = app
  const { symbol, interval } = options
  const start = (date: SessionDate) =>
    interval === '1d' ? dayNumber(date) * DAY_MS : context.calendar.midnightOf(date)
  const from = options.from === undefined ? -8.64e14 : start(options.from)
  const to = options.to === undefined ? 8.64e14 : start(dayOf(dayNumber(options.to) + 1))
  const rows: BarRow[] = []
  const [provider, ...feed] = options.source?.split('/') ?? []
  const source =
    provider === undefined
      ? undefined
      : feed.length === 0
        ? provider
        : await exactSource(app, provider, feed.join('/'))
  let partial: string | undefined
  let label: RouteLabel | undefined
  const warnings: string[] = []
  const { knownAt, tiers, allowPartial = false, adjusted, kind } = options
  const query: RoutedQuery = {
    interval,
    symbols: [symbol],
    from,
    to,
    source,
    knownAt,
    tiers,
    kind,
    onLakeFailure: allowPartial ? 'partial' : 'error',
  }
  const add = (batch: BarBatch, missing: { readonly cause: Error } | undefined) => {
    partial ??= missing?.cause.message
    for (let row = 0; row < batch.length; row++) {
      const bar = barAt(batch, row)
      rows.push({
        time: interval === '1d' ? dayOf(bar.time / DAY_MS) : new Date(bar.time).toISOString(),
        open: formatScaled(bar.open),
        high: formatScaled(bar.high),
        low: formatScaled(bar.low),
        close: formatScaled(bar.close),
        volume: formatScaled(bar.volume),
        source: `${batch.source.provider}/${batch.source.feed}`,
      })
    }
  }
  const reader =
    kind === undefined
      ? context.bars
      : routedReader(app.router, (found) => {
          label = found
        })
  if (adjusted === undefined) {
    for await (const batch of reader.read(query)) add(batch, batch.partial)
  } else {
    const { splits, dividends, asOf = app.asOf } = adjusted
    const actions = await actionsSource(app, symbol, adjusted.actions)
    const adjustedReader = createAdjustedReader({
      reader,
      loadActions: recordActions({ records: context.records, source: actions }),
    })
    for await (const found of adjustedReader.read(query, { splits, dividends, asOf, knownAt })) {
      add(found.bars, found.partial)
      for (const { symbol: of, reason, message } of found.warnings)
        warnings.push(`${of}: ${reason}: ${message}`)
    }
  }
  if (options.includeSuspect === true) rows.push(...(await suspectRows(app, options, from, to)))
  if (rows.length === 0) await refuseUnknown(app, symbol)
  rows.sort((a, b) => (a.time < b.time ? -1 : a.time > b.time ? 1 : 0))
  return {
    rows,
    ...(partial === undefined ? {} : { partial }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(label === undefined ? {} : { route: label }),
  }
}

/** Two sources that report one split would apply it twice, so exactly one counts. */
async function actionsSource(
  app: Application,
  symbol: string,
  wanted: string | undefined,
): Promise<BarSource> {
  const { rows } = await app.context.sql.query<BarSource>(
    'SELECT o.provider, o.feed, o.adjustment FROM record_sources r JOIN sources o ON o.id = r.source_id WHERE r.dataset = $1 ORDER BY 1, 2',
    ['corporate_actions'],
  )
  const fits = rows.filter(
    ({ provider, feed }) => wanted === undefined || wanted === provider || wanted === `${provider}/${feed}`,
  )
  if (fits.length === 1) return fits[0]!
  const names = rows.map(({ provider, feed }) => `${provider}/${feed}`)
  throw new VarveError(
    rows.length === 0
      ? `no corporate actions are held, so ${symbol} cannot be adjusted; import some with "varve import FILE --dataset corporate_actions"`
      : `corporate actions are held of ${names.join(', ')}; say whose count with --actions`,
    { code: 'OPTION_INVALID', details: { found: names } },
  )
}

async function exactSource(app: Application, provider: string, feed: string) {
  const { rows } = await app.context.sql.query<Pick<BarSource, 'adjustment'>>(
    'SELECT adjustment FROM sources WHERE provider = $1 AND feed = $2 ORDER BY id LIMIT 1',
    [provider, feed],
  )
  return { provider, feed, adjustment: rows[0]?.adjustment ?? ('raw' as const) }
}

async function suspectRows(
  app: Application,
  options: BarsOptions,
  from: number,
  to: number,
): Promise<BarRow[]> {
  const text = (value: bigint | null) => (value === null ? null : formatScaled(value))
  const found = await app.context.quarantine.load(app.context.sql, {
    symbols: [options.symbol],
    dataType: 'bars',
    interval: options.interval,
    severity: 'error',
  })
  return found
    .filter((row) => row.time !== null && row.time >= from && row.time < to)
    .map((row) => ({
      time: options.interval === '1d' ? dayOf(row.time! / DAY_MS) : new Date(row.time!).toISOString(),
      open: text(row.open),
      high: text(row.high),
      low: text(row.low),
      close: text(row.close),
      volume: text(row.volume),
      source: row.source === null ? row.origin : `${row.source.provider}/${row.source.feed}`,
      suspect: row.rule,
    }))
}

async function refuseUnknown(app: Application, symbol: string): Promise<void> {
  const { rows } = await app.context.sql.query(
    'SELECT 1 FROM companies WHERE symbol = $1 UNION ALL SELECT 1 FROM series WHERE symbol = $1 UNION ALL SELECT 1 FROM quarantine WHERE symbol = $1 LIMIT 1',
    [symbol],
  )
  if (rows.length === 0) throw unknownSymbol([symbol])
}

/** A symbol worth looking at: the most liquid of the highest layer. */
export async function exampleSymbol(app: Application): Promise<string | undefined> {
  const { rows } = await app.context.sql.query<{ symbol: string }>(
    `SELECT symbol FROM companies WHERE layer0_qualified
      ORDER BY layer3_qualified DESC, layer2_qualified DESC, layer1_qualified DESC, liquidity_score DESC NULLS LAST, symbol LIMIT 1`,
  )
  return rows[0]?.symbol
}
