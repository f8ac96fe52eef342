import { type Interval, type SqlTx, formatScaled, publish, sqlName } from '@varve/core'
import type { LoadCounts } from '../BarStore.ts'
import { encodeBarCopy } from '../hot/copyEncoder.ts'
import { isPartitionMissing } from '../hot/partitions.ts'
import { type BarColumns, VALUE_COLUMNS } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { registerFiles } from './lakeCatalog.ts'
import type { StoreContext } from './options.ts'
import { type StagedRows, staleError } from './stage.ts'

/** Takes what `encodeBarCopy` makes. */
export function barCopy(interval: Interval): string {
  return `COPY ${sqlName(barTable(interval).name)} (series_id, ts, recorded_at, open, high, low, close, volume) FROM STDIN (FORMAT binary)`
}

const BAR_ROWS = `unnest($1::int[], $2::timestamptz[], $3::timestamptz[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[])
  AS n(series_id, ts, recorded_at, open, high, low, close, volume)`

/** Writes what was staged. See `BarStore.commit`. */
export async function commitBars(context: StoreContext, tx: SqlTx, staged: StagedRows): Promise<LoadCounts> {
  const started = context.clock.monotonicMs()
  await lockAndCheck(tx, staged)
  await touchSeries(tx, staged)
  const { rows, seriesIds, hotNew, hotChanged, lateChanged, lateAdded, file, versions } = staged
  const table = sqlName(barTable(staged.interval).name)
  if (hotNew.length > 0) {
    try {
      await tx.copyIn(
        barCopy(staged.interval),
        encodeBarCopy(rows, { seriesIds, rows: hotNew, chunkBytes: context.copyChunkBytes }),
      )
    } catch (error) {
      if (isPartitionMissing(error))
        throw staleError('a partition of bars was dropped since the batch was staged')
      throw error
    }
  }
  for (const part of parts(hotChanged, context.batchSize)) {
    await tx.query(
      `UPDATE ${table} b SET recorded_at = n.recorded_at, open = n.open, high = n.high, low = n.low, close = n.close, volume = n.volume
       FROM ${BAR_ROWS} WHERE b.series_id = n.series_id AND b.ts = n.ts AND b.ts >= $9 AND b.ts <= $10`,
      [...columnsOf(rows, part, seriesIds), ...timeBounds(staged, part)],
    )
  }
  for (const [late, added] of [
    [lateChanged, false],
    [lateAdded, true],
  ] as const) {
    for (const part of parts(late, context.batchSize)) {
      // A row no file holds yet stays one of those, however often it is corrected.
      await tx.query(
        `INSERT INTO bars_late (series_id, ts, recorded_at, open, high, low, close, volume, added)
         SELECT n.*, $9::boolean FROM ${BAR_ROWS} ORDER BY n.series_id, n.ts
         ON CONFLICT (series_id, ts) DO UPDATE SET recorded_at = excluded.recorded_at, open = excluded.open, high = excluded.high, low = excluded.low,
           close = excluded.close, volume = excluded.volume`,
        [...columnsOf(rows, part, seriesIds), added],
      )
    }
  }
  for (const part of parts(everyRow(versions), context.batchSize)) {
    // What only confirms the version before it is no version.
    await tx.query(
      `INSERT INTO bar_versions AS v (series_id, ts, recorded_at, open, high, low, close, volume)
       SELECT n.* FROM ${BAR_ROWS} LEFT JOIN LATERAL (
         SELECT p.open, p.high, p.low, p.close, p.volume FROM bar_versions p
         WHERE p.series_id = n.series_id AND p.ts = n.ts AND p.recorded_at <= n.recorded_at
         ORDER BY p.recorded_at DESC LIMIT 1) p ON true
       WHERE (p.open, p.high, p.low, p.close, p.volume) IS DISTINCT FROM (n.open, n.high, n.low, n.close, n.volume)
       ORDER BY n.series_id, n.ts
       ON CONFLICT (series_id, ts, recorded_at) DO UPDATE SET open = excluded.open, high = excluded.high,
         low = excluded.low, close = excluded.close, volume = excluded.volume`,
      columnsOf(versions, part, seriesIds),
    )
  }
  if (file !== undefined) await registerFiles(context, tx, staged.interval, staged.sourceId, [file])
  const { inserted, updated, unchanged, coldRows, hotRows, versionRows } = staged
  publish('load', () => ({
    interval: staged.interval,
    inserted,
    updated,
    unchanged,
    durationMs: context.clock.monotonicMs() - started,
  }))
  return { inserted, updated, unchanged, coldRows, hotRows, versionRows }
}

