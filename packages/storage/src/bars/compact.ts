import { type Interval, type SqlTx, VarveError, isVarveError } from '@varve/core'
import type { CompactOptions, CompactResult } from '../BarStore.ts'
import {
  type FileSeriesOutput,
  type WrittenFile,
  createFileSeries,
  loadWatermark,
  lockWatermark,
} from './archive.ts'
import { BarColumns, VALUE_COLUMNS } from './BarColumns.ts'
import {
  type CompactFile,
  type CompactGroup,
  compactGroups,
  isWorthwhile,
  loadCompactState,
  periodOf,
} from './compactGroups.ts'
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
  const watermark = await loadWatermark(context.sql, interval)
  if (watermark === undefined) return NOTHING
  const { rows: sources } = await context.sql.query<{ id: number }>(
    'SELECT DISTINCT source_id AS id FROM series WHERE interval = $1 ORDER BY 1',
    [interval],
  )
  let total = NOTHING
  for (const { id: sourceId } of sources) {
    const { files, late } = await loadCompactState(context.sql, interval, sourceId)
    for (const area of compactGroups(files, late, watermark)) {
      if (options.force !== true && !isWorthwhile(context, area, watermark)) continue
      const result = await compactArea(context, { interval, sourceId, area }, options.signal)
      total = {
        filesBefore: total.filesBefore + result.filesBefore,
        filesAfter: total.filesAfter + result.filesAfter,
        rows: total.rows + result.rows,
        bytes: total.bytes + result.bytes,
        lateFolded: total.lateFolded + result.lateFolded,
        expiredDropped: total.expiredDropped + result.expiredDropped,
      }
    }
  }
  return total
}

/** Where there is something to do: times and symbols of a group as it was when the work was listed. */
interface Task {
  readonly interval: Interval
  readonly sourceId: number
  readonly area: CompactGroup
}

/** A group of files to be rewritten, and the series that can have rows in it. */
interface Unit {
  readonly interval: Interval
  readonly watermark: number
  readonly group: CompactGroup
  readonly series: readonly SeriesRef[]
}

async function compactArea(
  context: StoreContext,
  task: Task,
  signal: AbortSignal | undefined,
): Promise<CompactResult> {
  for (let attempt = 1; ; attempt++) {
    try {
      if (attempt >= context.archiveAttempts) {
        // Loads kept getting in between: hold them off for this try.
        return await context.sql.tx(async (tx) => {
          await lockWatermark(tx, task.interval)
          const unit = await currentUnit(tx, task)
          return unit === undefined
            ? NOTHING
            : swap(context, tx, unit, await merge(context, tx, unit, signal))
        })
      }
      const unit = await currentUnit(context.sql, task)
      if (unit === undefined) return NOTHING
      const merged = await merge(context, context.sql, unit, signal)
      return await context.sql.tx(async (tx) => {
        await lockWatermark(tx, task.interval)
        return swap(context, tx, unit, merged)
      })
    } catch (error) {
      if (!isVarveError(error, 'LAKE_COMPACT_CONFLICT') || attempt >= context.archiveAttempts) throw error
    }
  }
}

/** The group that now begins where the task's did: loads may have tied more files to it. */
async function currentUnit(tx: SqlTx, { interval, sourceId, area }: Task): Promise<Unit | undefined> {
  const watermark = (await loadWatermark(tx, interval))!
  const { files, late } = await loadCompactState(tx, interval, sourceId)
  const group = compactGroups(files, late, watermark).find(
    (entry) =>
      entry.from < area.to &&
      entry.to > area.from &&
      entry.symbolMin <= area.symbolMax &&
      entry.symbolMax >= area.symbolMin,
  )
  if (group === undefined) return undefined
  const series = (await findSeries(tx, { interval })).filter(
    (entry) =>
      entry.sourceId === sourceId && entry.symbol >= group.symbolMin && entry.symbol <= group.symbolMax,
  )
  return { interval, watermark, group, series }
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
  unit: Unit,
  signal: AbortSignal | undefined,
): Promise<Merged> {
  const { interval, group, series, watermark } = unit
  const inputs = group.files
  const output = createPeriodOutput(context, interval, series, watermark)
  const late: LateRow[] = []
  const bounds = new Map<number, number>()
  let expiredDropped = 0
  let first = 0
  for (const chunk of chunksOf(series, chunkSize(context, interval, group.from, group.to))) {
    signal?.throwIfAborted()
    const ids = chunk.map((entry) => entry.id)
    const selection = { interval, ids, symbols: chunk.map((entry) => entry.symbol) }
    const { rows, snapshot } = await readSeries(context, tx, selection, {
      from: group.from,
      to: group.to,
      rows: 'lake',
      columns: 'all',
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
        kept.addFrom(rows, row, position + first)
      }
    }
    await output.add(kept)
    first += chunk.length
  }
  const files = (await output.finish()).map((file) => ({
    ...file,
    seriesIds: file.content.series.map((entry) => series[entry.series]!.id),
  }))
  return { inputs, files, late, bounds, expiredDropped }
}

