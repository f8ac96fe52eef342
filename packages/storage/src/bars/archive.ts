import { type BarSource, type Interval, type SqlTx, VarveError, isVarveError, sqlName } from '@varve/core'
import {
  type BarFileWriter,
  type LakeFileContent,
  barFilePath,
  createBarFileWriter,
} from '../lake/parquetWriter.ts'
import { BarColumns, sortColumns } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { type RegisteredFile, registerFiles } from './lakeCatalog.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { sumsInPostgres, sumsOf } from './rowSums.ts'
import { type SeriesRef, findSeries } from './seriesCatalog.ts'
import { loadSnapshot } from './snapshot.ts'
import { runs } from './summaries.ts'

export interface ArchiveResult {
  readonly archivedRows: number
  readonly files: number
  readonly bytes: number
}

interface ArchivedFile extends RegisteredFile {
  readonly sourceId: number
}

/** State the copy was made from: the revision of every series of the interval. */
type Revisions = ReadonlyMap<number, bigint>

/**
 * Copies bars from the watermark to `archiveTo` into the lake, verifies the files, and moves the watermark in the
 * transaction that lists them. Loads go on meanwhile; if one changed the interval the copy starts over, and the last
 * try holds loads off.
 */
export async function archiveBars(
  context: StoreContext,
  interval: Interval,
  archiveTo: number,
  signal: AbortSignal | undefined,
): Promise<ArchiveResult> {
  const { sql } = context
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    const watermark = await loadWatermark(sql, interval)
    if (watermark === undefined || watermark >= archiveTo) return { archivedRows: 0, files: 0, bytes: 0 }
    if (attempt >= context.archiveAttempts) {
      return sql.tx(async (tx) => {
        const locked = await lockWatermark(tx, interval)
        if (locked === undefined || locked >= archiveTo) return { archivedRows: 0, files: 0, bytes: 0 }
        const files = await copyRange(context, tx, interval, locked, archiveTo, signal)
        return flip(context, tx, interval, archiveTo, files)
      })
    }
    const before = await loadRevisions(sql, interval)
    let files: ArchivedFile[]
    try {
      files = await copyRange(context, sql, interval, watermark, archiveTo, signal)
    } catch (error) {
      // A load between copy and verification looks like a bad copy.
      const changed =
        isVarveError(error, 'LAKE_VERIFY_FAILED') &&
        !sameRevisions(before, await loadRevisions(sql, interval))
      if (!changed) throw error
      continue
    }
    const done = await sql.tx(async (tx) => {
      if ((await lockWatermark(tx, interval)) !== watermark) return undefined
      if (!sameRevisions(before, await loadRevisions(tx, interval))) return undefined
      return flip(context, tx, interval, archiveTo, files)
    })
    if (done !== undefined) return done
  }
}

export async function loadWatermark(tx: SqlTx, interval: Interval): Promise<number | undefined> {
  const { rows } = await tx.query<{ archived_to: Date }>(
    'SELECT archived_to FROM watermarks WHERE interval = $1',
    [interval],
  )
  return rows[0]?.archived_to.getTime()
}

/** Holds off every commit of the interval until the transaction ends. */
export async function lockWatermark(tx: SqlTx, interval: Interval): Promise<number | undefined> {
  const { rows } = await tx.query<{ archived_to: Date }>(
    'SELECT archived_to FROM watermarks WHERE interval = $1 FOR UPDATE',
    [interval],
  )
  return rows[0]?.archived_to.getTime()
}

async function loadRevisions(tx: SqlTx, interval: Interval): Promise<Revisions> {
  const { rows } = await tx.query<{ id: number; revision: bigint }>(
    'SELECT id, revision FROM series WHERE interval = $1',
    [interval],
  )
  return new Map(rows.map((row) => [row.id, row.revision]))
}

/** A series that appeared meanwhile counts only once it has rows, that is, another revision than 0. */
function sameRevisions(before: Revisions, now: Revisions): boolean {
  for (const [id, revision] of now) if ((before.get(id) ?? 0n) !== revision) return false
  return true
}

async function flip(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  archiveTo: number,
  files: readonly ArchivedFile[],
): Promise<ArchiveResult> {
  for (const file of files) await registerFiles(context, tx, interval, file.sourceId, [file])
  await tx.query('UPDATE watermarks SET archived_to = $2 WHERE interval = $1', [
    interval,
    new Date(archiveTo),
  ])
  return {
    archivedRows: files.reduce((sum, file) => sum + file.content.rows, 0),
    files: files.length,
    bytes: files.reduce((sum, file) => sum + file.bytes, 0),
  }
}

