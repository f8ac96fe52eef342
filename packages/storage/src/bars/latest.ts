import { type BarSource, type Interval, barAt, parseScaled, sqlName } from '@varve/core'
import type { LatestBar } from '../BarStore.ts'
import { barTable } from './barTables.ts'
import { MAX_TIME, MIN_TIME } from './instants.ts'
import type { StoreContext } from './options.ts'
import { readParts, selectSeries, toBatch } from './read.ts'

/** See `BarStore.latest`. */
export async function latestBars(
  context: StoreContext,
  interval: Interval,
  symbols: readonly string[] | undefined,
  source: BarSource | string | undefined,
): Promise<LatestBar[]> {
  const series = await selectSeries(context, { interval, symbols, source })
  const byId = new Map(series.map((entry) => [entry.id, entry]))
  // One index look-up per series; a DISTINCT ON would read every row.
  const { rows } = await context.sql.query<{
    id: number
    ts: Date
    open: string
    high: string
    low: string
    close: string
    volume: string
  }>(
    `SELECT s.id, b.* FROM series s CROSS JOIN LATERAL (
       SELECT ts, open, high, low, close, volume FROM ${sqlName(barTable(interval).name)} b
       WHERE b.series_id = s.id AND b.ts >= s.hot_from ORDER BY b.ts DESC LIMIT 1) b
     WHERE s.id = ANY($1::int[])`,
    [[...byId.keys()]],
  )
  const found = rows.map((row): LatestBar => {
    const { symbol, source: of } = byId.get(row.id)!
    byId.delete(row.id)
    return {
      symbol,
      source: of,
      time: row.ts.getTime(),
      open: parseScaled(row.open),
      high: parseScaled(row.high),
      low: parseScaled(row.low),
      close: parseScaled(row.close),
      volume: parseScaled(row.volume),
    }
  })
  // Nothing hot: the last bar of these lies in the lake.
  const cold = [...byId.values()]
  for await (const { rows: read, part } of readParts(context, interval, cold, {
    from: MIN_TIME,
    to: MAX_TIME,
  })) {
    const batch = toBatch(interval, part, read.rows)
    for (let row = 0; row < batch.length; row++) {
      if (row + 1 < batch.length && batch.symbolIndex[row + 1] === batch.symbolIndex[row]) continue
      const { sourceRow: _, ...bar } = barAt(batch, row)
      found.push({ ...bar, source: batch.source })
    }
  }
  return found.sort((a, b) => (a.symbol < b.symbol ? -1 : 1))
}