/** Writes rows into files of one period each. */
function createPeriodOutput(
  context: StoreContext,
  interval: Interval,
  series: readonly SeriesRef[],
  watermark: number,
) {
  const outputs = new Map<number, FileSeriesOutput>()
  return {
    async add(rows: BarColumns): Promise<void> {
      const parts = new Map<number, BarColumns>()
      let period = { from: Infinity, to: -Infinity }
      for (let row = 0; row < rows.length; row++) {
        const time = rows.time[row]!
        if (time < period.from || time >= period.to) period = periodOf(time, watermark)
        let part = parts.get(period.from)
        if (part === undefined) {
          part = new BarColumns()
          parts.set(period.from, part)
        }
        part.addFrom(rows, row)
      }
      for (const [from, part] of parts) {
        let output = outputs.get(from)
        if (output === undefined) {
          output = createFileSeries(context, interval, series[0]!.source, series)
          outputs.set(from, output)
        }
        await output.add(part, 0)
      }
    },
    async finish(): Promise<WrittenFile[]> {
      const written: WrittenFile[] = []
      for (const output of outputs.values()) written.push(...(await output.finish()))
      return written
    },
  }
}

/** Puts the merged files in the place of those they were made from. The watermark is locked. */
async function swap(context: StoreContext, tx: SqlTx, unit: Unit, merged: Merged): Promise<CompactResult> {
  const { inputs, files, late, bounds, expiredDropped } = merged
  const produced = new Set(files.map((file) => file.path))
  const present = new Set(inputs.map((file) => file.path))
  const replaced = inputs.filter((file) => !produced.has(file.path))
  await checkStillTrue(tx, unit, inputs, bounds)
  await registerFiles(
    context,
    tx,
    unit.interval,
    unit.series[0]!.sourceId,
    files.filter((file) => !present.has(file.path)),
  )
  await tx.query('UPDATE lake_files SET removed_at = $2 WHERE id = ANY($1::bigint[])', [
    replaced.map((file) => file.id),
    new Date(context.clock.now()),
  ])
  for (const part of chunksOf(late, context.batchSize)) await foldLate(tx, part)
  await tx.query(
    'DELETE FROM bar_versions v USING series s WHERE s.id = ANY($1::int[]) AND v.series_id = s.id AND v.ts < s.cold_from',
    [[...bounds.keys()]],
  )
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

type InputFile = Pick<CompactFile, 'id' | 'path'>

/** Live files that share time and symbols with the group. */
async function liveFiles(tx: SqlTx, { interval, series, group }: Unit): Promise<InputFile[]> {
  const { rows } = await tx.query<{ id: bigint; path: string }>(
    `SELECT id, path FROM lake_files WHERE interval = $1 AND source_id = $2 AND removed_at IS NULL
       AND time_min < $4 AND time_max >= $3 AND symbol_min <= $6 AND symbol_max >= $5 ORDER BY id`,
    [
      interval,
      series[0]!.sourceId,
      new Date(group.from),
      new Date(group.to),
      group.symbolMin,
      group.symbolMax,
    ],
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
  unit: Unit,
  inputs: readonly InputFile[],
  bounds: ReadonlyMap<number, number>,
): Promise<void> {
  const live = new Set((await liveFiles(tx, unit)).map((file) => file.id))
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
    `DELETE FROM bars_late l USING unnest($1::int[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::timestamptz[])
       AS n(series_id, ts, open, high, low, close, volume, recorded_at)
     WHERE (l.series_id, l.ts, l.recorded_at) = (n.series_id, n.ts, n.recorded_at)
       AND (l.open * 1000000, l.high * 1000000, l.low * 1000000, l.close * 1000000, l.volume * 1000000)
         = (n.open::numeric, n.high::numeric, n.low::numeric, n.close::numeric, n.volume::numeric)`,
    [...keys, ...scaled, part.map((entry) => new Date(entry.from.recorded[entry.row]!))],
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