/** Locks in one order everywhere: watermark, series by id, then rows. */
async function lockAndCheck(tx: SqlTx, staged: StagedRows): Promise<void> {
  if (staged.seriesIds.length === 0) return
  const { rows: marks } = await tx.query<{ archived_to: Date }>(
    'SELECT archived_to FROM watermarks WHERE interval = $1 FOR SHARE',
    [staged.interval],
  )
  if (marks[0]?.archived_to.getTime() !== staged.watermark)
    throw staleError('the watermark moved since the batch was staged')
  const { rows } = await tx.query<{ id: number; revision: bigint }>(
    'SELECT id, revision FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE',
    [staged.seriesIds],
  )
  const revisions = new Map(rows.map((row) => [row.id, row.revision]))
  for (let series = 0; series < staged.seriesIds.length; series++) {
    if (revisions.get(staged.seriesIds[series]!) !== staged.revisions[series]) {
      throw staleError('a series of the batch changed since it was staged')
    }
  }
}

/** Marks changed series, and shows expired bars again where older ones were loaded on purpose. */
async function touchSeries(tx: SqlTx, staged: StagedRows): Promise<void> {
  const touched = new Set<number>()
  for (const list of [staged.hotNew, staged.hotChanged, staged.lateChanged, staged.lateAdded]) {
    for (const row of list) touched.add(staged.seriesIds[staged.rows.series[row]!]!)
  }
  for (let row = 0; row < staged.versions.length; row++)
    touched.add(staged.seriesIds[staged.versions.series[row]!]!)
  for (const id of staged.file?.seriesIds ?? []) touched.add(id)
  const reopened = new Map<number, Date>()
  staged.reopenFrom.forEach((from, series) => {
    if (from !== undefined) reopened.set(staged.seriesIds[series]!, new Date(from))
  })
  for (const id of reopened.keys()) touched.add(id)
  if (touched.size === 0) return
  const ids = [...touched].sort((a, b) => a - b)
  await tx.query(
    `UPDATE series s SET revision = revision + 1, cold_from = least(s.cold_from, n.cold_from)
     FROM unnest($1::int[], $2::timestamptz[]) AS n(id, cold_from) WHERE s.id = n.id`,
    [ids, ids.map((id) => reopened.get(id) ?? null)],
  )
}

function* parts(rows: Int32Array, size: number): Generator<Int32Array> {
  for (let start = 0; start < rows.length; start += size) yield rows.subarray(start, start + size)
}

function everyRow(rows: BarColumns): Int32Array {
  return Int32Array.from({ length: rows.length }, (_, row) => row)
}

function columnsOf(rows: BarColumns, part: Int32Array, seriesIds: readonly number[]): unknown[] {
  const list = [...part]
  return [
    list.map((row) => seriesIds[rows.series[row]!]),
    list.map((row) => new Date(rows.time[row]!)),
    list.map((row) => new Date(rows.recorded[row]!)),
    ...Array.from({ length: VALUE_COLUMNS }, (_, column) =>
      list.map((row) => formatScaled(rows.values[column]![row]!)),
    ),
  ]
}

function timeBounds(staged: StagedRows, part: Int32Array): [Date, Date] {
  let least = Infinity
  let most = -Infinity
  for (const row of part) {
    least = Math.min(least, staged.rows.time[row]!)
    most = Math.max(most, staged.rows.time[row]!)
  }
  return [new Date(least), new Date(most)]
}
