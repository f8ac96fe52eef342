import { type BarSource, type Interval, type SqlTx, VarveError, isVarveError } from '@varve/core'
import type { CompactOptions, CompactResult } from '../BarStore.ts'
import { createFileSeries, lockWatermark } from './archive.ts'
import { BarColumns, VALUE_COLUMNS } from './BarColumns.ts'
import { type RegisteredFile, registerFiles } from './lakeCatalog.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { readSeries } from './readSeries.ts'
import { type SeriesRef, findSeries } from './seriesCatalog.ts'
import type { Snapshot } from './snapshot.ts'

const NOTHING: CompactResult = {
  filesBefore: 0,
  filesAfter: 0,
  rows: 0,
  bytes: 0,
  lateFolded: 0,
  expiredDropped: 0,
}

/** Merges lake files. See `BarStore.compact`. */
export async function compactBars(
  context: StoreContext,
  interval: Interval,
  options: CompactOptions,
): Promise<CompactResult> {
  const series = await findSeries(context.sql, { interval })
  let total = NOTHING
  for (const sourceId of new Set(series.map((entry) => entry.sourceId))) {
    const ofSource = series.filter((entry) => entry.sourceId === sourceId)
    if (options.force !== true && !(await worthwhile(context, interval, sourceId))) continue
    const result = await compactSource(context, interval, ofSource[0]!.source, ofSource, options.signal)
    total = {
      filesBefore: total.filesBefore + result.filesBefore,
      filesAfter: total.filesAfter + result.filesAfter,
      rows: total.rows + result.rows,
      bytes: total.bytes + result.bytes,
      lateFolded: total.lateFolded + result.lateFolded,
      expiredDropped: total.expiredDropped + result.expiredDropped,
    }
  }
  return total
}

/** Whether there are late rows, more files than needed, or a good share of expired rows. */
async function worthwhile(context: StoreContext, interval: Interval, sourceId: number): Promise<boolean> {
  const { rows } = await context.sql.query<{ files: number; rows: number; late: boolean; expired: number }>(
    `SELECT (SELECT count(*)::int FROM lake_files f WHERE f.interval = $1 AND f.source_id = $2 AND f.removed_at IS NULL) AS files,
       (SELECT coalesce(sum(f.rows), 0)::float8 FROM lake_files f
        WHERE f.interval = $1 AND f.source_id = $2 AND f.removed_at IS NULL) AS rows,
       EXISTS (SELECT FROM bars_late l JOIN series s ON s.id = l.series_id WHERE s.interval = $1 AND s.source_id = $2) AS late,
       (SELECT coalesce(sum(CASE WHEN e.time_max < s.cold_from THEN e.rows
           ELSE e.rows * extract(epoch FROM s.cold_from - e.time_min) / extract(epoch FROM e.time_max - e.time_min) END), 0)::float8
        FROM lake_file_series e JOIN lake_files f ON f.id = e.file_id JOIN series s ON s.id = e.series_id
        WHERE f.interval = $1 AND f.source_id = $2 AND f.removed_at IS NULL AND e.time_min < s.cold_from) AS expired`,
    [interval, sourceId],
  )
  const state = rows[0]!
  if (state.files === 0 && !state.late) return false
  const fewest = Math.ceil(state.rows / context.maxFileRows)
  return (
    state.late ||
    state.files > fewest + context.compactSpareFiles ||
    state.expired > state.rows * context.compactExpiredShare
  )
}

async function compactSource(
  context: StoreContext,
  interval: Interval,
  source: BarSource,
  series: readonly SeriesRef[],
  signal: AbortSignal | undefined,
): Promise<CompactResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (attempt >= context.archiveAttempts) {
        // Loads kept getting in between: hold them off for this try.
        return await context.sql.tx(async (tx) => {
          await lockWatermark(tx, interval)
          return swap(
            context,
            tx,
            interval,
            series[0]!.sourceId,
            await merge(context, tx, interval, source, series, signal),
          )
        })
      }
      const merged = await merge(context, context.sql, interval, source, series, signal)
      return await context.sql.tx(async (tx) => {
        await lockWatermark(tx, interval)
        return swap(context, tx, interval, series[0]!.sourceId, merged)
      })
    } catch (error) {
      if (!isVarveError(error, 'LAKE_COMPACT_CONFLICT') || attempt >= context.archiveAttempts) throw error
    }
  }
}

interface LateRow {
  readonly seriesId: number
  readonly row: number
  readonly from: BarColumns
}

/** Files written from the lake as it was, and what must still be true when they take its place. */
interface Merged {
  readonly inputs: readonly InputFile[]
  readonly files: readonly RegisteredFile[]
  readonly late: readonly LateRow[]
  /** `cold_from` of the series of which rows were dropped. */
  readonly bounds: ReadonlyMap<number, number>
  readonly expiredDropped: number
}

async function merge(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  source: BarSource,
  series: readonly SeriesRef[],
  signal: AbortSignal | undefined,
): Promise<Merged> {
  const inputs = await liveFiles(tx, interval, series[0]!.sourceId)
  const output = createFileSeries(context, interval, source, series)
  const late: LateRow[] = []
  const bounds = new Map<number, number>()
  let expiredDropped = 0
  let first = 0
  for (const chunk of chunksOf(series, chunkSize(context, interval))) {
    signal?.throwIfAborted()
    const ids = chunk.map((entry) => entry.id)
    const selection = { interval, ids, symbols: chunk.map((entry) => entry.symbol) }
    const { rows, snapshot } = await readSeries(context, tx, selection, {
      from: -Infinity,
      to: Infinity,
      rows: 'lake',
    })
    if (!sameFiles(snapshot, inputs)) throw conflict('lake files changed')
    for (let row = 0; row < snapshot.late.length; row++) {
      late.push({ seriesId: ids[snapshot.late.series[row]!]!, row, from: snapshot.late })
    }
    const kept = new BarColumns(rows.length)
    for (let row = 0; row < rows.length; row++) {
      const position = rows.series[row]!
      const coldFrom = snapshot.states[position]?.coldFrom ?? null
      if (coldFrom !== null && rows.time[row]! < coldFrom) {
        expiredDropped++
        bounds.set(ids[position]!, coldFrom)
      } else {
        kept.addFrom(rows, row)
      }
    }
    await output.add(kept, first)
    first += chunk.length
  }
  const files = (await output.finish()).map((file) => ({
    ...file,
    seriesIds: file.content.series.map((entry) => series[entry.series]!.id),
  }))
  return { inputs, files, late, bounds, expiredDropped }
}

