import type { Interval, SqlTx } from '@varve/core'
import { toBarSource } from '../sources.ts'
import type { SeriesRef } from './seriesCatalog.ts'

/** A series and its bounds, milliseconds UTC. */
export interface TieredSeries extends SeriesRef {
  readonly hotFrom: number
  readonly hotCleanedTo: number
  readonly coldFrom: number | null
}

/** Every series of an interval, by source, then symbol. */
export async function loadTiers(tx: SqlTx, interval: Interval): Promise<TieredSeries[]> {
  const { rows } = await tx.query<{
    id: number
    symbol: string
    source_id: number
    provider: string
    feed: string
    adjustment: string
    hot_from: Date
    hot_cleaned_to: Date
    cold_from: Date | null
  }>(
    `SELECT s.id, s.symbol, s.source_id, o.provider, o.feed, o.adjustment, s.hot_from, s.hot_cleaned_to, s.cold_from
     FROM series s JOIN sources o ON o.id = s.source_id WHERE s.interval = $1
     ORDER BY s.source_id, s.symbol`,
    [interval],
  )
  return rows.map((row) => ({
    id: row.id,
    symbol: row.symbol,
    sourceId: row.source_id,
    source: toBarSource(row),
    hotFrom: row.hot_from.getTime(),
    hotCleanedTo: row.hot_cleaned_to.getTime(),
    coldFrom: row.cold_from?.getTime() ?? null,
  }))
}
