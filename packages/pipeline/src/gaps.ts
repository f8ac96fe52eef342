import {
  type BarSource,
  dayOf,
  type Interval,
  type Layer,
  publish,
  seriesStream,
  type SessionDate,
  uuidFromName,
  DAY_MS,
} from '@varve/core'
import type { NewEvent } from '@varve/events'
import type { DetectedGap } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import type { Tally } from './tally.ts'

export interface GapScan {
  /** Missing sessions found by this pass, without those confirmed empty before. */
  readonly missing: number
  readonly symbols: number
  /** Missing sessions that were not known before. */
  readonly new: number
}

/**
 * Compares what is held with the calendar: every session between a series' first and last bar must be stored or
 * suspect. New gaps are recorded and announced, one event per symbol, in one transaction.
 */
export async function detectGaps(
  ctx: PipelineContext,
  input: {
    readonly interval: Interval
    readonly source: BarSource
    readonly asOf: SessionDate
    readonly symbols?: readonly string[]
    /** Whether the gaps may be filled by backfills; imported series have no one to ask. */
    readonly heal: boolean
  },
  tally: Tally,
): Promise<GapScan> {
  const { interval, source, asOf } = input
  const held = await ctx.bars.sessionsHeld(interval, input.symbols, source)
  const suspects = await ctx.quarantine.suspectSessions(ctx.sql, interval, input.symbols)
  const found: DetectedGap[] = []
  for (const series of held) {
    const dates = new Set<SessionDate>()
    for (const time of series.times)
      dates.add(interval === '1d' ? dayOf(time / DAY_MS) : ctx.calendar.dateOf(time))
    for (const date of suspects.get(series.symbol) ?? []) dates.add(date)
    const [first, last] = extent(dates)
    if (first === undefined || last === undefined) continue
    for (const session of ctx.calendar.sessionsInRange(first, last)) {
      if (!dates.has(session.date)) {
        found.push({
          symbol: series.symbol,
          dataType: 'bars',
          interval,
          source,
          session: session.date,
          detectedOn: asOf,
        })
      }
    }
  }
  const layers = new Map<string, Layer | null>(
    found.length === 0
      ? []
      : (await ctx.companies.load(ctx.sql, [...new Set(found.map((gap) => gap.symbol))])).map((company) => [
          company.symbol,
          company.layer,
        ]),
  )
  const occurredAt = ctx.calendar.session(asOf)?.closeAt ?? ctx.clock.now()
  const result = await ctx.sql.tx(async (tx) => {
    const recorded = await ctx.gaps.recordDetected(tx, found)
    const events = gapEvents(recorded.new, layers, input.heal, occurredAt)
    await ctx.events.append(tx, events)
    const confirmed = await ctx.gaps.load(tx, { dataType: 'bars', interval, states: ['empty_confirmed'] })
    return { fresh: recorded.new.length, events: events.length, confirmed }
  })
  const known = new Set(
    result.confirmed.map((gap) => `${gap.symbol}|${gap.session}|${gap.source.provider}|${gap.source.feed}`),
  )
  const missing = found.filter(
    (gap) => !known.has(`${gap.symbol}|${gap.session}|${source.provider}|${source.feed}`),
  )
  tally.event('DataGapDetected', result.events)
  tally.gaps.detected += missing.length
  for (const gap of missing) tally.gapSymbols.add(gap.symbol)
  publish('gaps', () => ({ detected: missing.length, open: missing.length }))
  return {
    missing: missing.length,
    symbols: new Set(missing.map((gap) => gap.symbol)).size,
    new: result.fresh,
  }
}

function extent(dates: ReadonlySet<SessionDate>): [SessionDate | undefined, SessionDate | undefined] {
  let first: SessionDate | undefined
  let last: SessionDate | undefined
  for (const date of dates) {
    if (first === undefined || date < first) first = date
    if (last === undefined || date > last) last = date
  }
  return [first, last]
}

function gapEvents(
  gaps: readonly DetectedGap[],
  layers: ReadonlyMap<string, Layer | null>,
  heal: boolean,
  occurredAt: number,
): NewEvent[] {
  const bySymbol = new Map<string, DetectedGap[]>()
  for (const gap of gaps) {
    const list = bySymbol.get(gap.symbol)
    if (list === undefined) bySymbol.set(gap.symbol, [gap])
    else list.push(gap)
  }
  return [...bySymbol].map(([symbol, list]) => {
    const sessions = list.map((gap) => gap.session).sort()
    const { interval, source, detectedOn } = list[0]!
    const name = `DataGapDetected|${symbol}|${interval}|${source.provider}/${source.feed}|${detectedOn}|${sessions.join()}`
    return {
      id: uuidFromName(name),
      type: 'DataGapDetected',
      stream: seriesStream({ symbol, dataType: 'bars', interval }),
      data: {
        symbol,
        dataType: 'bars',
        interval,
        from: sessions[0]!,
        to: sessions[sessions.length - 1]!,
        sessions,
        layer: layers.get(symbol) ?? null,
        metadata: { detectedOn, heal },
      },
      occurredAt,
    }
  })
}
