import { type Interval, sqlName } from '@varve/core'
import type { BarRetentionPolicy, SeriesRetention } from '../BarStore.ts'
import { loadWatermark } from './archive.ts'
import { barTable } from './barTables.ts'
import { MIN_TIME, clampTime } from './instants.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { readSeries } from './readSeries.ts'
import { runs } from './summaries.ts'
import { type TieredSeries, loadTiers } from './tiers.ts'

/** New bounds of a series under a policy, as `retain` sets them. */
interface Bounds {
  readonly series: TieredSeries
  readonly hotFrom: number
  readonly coldFrom: number | null
}

/** What `retain` would do with a policy, per series that it would touch. Changes nothing. */
export async function planRetention(
  context: StoreContext,
  policy: BarRetentionPolicy,
  signal: AbortSignal | undefined,
): Promise<SeriesRetention[]> {
  const { interval } = policy
  const watermark = await loadWatermark(context.sql, interval)
  if (watermark === undefined) return []
  const archiveTo = Math.max(watermark, clampTime(policy.archiveTo))
  const tiers = await loadTiers(context.sql, interval)
  const bounds = tiers.map((series) => boundsOf(policy, series, archiveTo))
  const hot = await countHot(context, interval, bounds, watermark, archiveTo)
  const moves = bounds.filter(
    ({ series, hotFrom, coldFrom }) =>
      hotFrom < series.hotFrom || (coldFrom !== null && coldFrom > (series.coldFrom ?? MIN_TIME)),
  )
  const cold = new Map<number, { restored: number; expired: number }>()
  for (const sourceId of new Set(moves.map((entry) => entry.series.sourceId))) {
    const ofSource = moves.filter((entry) => entry.series.sourceId === sourceId)
    for (const part of chunksOf(ofSource, chunkSize(context, interval))) {
      signal?.throwIfAborted()
      for (const [id, counts] of await countCold(context, interval, part)) cold.set(id, counts)
    }
  }
  return bounds.flatMap(({ series, hotFrom, coldFrom }) => {
    const counts = {
      archivedRows: hot.get(series.id)?.archived ?? 0,
      hotDeleted: hot.get(series.id)?.deleted ?? 0,
      hotRestored: cold.get(series.id)?.restored ?? 0,
      coldExpired: cold.get(series.id)?.expired ?? 0,
    }
    if (Object.values(counts).every((count) => count === 0)) return []
    return [{ symbol: series.symbol, source: series.source, hotFrom, coldFrom, ...counts }]
  })
}

function boundsOf(policy: BarRetentionPolicy, series: TieredSeries, watermark: number): Bounds {
  const asked = Math.min(watermark, clampTime(policy.hotFrom(series.symbol, series.source)))
  const restorable = policy.restore?.(series.symbol, series.source) !== false
  const lowest = Math.max(asked, series.coldFrom ?? MIN_TIME)
  const hotFrom =
    asked > series.hotFrom ? asked : restorable ? Math.min(series.hotFrom, lowest) : series.hotFrom
  const expire = policy.coldFrom(series.symbol, series.source)
  const coldFrom =
    expire === null
      ? series.coldFrom
      : Math.max(series.coldFrom ?? MIN_TIME, Math.min(hotFrom, clampTime(expire)))
  return { series, hotFrom, coldFrom }
}

/** Rows of Postgres that would be copied to the lake, and that would be deleted. */
async function countHot(
  context: StoreContext,
  interval: Interval,
  bounds: readonly Bounds[],
  watermark: number,
  archiveTo: number,
): Promise<Map<number, { archived: number; deleted: number }>> {
  const { rows } = await context.sql.query<{ id: number; archived: number; deleted: number }>(
    `SELECT n.id, count(*) FILTER (WHERE b.ts >= $3 AND b.ts < $4)::int AS archived,
       count(*) FILTER (WHERE b.ts < n.hot_from)::int AS deleted
     FROM unnest($1::int[], $2::timestamptz[]) AS n(id, hot_from)
     JOIN ${sqlName(barTable(interval).name)} b ON b.series_id = n.id AND b.ts < greatest(n.hot_from, $4) GROUP BY n.id`,
    [
      bounds.map((entry) => entry.series.id),
      bounds.map((entry) => new Date(entry.hotFrom)),
      new Date(watermark),
      new Date(archiveTo),
    ],
  )
  return new Map(rows.map((row) => [row.id, row]))
}

/** Rows of the lake that would be copied back, and that would be hidden. Only times are read. */
async function countCold(
  context: StoreContext,
  interval: Interval,
  part: readonly Bounds[],
): Promise<Map<number, { restored: number; expired: number }>> {
  const selection = {
    interval,
    ids: part.map((entry) => entry.series.id),
    symbols: part.map((entry) => entry.series.symbol),
  }
  const to = part.reduce(
    (most, { series, coldFrom }) => Math.max(most, series.hotFrom, coldFrom ?? MIN_TIME),
    MIN_TIME,
  )
  const { rows } = await readSeries(context, context.sql, selection, {
    from: MIN_TIME,
    to,
    rows: 'visible',
    columns: 'times',
  })
  const counts = new Map<number, { restored: number; expired: number }>()
  for (const { start, end, series: index } of runs(rows.series, rows.length)) {
    const { series, hotFrom, coldFrom } = part[index]!
    let restored = 0
    let expired = 0
    for (let row = start; row < end; row++) {
      const time = rows.time[row]!
      if (time >= hotFrom && time < series.hotFrom) restored++
      if (coldFrom !== null && time < coldFrom) expired++
    }
    counts.set(series.id, { restored, expired })
  }
  return counts
}
