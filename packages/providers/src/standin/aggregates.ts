import type { Session, SessionDate } from '@varve/core'
import { dayOf, DAY_MS, MINUTE_MS } from '@varve/core'
import { hash32 } from './noise.ts'
import type { RawBar, StandInMarket } from './StandInMarket.ts'
import type { JsonText } from './wire.ts'
import { objectText, priceText, volumeText } from './wire.ts'

/** A bar with numbers scaled by 10^6, ready to be written. */
interface WireBar {
  readonly t: number
  readonly open: bigint
  readonly high: bigint
  readonly low: bigint
  readonly close: bigint
  readonly volume: bigint
}

export interface AggregateQuery {
  readonly symbol: string
  readonly multiplier: number
  readonly timespan: 'minute' | 'hour' | 'day'
  /** First window start, milliseconds. */
  readonly fromMs: number
  /** Last session date. */
  readonly to: SessionDate
  /** Base aggregates to scan. */
  readonly limit: number
  readonly adjusted: boolean
}

export interface AggregatePage {
  readonly results: readonly JsonText[]
  /** Base aggregates scanned. */
  readonly scanned: number
  /** Start of the next page; `undefined` when this is the last. */
  readonly nextFrom: number | undefined
}

/** Says whether a bar is left out this time. */
export type Withhold = (symbol: string, date: SessionDate) => boolean

const SPAN_MS = { minute: MINUTE_MS, hour: 60 * MINUTE_MS } as const

/** One page of a symbol's aggregates. The limit counts what is scanned to make them: minutes for intraday windows. */
export function aggregatePage(
  market: StandInMarket,
  query: AggregateQuery,
  withhold: Withhold,
): AggregatePage {
  const from = market.calendar.dateOf(query.fromMs)
  const sessions = market.calendar.sessionsInRange(
    from > market.firstSession ? from : market.firstSession,
    query.to,
  )
  return query.timespan === 'day'
    ? dayPage(market, query, sessions, withhold)
    : intradayPage(market, query, sessions, withhold, query.multiplier * SPAN_MS[query.timespan])
}

function dayPage(
  market: StandInMarket,
  query: AggregateQuery,
  sessions: readonly Session[],
  withhold: Withhold,
): AggregatePage {
  const results: JsonText[] = []
  let last = 0
  for (const { date } of sessions) {
    const t = market.calendar.midnightOf(date)
    if (t < query.fromMs) continue
    const raw = market.rawBar(query.symbol, date)
    if (raw === undefined || withhold(query.symbol, date)) continue
    // A further bar exists: the next page begins right after the last one of this.
    if (results.length >= query.limit) return { results, scanned: results.length, nextFrom: last }
    results.push(barText(toWire(market, query.symbol, date, t, raw, query.adjusted)))
    last = market.calendar.midnightOf(dayOf(Date.parse(date) / DAY_MS + 1))
  }
  return { results, scanned: results.length, nextFrom: undefined }
}

function intradayPage(
  market: StandInMarket,
  query: AggregateQuery,
  sessions: readonly Session[],
  withhold: Withhold,
  lengthMs: number,
): AggregatePage {
  const results: JsonText[] = []
  let window: WireBar | undefined
  let scanned = 0
  for (const { date } of sessions) {
    if (withhold(query.symbol, date)) continue
    for (const minute of market.minutes(query.symbol, date)) {
      if (minute.time < query.fromMs) continue
      const t = Math.floor(minute.time / lengthMs) * lengthMs
      if (window !== undefined && window.t !== t) {
        results.push(barText(window))
        if (scanned >= query.limit) return { results, scanned, nextFrom: window.t + lengthMs }
        window = undefined
      }
      const bar = toWire(market, query.symbol, date, t, minute, query.adjusted)
      window = window === undefined ? bar : join(window, bar)
      scanned++
    }
  }
  if (window !== undefined) results.push(barText(window))
  return { results, scanned, nextFrom: undefined }
}

const join = (a: WireBar, b: WireBar): WireBar => ({
  t: a.t,
  open: a.open,
  high: a.high > b.high ? a.high : b.high,
  low: a.low < b.low ? a.low : b.low,
  close: b.close,
  volume: a.volume + b.volume,
})

/** Every symbol's bar of a session, stamped with its close. */
export function marketPage(
  market: StandInMarket,
  session: Session,
  options: { readonly adjusted: boolean; readonly includeOtc: boolean },
  withhold: Withhold,
): readonly JsonText[] {
  const results: JsonText[] = []
  for (const { symbol, company } of market.listings(session.date)) {
    if (company.market === 'otc' && !options.includeOtc) continue
    const raw = market.rawBar(symbol, session.date)
    if (raw === undefined || withhold(symbol, session.date)) continue
    results.push(
      barText(toWire(market, symbol, session.date, session.closeAt, raw, options.adjusted), symbol),
    )
  }
  return results
}

/** Raw integers as scaled numbers; adjusted ones by the splits after the date, exactly. */
function toWire(
  market: StandInMarket,
  symbol: string,
  date: SessionDate,
  t: number,
  raw: RawBar,
  adjusted: boolean,
): WireBar {
  let numerator = 1n
  let denominator = 1n
  if (adjusted) {
    for (const split of market.splits()) {
      if (split.symbol !== symbol || date >= split.date) continue
      numerator *= BigInt(split.from)
      denominator *= BigInt(split.to)
    }
  }
  const price = (units: number) => (BigInt(units) * 100n * numerator) / denominator
  return {
    t,
    open: price(raw.open),
    high: price(raw.high),
    low: price(raw.low),
    close: price(raw.close),
    volume: (BigInt(raw.volume) * 1_000_000n * denominator) / numerator,
  }
}

function barText(bar: WireBar, symbol?: string): JsonText {
  // The vendor leaves out the average price and the trade count now and then.
  const bare = hash32(bar.t / MINUTE_MS, Number(bar.volume % 65_536n), 61) % 16 === 0
  const average = (bar.high + bar.low + bar.close) / 3n
  return objectText([
    ['T', symbol === undefined ? undefined : JSON.stringify(symbol)],
    ['v', volumeText(bar.volume)],
    ['vw', bare ? undefined : priceText(average - (average % 100n))],
    ['o', priceText(bar.open)],
    ['c', priceText(bar.close)],
    ['h', priceText(bar.high)],
    ['l', priceText(bar.low)],
    ['t', String(bar.t)],
    ['n', bare ? undefined : String(bar.volume / 100_000_000n + 1n)],
  ])
}