async function copyRange(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  from: number,
  to: number,
  signal: AbortSignal | undefined,
): Promise<ArchivedFile[]> {
  const series = await findSeries(tx, { interval })
  const files: ArchivedFile[] = []
  for (const sourceId of new Set(series.map((entry) => entry.sourceId))) {
    const ofSource = series.filter((entry) => entry.sourceId === sourceId)
    const source = ofSource[0]!.source
    const output = createFileSeries(context, interval, source, ofSource)
    let first = 0
    for (const chunk of chunksOf(ofSource, chunkSize(context, interval, from, to))) {
      signal?.throwIfAborted()
      const ids = chunk.map((entry) => entry.id)
      const { hot } = await loadSnapshot(tx, {
        interval,
        seriesIds: ids,
        from,
        to,
        rows: 'hot',
        columns: 'all',
      })
      const rows = sortColumns(hot, ids.length)
      await output.add(rows, first)
      first += chunk.length
    }
    const written = await output.finish()
    await verifyCount(tx, interval, written, ofSource, from, to)
    for (const file of written) {
      await verify(context, tx, file, ofSource, { interval, from, to })
      files.push({
        ...file,
        sourceId,
        seriesIds: file.content.series.map((entry) => ofSource[entry.series]!.id),
      })
    }
  }
  return files
}

export type WrittenFile = Omit<RegisteredFile, 'seriesIds'>

/** Writes rows into as many files as they need. */
export interface FileSeriesOutput {
  /** @param firstSeries - what to add to the rows' series number to point into the writer's series */
  add(rows: BarColumns, firstSeries: number): Promise<void>
  finish(): Promise<WrittenFile[]>
}

export function createFileSeries(
  context: StoreContext,
  interval: Interval,
  source: BarSource,
  series: readonly SeriesRef[],
): FileSeriesOutput {
  const { rowGroupRows, zstdLevel, maxFileRows, lake } = context
  const symbols = series.map((entry) => entry.symbol)
  const open = () => createBarFileWriter({ interval, source, symbols, rowGroupRows, zstdLevel })
  const written: WrittenFile[] = []
  let writer: BarFileWriter = open()
  const close = async () => {
    const content: LakeFileContent | undefined = writer.finish()
    if (content === undefined) return
    const path = barFilePath(interval, source, content.sha256)
    await lake.write(path, content.bytes)
    const { bytes, ...rest } = content
    written.push({ path, bytes: bytes.length, content: rest })
  }
  return {
    async add(rows, firstSeries) {
      for (let row = 0; row < rows.length; row++) rows.series[row]! += firstSeries
      for (const { start, end } of runs(rows.series, rows.length)) {
        // A series is cut only where it alone is more than a file: files of a period then share no symbol.
        if (writer.rows > 0 && writer.rows + end - start > maxFileRows) {
          await close()
          writer = open()
        }
        for (let from = start; from < end;) {
          const to = Math.min(end, from + maxFileRows - writer.rows)
          writer.add(rows, from, to)
          from = to
          if (writer.rows >= maxFileRows) {
            await close()
            writer = open()
          }
        }
      }
    },
    async finish() {
      await close()
      return written
    },
  }
}

/** Reads a file back and compares it with Postgres' own sums over the same rows. */
async function verify(
  context: StoreContext,
  tx: SqlTx,
  file: WrittenFile,
  series: readonly SeriesRef[],
  { interval, from, to }: { readonly interval: Interval; readonly from: number; readonly to: number },
): Promise<void> {
  for (const chunk of chunksOf(file.content.series, chunkSize(context, interval, from, to))) {
    const rows = new BarColumns()
    await context.reader.read(
      { path: file.path, bytes: file.bytes, rows: file.content.rows },
      {
        symbols: chunk.map((entry) => entry.symbol),
        series: chunk.map((_, index) => index),
        from: chunk.map((entry) => entry.timeMin),
        to: chunk.map((entry) => entry.timeMax + 1),
      },
      rows,
      'all',
    )
    const ranges = chunk.map((entry) => ({ ...entry, seriesId: series[entry.series]!.id }))
    const expected = await sumsInPostgres(tx, interval, ranges)
    const found = sumsOf(
      rows,
      ranges.map((range) => range.seriesId),
    )
    if (expected !== found)
      throw verifyFailed(`lake file ${file.path} has rows and sums ${found}, Postgres ${expected}`)
  }
}

/** No row of the range may be missing from the files altogether. */
async function verifyCount(
  tx: SqlTx,
  interval: Interval,
  files: readonly WrittenFile[],
  series: readonly SeriesRef[],
  from: number,
  to: number,
): Promise<void> {
  const { rows } = await tx.query<{ count: number }>(
    `SELECT count(*)::int AS count FROM ${sqlName(barTable(interval).name)} WHERE series_id = ANY($1::int[]) AND ts >= $2 AND ts < $3`,
    [series.map((entry) => entry.id), new Date(from), new Date(to)],
  )
  const found = files.reduce((sum, file) => sum + file.content.rows, 0)
  if (rows[0]!.count !== found)
    throw verifyFailed(`the lake files have ${found} rows, Postgres ${rows[0]!.count}`)
}

function verifyFailed(found: string): VarveError {
  return new VarveError(`the copy to the lake differs: ${found}; nothing was deleted, run retention again`, {
    code: 'LAKE_VERIFY_FAILED',
    retryable: true,
  })
}
