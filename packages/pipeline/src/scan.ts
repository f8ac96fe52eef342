import {
  dayNumber,
  type Layer,
  publish,
  type SessionDate,
  uuidFromName,
  VarveError,
  DAY_MS,
} from '@varve/core'
import type { NewEvent } from '@varve/events'
import {
  computeMetrics,
  evaluate,
  type LayerChange,
  lookbackSessions,
  type MetricValues,
  seriesOf,
} from '@varve/layers'
import type { PipelineContext } from './context.ts'
import { lookbackStart } from './policy.ts'
import { requireProvider } from './requireProvider.ts'
import type { Tally } from './tally.ts'

export interface ScanResult {
  readonly session: SessionDate
  readonly evaluated: number
  readonly changed: number
  readonly layers: Record<Layer, number>
}

/**
 * Judges every company at a session and writes the outcome: one transaction updates `companies` and appends the
 * events that say so. A second scan of the same session changes nothing.
 *
 * @throws `SCAN_HELD` when more symbols would be demoted at once than the universe allows; nothing is changed
 */
export async function scanUniverse(
  ctx: PipelineContext,
  asOf: SessionDate,
  tally: Tally,
  options: { readonly confirm?: boolean; readonly signal?: AbortSignal } = {},
): Promise<ScanResult> {
  const started = ctx.clock.monotonicMs()
  const companies = await ctx.companies.load(ctx.sql)
  const metrics = await measure(ctx, asOf, companies, options.signal)
  const evaluation = evaluate({
    session: asOf,
    universe: ctx.universe,
    companies,
    metrics,
    calendar: ctx.calendar,
  })
  if (evaluation.heldForConfirmation !== null && options.confirm !== true) {
    const { demotions, layered } = evaluation.heldForConfirmation
    throw new VarveError(
      `the scan of ${asOf} would demote ${demotions} of ${layered} symbols at once; nothing was changed. Check the data of that session, then run again with --confirm`,
      { code: 'SCAN_HELD', details: { session: asOf, demotions, layered } },
    )
  }
  const occurredAt = ctx.calendar.session(asOf)!.closeAt
  const events = evaluation.changes.map((change) => eventOf(change, asOf, occurredAt))
  await ctx.sql.tx(async (tx) => {
    await ctx.companies.applyUpdates(tx, evaluation.updates)
    await ctx.events.append(tx, events)
  })
  for (const event of events) tally.event(event.type)
  const layers = await ctx.companies.countByLayer(ctx.sql)
  publish('scan', () => ({
    layers,
    changed: evaluation.changes.length,
    durationMs: ctx.clock.monotonicMs() - started,
  }))
  return { session: asOf, evaluated: companies.length, changed: evaluation.changes.length, layers }
}

/** Metrics of every company at a session, from the bars of the configured provider. */
async function measure(
  ctx: PipelineContext,
  asOf: SessionDate,
  companies: Awaited<ReturnType<PipelineContext['companies']['load']>>,
  signal?: AbortSignal,
): Promise<Map<string, MetricValues>> {
  const first = lookbackStart(asOf, lookbackSessions(ctx.universe), ctx.calendar)
  const sessionTimes = Float64Array.from(
    ctx.calendar.sessionsInRange(first, asOf),
    (session) => dayNumber(session.date) * DAY_MS,
  )
  const { metrics: options } = ctx.universe
  const byName = new Map(companies.map((company) => [company.symbol, company]))
  const metrics = new Map<string, MetricValues>()
  const bars = ctx.bars.read({
    interval: '1d',
    from: dayNumber(first) * DAY_MS,
    to: (dayNumber(asOf) + 1) * DAY_MS,
    source: requireProvider(ctx).source,
    signal,
  })
  for await (const batch of bars) {
    for (const rows of seriesOf(batch)) {
      const company = byName.get(rows.symbol)
      if (company !== undefined)
        metrics.set(rows.symbol, computeMetrics(company, rows, sessionTimes, 0, options))
    }
  }
  for (const company of companies) {
    if (!metrics.has(company.symbol)) {
      metrics.set(company.symbol, computeMetrics(company, undefined, sessionTimes, 0, options))
    }
  }
  return metrics
}

function eventOf(change: LayerChange, session: SessionDate, occurredAt: number): NewEvent {
  const { symbol, kind, from, to, liquidityScore } = change
  const metadata = { held: change.reasons.held }
  const envelope = (type: string) => ({
    id: uuidFromName(`${type}|${symbol}|${session}|${from ?? '-'}|${to ?? '-'}`),
    stream: `company:${symbol}`,
    occurredAt,
  })
  if (kind === 'demoted') {
    return {
      ...envelope('SymbolDemoted'),
      type: 'SymbolDemoted',
      data: { symbol, fromLayer: from!, toLayer: to, demotedOn: session, reason: reasonOf(change), metadata },
    }
  }
  if (kind === 'promoted') {
    return {
      ...envelope('SymbolPromoted'),
      type: 'SymbolPromoted',
      data: {
        symbol,
        fromLayer: from,
        toLayer: to!,
        promotedOn: session,
        reason: reasonOf(change),
        metadata,
      },
    }
  }
  return {
    ...envelope('SymbolQualified'),
    type: 'SymbolQualified',
    data: { symbol, layer: to!, qualifiedOn: session, liquidityScore, previousLayer: from, metadata },
  }
}

/** One line for people: which criterion decided. */
function reasonOf(change: LayerChange): string {
  const decisive = change.reasons.layers.find((layer) => layer.outcome !== 'pass')
  if (decisive === undefined || change.kind === 'promoted')
    return `meets the criteria of layer ${change.to ?? '-'}`
  const criterion = decisive.criteria.find((item) => item.outcome !== 'pass')
  return criterion === undefined
    ? `does not meet layer ${decisive.layer}`
    : `layer ${decisive.layer}: ${criterion.metric} is ${String(criterion.value)}, needs ${criterion.test} ${String(criterion.threshold)}`
}
