import type { DataType } from './DataType.ts'
import type { Interval } from './Interval.ts'

/** Names one series. `interval` is `null` for data that has none, such as news. */
export interface SeriesKey {
  readonly symbol: string
  readonly dataType: DataType
  readonly interval: Interval | null
}

/** The key under which work on a series is coalesced: `AAPL|bars|1d`. */
export function jobKey(key: SeriesKey): string {
  return `${key.symbol}|${key.dataType}|${key.interval ?? '-'}`
}

/** The event stream of a series: `series:AAPL|bars|1d`. */
export function seriesStream(key: SeriesKey): string {
  return `series:${jobKey(key)}`
}
