import {
  type BarBatch,
  type DateRange,
  type Interval,
  isVarveError,
  publish,
  type SessionCalendar,
  type SessionDate,
  concatBarBatches,
  dayOf,
  selectBars,
  VarveError,
  DAY_MS,
} from '@varve/core'
import type { BarsResult, MarketDataProvider, RejectedRow } from '@varve/providers'
import { splitRange } from './ranges.ts'

/** Bars wanted of one symbol. Ranges begin and end on sessions. */
export interface FetchNeed {
  readonly symbol: string
  readonly range: DateRange
}

/** One call to a provider: some symbols over one range, or every symbol of one session. */
export type PlannedCall =
  | { readonly kind: 'symbols'; readonly symbols: readonly string[]; readonly range: DateRange }
  | { readonly kind: 'session'; readonly session: SessionDate }

export interface FetchedBars {
  readonly batch: BarBatch
  readonly rejected: readonly RejectedRow[]
  /** Per symbol, the ranges that were answered completely. */
  readonly answered: ReadonlyMap<string, readonly DateRange[]>
  /** Per symbol, the first error of a range that was not. */
  readonly failed: ReadonlyMap<string, unknown>
  /** Ranges answered completely and without a single row, per symbol. */
  readonly empty: ReadonlySet<string>
  readonly calls: number
}

/**
 * Turns needs into the fewest provider calls: by symbol, or whole-market by session where the provider has such a
 * call and it needs fewer of them.
 */
export function planCalls(
  needs: readonly FetchNeed[],
  interval: Interval,
  provider: Pick<MarketDataProvider, 'capabilities'>,
  calendar: SessionCalendar,
): PlannedCall[] {
  const { capabilities } = provider
  const served = capabilities.bars.find((entry) => entry.interval === interval)
  if (served === undefined) {
    throw new VarveError(`the provider does not serve bars of ${interval}`, { code: 'PIPELINE_UNSERVABLE' })
  }
  const bySymbol: PlannedCall[] = []
  const groups = new Map<string, { range: DateRange; symbols: string[] }>()
  for (const need of needs) {
    for (const range of splitRange(need.range, served.maxSpanDays)) {
      const key = `${range.from}|${range.to}`
      const group = groups.get(key)
      if (group === undefined) groups.set(key, { range, symbols: [need.symbol] })
      else group.symbols.push(need.symbol)
    }
  }
  for (const { range, symbols } of groups.values()) {
    const size = Number.isFinite(capabilities.symbolsPerCall) ? capabilities.symbolsPerCall : symbols.length
    for (let from = 0; from < symbols.length; from += size) {
      bySymbol.push({ kind: 'symbols', symbols: symbols.slice(from, from + size), range })
    }
  }
  if (interval !== '1d' || !capabilities.wholeMarketDaily) return bySymbol
  const sessions = new Set<SessionDate>()
  for (const need of uniqueRanges(needs)) {
    for (const session of calendar.sessionsInRange(need.from, need.to)) sessions.add(session.date)
  }
  if (sessions.size >= bySymbol.length) return bySymbol
  return [...sessions].sort().map((session) => ({ kind: 'session', session }))
}

function uniqueRanges(needs: readonly FetchNeed[]): DateRange[] {
  return [...new Map(needs.map((need) => [`${need.range.from}|${need.range.to}`, need.range])).values()]
}

/**
 * Fetches what is needed, several calls at a time. No transaction is open meanwhile. A call that fails takes only
 * its own symbols or session with it; cancellation rejects with the signal's reason.
 */
