import { type BarSource, type Interval, type SqlTx, sqlName } from '@varve/core'
import { toBarSource } from '../sources.ts'
import { barTable } from './barTables.ts'

/** One series of the store. */
export interface SeriesRef {
  readonly id: number
  readonly symbol: string
  readonly sourceId: number
  readonly source: BarSource
  /** First instant kept hot when the series was looked up, milliseconds UTC; it may have moved since. */
  readonly hotFrom: number
}

export interface SeriesFilter {
  readonly interval: Interval
  readonly symbols?: readonly string[]
  readonly source?: BarSource | string
}

interface SeriesRow {
  readonly id: number
  readonly symbol: string
  readonly source_id: number
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
  readonly hot_from: Date
}

/** Series by symbol, then source name. */
export async function findSeries(tx: SqlTx, filter: SeriesFilter): Promise<SeriesRef[]> {
  const { source } = filter
  const { rows } = await tx.query<SeriesRow>(
    `SELECT s.id, s.symbol, s.source_id, s.hot_from, o.provider, o.feed, o.adjustment
     FROM series s JOIN sources o ON o.id = s.source_id
     WHERE s.interval = $1 AND ($2::text[] IS NULL OR s.symbol = ANY($2)) AND ($3::text IS NULL OR o.provider = $3)
       AND ($4::text IS NULL OR (o.feed, o.adjustment) = ($4, $5))
     ORDER BY s.symbol, o.provider, o.feed, o.adjustment`,
    [
      filter.interval,
      filter.symbols ?? null,
      source === undefined ? null : typeof source === 'string' ? source : source.provider,
      source === undefined || typeof source === 'string' ? null : source.feed,
      source === undefined || typeof source === 'string' ? null : source.adjustment,
    ],
  )
  return rows.map((row) => ({
    id: row.id,
    symbol: row.symbol,
    sourceId: row.source_id,
    source: toBarSource(row),
    hotFrom: row.hot_from.getTime(),
  }))
}

/**
 * One series per symbol: the one whose last bar is latest, then the first by source name. A series without bars
 * is chosen only where there is no other.
 */
export async function preferredSeries(
  tx: SqlTx,
  interval: Interval,
  series: readonly SeriesRef[],
): Promise<SeriesRef[]> {
  const bySymbol = new Map<string, SeriesRef[]>()
  for (const entry of series) {
    const list = bySymbol.get(entry.symbol)
    if (list === undefined) bySymbol.set(entry.symbol, [entry])
    else list.push(entry)
  }
  const contested = [...bySymbol.values()].filter((list) => list.length > 1).flat()
  const last = await lastBars(
    tx,
    interval,
    contested.map((entry) => entry.id),
  )
  return [...bySymbol.values()].map((list) =>
    list.reduce((best, entry) =>
      (last.get(entry.id) ?? -Infinity) > (last.get(best.id) ?? -Infinity) ? entry : best,
    ),
  )
}

async function lastBars(tx: SqlTx, interval: Interval, ids: readonly number[]): Promise<Map<number, number>> {
  if (ids.length === 0) return new Map()
  const { rows } = await tx.query<{ id: number; last: Date }>(
    `SELECT s.id, greatest(
       (SELECT max(b.ts) FROM ${sqlName(barTable(interval).name)} b WHERE b.series_id = s.id AND b.ts >= s.hot_from),
       (SELECT max(l.ts) FROM bars_late l WHERE l.series_id = s.id AND (s.cold_from IS NULL OR l.ts >= s.cold_from)),
       (SELECT max(e.time_max) FROM lake_file_series e JOIN lake_files f ON f.id = e.file_id
        WHERE e.series_id = s.id AND f.removed_at IS NULL AND (s.cold_from IS NULL OR e.time_max >= s.cold_from))
     ) AS last
     FROM series s WHERE s.id = ANY($1::int[])`,
    [ids],
  )
  return new Map(rows.filter((row) => row.last !== null).map((row) => [row.id, row.last.getTime()]))
}
