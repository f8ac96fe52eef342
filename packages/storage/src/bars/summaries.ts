import { type BarSource, type Interval, sqlName } from '@varve/core'
import type { BarStats, SeriesSummary, SeriesTimes } from '../BarStore.ts'
import { MAX_TIME, MIN_TIME } from './instants.ts'
import { partitionsAhead } from '../hot/partitions.ts'
import { BAR_TABLES } from './barTables.ts'
import type { StoreContext } from './options.ts'
import { readParts, selectSeries } from './read.ts'
import { findSeries } from './seriesCatalog.ts'

/** See `BarStore.stats`. */
export async function loadStats(context: StoreContext): Promise<BarStats> {
  const { rows } = await context.sql.query<{
    hot: bigint
    cold: bigint
    files: number
    bytes: bigint
    versions: bigint
  }>(
    `SELECT ${BAR_TABLES.map(({ name }) => `(SELECT count(*) FROM ${sqlName(name)} b JOIN series s ON s.id = b.series_id WHERE b.ts >= s.hot_from)`).join(' + ')} AS hot,
       (SELECT coalesce(sum(rows), 0)::bigint FROM lake_files WHERE removed_at IS NULL)
         + (SELECT count(*) FROM bars_late WHERE added) AS cold,
       (SELECT count(*)::int FROM lake_files WHERE removed_at IS NULL) AS files,
       (SELECT coalesce(sum(bytes), 0)::bigint FROM lake_files WHERE removed_at IS NULL) AS bytes,
       (SELECT count(*) FROM bar_versions) AS versions`,
  )
  const row = rows[0]!
  return {
    hotRows: Number(row.hot),
    coldRows: Number(row.cold),
    coldFiles: row.files,
    coldBytes: Number(row.bytes),
    versions: Number(row.versions),
    partitionsAhead: await partitionsAhead(context.sql, context.clock.now()),
  }
}

/** See `BarStore.seriesSummary`. */
export async function summarizeSeries(
  context: StoreContext,
  interval: Interval,
  source: BarSource | string | undefined,
): Promise<SeriesSummary[]> {
  const series = await findSeries(context.sql, { interval, source })
  const result: SeriesSummary[] = []
  for await (const { rows, part } of readParts(context, interval, series, {
    from: MIN_TIME,
    to: MAX_TIME,
    columns: 'times',
  })) {
    for (const { start, end, series: index } of runs(rows.rows.series, rows.rows.length)) {
      const { symbol, source: of } = part[index]!
      result.push({
        symbol,
        source: of,
        first: rows.rows.time[start]!,
        last: rows.rows.time[end - 1]!,
        rows: end - start,
      })
    }
  }
  return result.sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
}

/** See `BarStore.sessionsHeld`. */
export async function loadTimes(
  context: StoreContext,
  interval: Interval,
  symbols: readonly string[] | undefined,
  source: BarSource | string | undefined,
): Promise<SeriesTimes[]> {
  const series = await selectSeries(context, { interval, symbols, source })
  const result: SeriesTimes[] = []
  for await (const { rows, part } of readParts(context, interval, series, {
    from: MIN_TIME,
    to: MAX_TIME,
    columns: 'times',
  })) {
    for (const { start, end, series: index } of runs(rows.rows.series, rows.rows.length)) {
      const { symbol, source: of } = part[index]!
      result.push({ symbol, source: of, times: rows.rows.time.slice(start, end) })
    }
  }
  return result.sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
}

/** Stretches of rows of one series. */
export function* runs(
  series: Int32Array,
  length: number,
): Generator<{ start: number; end: number; series: number }> {
  let start = 0
  for (let row = 1; row <= length; row++) {
    if (row === length || series[row] !== series[start]) {
      yield { start, end: row, series: series[start]! }
      start = row
    }
  }
}
