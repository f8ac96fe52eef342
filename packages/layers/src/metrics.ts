import type { BarBatch, Listing } from '@varve/core'
import type { MetricOptions } from './definitions.ts'
import type { MetricValues } from './metricNames.ts'

const SCALE = 1e6

/** Statistics are compared after rounding to six places, so that no decision hangs on a last binary digit. */
export function roundStatistic(value: number): number {
  return Math.round(value * 1e6) / 1e6
}

/** log10 of the average dollar volume, four decimals; `null` when that is unknown or zero. */
export function liquidityScore(values: MetricValues): number | null {
  const volume = values.averageDollarVolume
  return typeof volume === 'number' && volume > 0 ? Math.round(Math.log10(volume) * 1e4) / 1e4 : null
}

/** A series' rows inside a batch sorted by symbol and time. */
interface Rows {
  readonly batch: BarBatch
  readonly from: number
  readonly to: number
}

/** Splits a batch sorted by (symbol, time) into its series. */
export function* seriesOf(batch: BarBatch): Generator<{ readonly symbol: string } & Rows> {
  let from = 0
  for (let row = 1; row <= batch.length; row++) {
    if (row === batch.length || batch.symbolIndex[row] !== batch.symbolIndex[from]) {
      yield { symbol: batch.symbols[batch.symbolIndex[from]!]!, batch, from, to: row }
      from = row
    }
  }
}

/**
 * Metrics of one symbol at one session, from its daily bars up to that session. Averages of the past (mean
 * volume, deviation) end at the session before the one judged; the average dollar volume includes it.
 *
 * @param rows - daily bars of the symbol, oldest first, none after the session; `undefined` when there are none
 * @param sessionTimes - UTC midnights of the last sessions up to the one judged, oldest first
 * @param eventPoints - points for catalysts known from other data, 0 when none
 */
export function computeMetrics(
  listing: Listing,
  rows: Rows | undefined,
  sessionTimes: Float64Array,
  eventPoints: number,
  options: MetricOptions,
): MetricValues {
  const session = sessionTimes[sessionTimes.length - 1] ?? Number.NaN
  const window = options.windowSessions
  const windowStart = sessionTimes[Math.max(0, sessionTimes.length - window)] ?? Number.NaN
  const baselineStart = sessionTimes[Math.max(0, sessionTimes.length - 1 - window)] ?? Number.NaN
  let price: number | null = null
  let dollars = 0
  let dollarBars = 0
  let volumes = 0
  let volumeBars = 0
  let sessionVolume: number | null = null
  let sessionReturn: number | null = null
  let previousClose: number | null = null
  const returns: number[] = []
  if (rows !== undefined) {
    const { batch } = rows
    for (let row = rows.from; row < rows.to; row++) {
      const time = batch.time[row]!
      const close = Number(batch.close[row]!) / SCALE
      const volume = Number(batch.volume[row]!) / SCALE
      const change: number | null =
        previousClose === null || previousClose <= 0 ? null : close / previousClose - 1
      if (time >= windowStart && time <= session) {
        dollars += close * volume
        dollarBars++
      }
      if (time >= baselineStart && time < session) {
        volumes += volume
        volumeBars++
        if (change !== null) returns.push(change)
      }
      if (time === session) {
        sessionVolume = volume
        sessionReturn = change
      }
      price = close
      previousClose = close
    }
  }
  const known = (bars: number) => bars >= options.minimumSessions
  const meanVolume = known(volumeBars) ? volumes / volumeBars : null
  const relativeVolume =
    sessionVolume !== null && meanVolume !== null && meanVolume > 0
      ? roundStatistic(sessionVolume / meanVolume)
      : null
  const deviation = known(returns.length + 1) ? sampleDeviation(returns) : null
  const returnShock =
    sessionReturn !== null && deviation !== null
      ? roundStatistic(
          deviation > 0
            ? Math.min(Math.abs(sessionReturn) / deviation, options.returnShockCap)
            : sessionReturn === 0
              ? 0
              : options.returnShockCap,
        )
      : null
  const volumeShock =
    relativeVolume === null ? null : relativeVolume > 1 ? roundStatistic(Math.log2(relativeVolume)) : 0
  return {
    active: listing.active,
    exchange: listing.exchange,
    type: listing.type,
    marketCap: listing.marketCap === null ? null : Number(listing.marketCap) / SCALE,
    price: price === null ? null : roundStatistic(price),
    averageDollarVolume: known(dollarBars) ? roundStatistic(dollars / dollarBars) : null,
    relativeVolume,
    priceChange: sessionReturn === null ? null : roundStatistic(Math.abs(sessionReturn) * 100),
    volatility: deviation === null ? null : roundStatistic(deviation * 100),
    returnShock,
    volumeShock,
    eventPoints,
    catalystScore:
      returnShock === null || volumeShock === null
        ? null
        : roundStatistic(
            options.returnShockWeight * returnShock +
              options.volumeShockWeight * volumeShock +
              options.eventPointsWeight * eventPoints,
          ),
  }
}

function sampleDeviation(values: readonly number[]): number {
  if (values.length < 2) return 0
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  return Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (values.length - 1))
}