export async function fetchBars(input: {
  readonly provider: MarketDataProvider
  readonly calendar: SessionCalendar
  readonly interval: Interval
  readonly needs: readonly FetchNeed[]
  readonly concurrency: number
  readonly priority?: number
  readonly signal?: AbortSignal
  /** Name of the progress stage; no progress is published without one. */
  readonly stage?: string
}): Promise<FetchedBars> {
  const { provider, calendar, interval, needs, signal } = input
  const calls = planCalls(needs, interval, provider, calendar)
  const wanted = new Map<string, DateRange[]>()
  for (const need of needs) wanted.set(need.symbol, [...(wanted.get(need.symbol) ?? []), need.range])
  const batches: BarBatch[] = []
  const rejected: RejectedRow[] = []
  const answered = new Map<string, DateRange[]>()
  const failed = new Map<string, unknown>()
  const failedSessions = new Map<SessionDate, unknown>()
  let next = 0
  let done = 0
  const inside = (symbol: string, date: SessionDate) =>
    wanted.get(symbol)?.some((range) => date >= range.from && date <= range.to) ?? false
  const work = async () => {
    while (next < calls.length) {
      signal?.throwIfAborted()
      const call = calls[next++]!
      try {
        const result = await perform(call)
        if (!result.complete) {
          throw new VarveError(`${provider.name} answered without its end of data`, {
            code: 'PROVIDER_INCOMPLETE',
            retryable: true,
          })
        }
        if (call.kind === 'session' && result.batch.length === 0) {
          throw new VarveError(`${provider.name} gave no bar at all for the session ${call.session}`, {
            code: 'PROVIDER_EMPTY_UNCONFIRMED',
            retryable: true,
          })
        }
        collect(call, result)
      } catch (error) {
        signal?.throwIfAborted()
        if (!isVarveError(error)) throw error
        if (call.kind === 'session') failedSessions.set(call.session, error)
        else for (const symbol of call.symbols) if (!failed.has(symbol)) failed.set(symbol, error)
      }
      done++
      if (input.stage !== undefined) {
        publish('progress', () => ({ stage: input.stage, done, total: calls.length, unit: 'calls' }))
      }
    }
  }
  const perform = (call: PlannedCall): Promise<BarsResult> =>
    call.kind === 'session'
      ? provider.dailyMarket!(call.session, { signal, priority: input.priority })
      : provider.bars({
          symbols: call.symbols,
          interval,
          range: call.range,
          signal,
          priority: input.priority,
        })
  const collect = (call: PlannedCall, result: BarsResult) => {
    if (call.kind === 'symbols') {
      batches.push(result.batch)
      rejected.push(...result.rejected)
      for (const symbol of call.symbols) answered.set(symbol, [...(answered.get(symbol) ?? []), call.range])
      return
    }
    const keep = result.batch.symbols.map((symbol) => inside(symbol, call.session))
    batches.push(selectBars(result.batch, (row) => keep[result.batch.symbolIndex[row]!]!))
    rejected.push(...result.rejected.filter((row) => row.symbol !== null && inside(row.symbol, call.session)))
  }
  await Promise.all(Array.from({ length: Math.min(input.concurrency, calls.length) }, work))
  if (calls[0]?.kind === 'session') settleSessions(wanted, failedSessions, calendar, answered, failed)
  const batch = concatBarBatches(interval, provider.source, batches)
  const seen = new Set<string>()
  for (const symbol of batch.symbols) seen.add(symbol)
  for (const row of rejected) if (row.symbol !== null) seen.add(row.symbol)
  const empty = new Set<string>()
  for (const symbol of answered.keys()) if (!seen.has(symbol) && !failed.has(symbol)) empty.add(symbol)
  return { batch, rejected, answered, failed, empty, calls: calls.length }
}

/** Whole-market sessions answer for every symbol that wanted them, except where a session failed. */
function settleSessions(
  wanted: ReadonlyMap<string, readonly DateRange[]>,
  failedSessions: ReadonlyMap<SessionDate, unknown>,
  calendar: SessionCalendar,
  answered: Map<string, DateRange[]>,
  failed: Map<string, unknown>,
): void {
  for (const [symbol, ranges] of wanted) {
    for (const range of ranges) {
      let start = range.from
      for (const [session, error] of [...failedSessions].sort(([a], [b]) => (a < b ? -1 : 1))) {
        if (session < start || session > range.to) continue
        if (!failed.has(symbol)) failed.set(symbol, error)
        if (session > start) add(answered, symbol, { from: start, to: calendar.previousSession(session) })
        start = calendar.nextSession(session)
      }
      if (start <= range.to) add(answered, symbol, { from: start, to: range.to })
    }
  }
}

function add(map: Map<string, DateRange[]>, symbol: string, range: DateRange): void {
  const list = map.get(symbol)
  if (list === undefined) map.set(symbol, [range])
  else list.push(range)
}

/** The session date a bar belongs to. */
export function sessionDateOf(batch: BarBatch, row: number, calendar: SessionCalendar): SessionDate {
  const time = batch.time[row]!
  return batch.interval === '1d' ? dayOf(time / DAY_MS) : calendar.dateOf(time)
}