/** Puts the merged files in the place of those they were made from. The watermark is locked. */
async function swap(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  sourceId: number,
  merged: Merged,
): Promise<CompactResult> {
  const { inputs, files, late, bounds, expiredDropped } = merged
  const produced = new Set(files.map((file) => file.path))
  const present = new Set(inputs.map((file) => file.path))
  const replaced = inputs.filter((file) => !produced.has(file.path))
  await checkStillTrue(tx, interval, sourceId, inputs, bounds)
  await registerFiles(
    context,
    tx,
    interval,
    sourceId,
    files.filter((file) => !present.has(file.path)),
  )
  await tx.query('UPDATE lake_files SET removed_at = $2 WHERE id = ANY($1::bigint[])', [
    replaced.map((file) => file.id),
    new Date(context.clock.now()),
  ])
  for (const part of chunksOf(late, context.batchSize)) await foldLate(tx, part)
  const touched = [...new Set([...bounds.keys(), ...late.map((entry) => entry.seriesId)])].sort(
    (a, b) => a - b,
  )
  // What was staged against the rows dropped or the corrections folded in must be staged again.
  await tx.query('SELECT FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE', [touched])
  await tx.query('UPDATE series SET revision = revision + 1 WHERE id = ANY($1::int[])', [touched])
  return {
    filesBefore: inputs.length,
    filesAfter: files.length,
    rows: files.reduce((sum, file) => sum + file.content.rows, 0),
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    lateFolded: late.length,
    expiredDropped,
  }
}

interface InputFile {
  readonly id: number
  readonly path: string
}

async function liveFiles(tx: SqlTx, interval: Interval, sourceId: number): Promise<InputFile[]> {
  const { rows } = await tx.query<{ id: bigint; path: string }>(
    'SELECT id, path FROM lake_files WHERE interval = $1 AND source_id = $2 AND removed_at IS NULL ORDER BY id',
    [interval, sourceId],
  )
  return rows.map((row) => ({ id: Number(row.id), path: row.path }))
}

/** A chunk may name fewer files than are live, but no other ones. */
function sameFiles(snapshot: Snapshot, inputs: readonly InputFile[]): boolean {
  const known = new Set(inputs.map((file) => file.id))
  return snapshot.files.every((file) => known.has(file.id))
}

/**
 * A file registered since may hold rows that a correction read here belongs to, and expired bars that were loaded
 * again must not stay dropped.
 */
async function checkStillTrue(
  tx: SqlTx,
  interval: Interval,
  sourceId: number,
  inputs: readonly InputFile[],
  bounds: ReadonlyMap<number, number>,
): Promise<void> {
  const live = new Set((await liveFiles(tx, interval, sourceId)).map((file) => file.id))
  if (live.size !== inputs.length || !inputs.every((file) => live.has(file.id)))
    throw conflict('lake files changed')
  const { rows: lowered } = await tx.query(
    `SELECT s.id FROM unnest($1::int[], $2::timestamptz[]) AS n(id, cold_from) JOIN series s ON s.id = n.id
     WHERE s.cold_from IS NULL OR s.cold_from < n.cold_from LIMIT 1`,
    [[...bounds.keys()], [...bounds.values()].map((time) => new Date(time))],
  )
  if (lowered.length > 0) throw conflict('bars that had expired were loaded again')
}

/** Forgets late rows now in a file, unless they changed since; those stay, but are no longer the only copy. */
async function foldLate(
  tx: SqlTx,
  part: readonly { readonly seriesId: number; readonly row: number; readonly from: BarColumns }[],
): Promise<void> {
  const keys = [
    part.map((entry) => entry.seriesId),
    part.map((entry) => new Date(entry.from.time[entry.row]!)),
  ]
  const scaled = Array.from({ length: VALUE_COLUMNS }, (_, column) =>
    part.map((entry) => entry.from.values[column]![entry.row]!),
  )
  await tx.query(
    `DELETE FROM bars_late l USING unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[])
       AS n(series_id, ts, open, high, low, close, volume)
     WHERE (l.series_id, l.ts) = (n.series_id, n.ts)
       AND (l.open * 1000000, l.high * 1000000, l.low * 1000000, l.close * 1000000, l.volume * 1000000)
         = (n.open::numeric, n.high::numeric, n.low::numeric, n.close::numeric, n.volume::numeric)`,
    [...keys, ...scaled],
  )
  await tx.query(
    `UPDATE bars_late l SET added = false FROM unnest($1::int[], $2::timestamptz[]) AS n(series_id, ts)
     WHERE (l.series_id, l.ts) = (n.series_id, n.ts) AND l.added`,
    keys,
  )
}

function conflict(found: string): VarveError {
  return new VarveError(`${found} while the lake was compacted; nothing was replaced, run it again`, {
    code: 'LAKE_COMPACT_CONFLICT',
    retryable: true,
  })
}
