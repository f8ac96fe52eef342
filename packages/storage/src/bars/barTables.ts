import type { Interval } from '@varve/core'

/** A partitioned table of bars. Its partitions span what one run of retention leaves behind. */
export interface BarTable {
  readonly name: 'bars' | 'bars_intraday'
  readonly span: 'month' | 'week'
  readonly intervals: readonly Interval[]
}

/** Daily and hourly bars are kept for months, shorter ones for days: one span would serve one of them badly. */
export const BAR_TABLES: readonly BarTable[] = [
  { name: 'bars', span: 'month', intervals: ['1d', '1h'] },
  { name: 'bars_intraday', span: 'week', intervals: ['15m', '5m', '1m', 'tick'] },
]

const BY_INTERVAL = new Map(
  BAR_TABLES.flatMap((table) => table.intervals.map((interval) => [interval, table])),
)

/** The table that holds an interval's hot bars. */
export function barTable(interval: Interval): BarTable {
  return BY_INTERVAL.get(interval)!
}
