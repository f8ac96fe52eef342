import { type SqlTx, VarveError, isVarveError } from '@varve/core'
import { MAX_TIME, MIN_TIME } from '../bars/instants.ts'
import { type Dataset, datasetDefinition } from './datasets.ts'
import { mergeFiles } from './lakeRows.ts'
import type { RecordContext } from './options.ts'
import {
  type RecordSource,
  type WrittenRecordFile,
  allLive,
  bumpRevision,
  loadBounds,
  lockRecordSource,
  recordSources,
  registerRecordFile,
} from './recordCatalog.ts'
import type { RecordFileRef } from './recordFileReader.ts'
import type { RecordCompactResult } from './RecordStore.ts'
import { RowSum, type StoredRow } from './StoredRow.ts'
import { createRecordOutput, sumOfFile, verifyFailed } from './writeFiles.ts'

/** What compaction takes out besides what has expired, and whether it works without need. */
export interface CompactWork {
  readonly force?: boolean | undefined
  readonly signal?: AbortSignal | undefined
  /** Rows to leave out for good. */
  readonly drops?: ((row: StoredRow) => boolean) | undefined
}

/** Merges small lake files. See `RecordStore.compact`. */
export async function compactRecords(
  context: RecordContext,
  dataset: Dataset,
  work: CompactWork,
): Promise<RecordCompactResult & { readonly dropped: number }> {
  let total = { filesBefore: 0, filesAfter: 0, rows: 0, bytes: 0, expiredDropped: 0, dropped: 0 }
  for (const from of await recordSources(context.sql, dataset)) {
    for (let attempt = 1; ; attempt++) {
      work.signal?.throwIfAborted()
      const inputs = await chooseFiles(context, dataset, from, work)
      if (inputs.length === 0) break
      try {
        const done = await compactFiles(context, dataset, from, inputs, work)
        total = {
          filesBefore: total.filesBefore + done.filesBefore,
          filesAfter: total.filesAfter + done.filesAfter,
          rows: total.rows + done.rows,
          bytes: total.bytes + done.bytes,
          expiredDropped: total.expiredDropped + done.expiredDropped,
          dropped: total.dropped + done.dropped,
        }
        break
      } catch (error) {
        const replaced =
          isVarveError(error, 'LAKE_COMPACT_CONFLICT') ||
          (isVarveError(error, 'LAKE_UNREADABLE') && !(await allLive(context.sql, inputs)))
        if (!replaced || attempt >= context.attempts) throw error
      }
    }
  }
  return total
}

/** All files when forced or when much has expired, else the small ones once there are enough of them. */
async function chooseFiles(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  work: CompactWork,
): Promise<RecordFileRef[]> {
  const { rows } = await context.sql.query<{
    id: bigint
    path: string
    bytes: bigint
    rows: bigint
    expired: number
  }>(
    `SELECT f.id, f.path, f.bytes, f.rows, (
       SELECT coalesce(sum(CASE WHEN e.time_max < b.expired_before THEN e.rows
         ELSE e.rows * extract(epoch FROM b.expired_before - e.time_min) / extract(epoch FROM e.time_max - e.time_min) END), 0)::float8
       FROM record_file_symbols e JOIN record_bounds b ON b.dataset = $1 AND b.source_id = $2 AND b.symbol = e.symbol
       WHERE e.file_id = f.id AND e.time_min < b.expired_before) AS expired
     FROM record_files f WHERE f.dataset = $1 AND f.source_id = $2 AND f.removed_at IS NULL ORDER BY f.id`,
    [dataset, from.id],
  )
  const files = rows.map((row) => ({
    id: Number(row.id),
    path: row.path,
    bytes: Number(row.bytes),
    rows: Number(row.rows),
    expired: row.expired,
  }))
  const expired = files.reduce((sum, file) => sum + file.expired, 0)
  const held = files.reduce((sum, file) => sum + file.rows, 0)
  if (work.force === true || work.drops !== undefined) return files
  if (expired > held * context.compactExpiredShare) return files.filter((file) => file.expired > 0)
  const small = files.filter((file) => file.rows < context.maxFileRows * context.compactFillShare)
  return small.length > context.compactSpareFiles ? small : []
}

async function compactFiles(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  inputs: readonly RecordFileRef[],
  work: CompactWork,
): Promise<RecordCompactResult & { readonly dropped: number }> {
  const bounds = await loadBounds(context.sql, dataset, from.id)
  const used = new Map<string, number>()
  const written: WrittenRecordFile[] = []
  let [expiredDropped, dropped] = [0, 0]
  const kept = new RowSum()
  const rows = await mergeFiles(
    inputs,
    { symbols: undefined, from: MIN_TIME, to: MAX_TIME, range: () => ({ from: MIN_TIME, to: MAX_TIME }) },
    {
      reader: context.reader,
      columns: datasetDefinition(dataset).columns,
      onUnreadable: (_file, error) => {
        throw error
      },
    },
  )
  let output = createRecordOutput(context, dataset, from.source)
  const close = async () => {
    const file = await output.finish()
    if (file !== undefined) written.push(file)
  }
  for (let row = await rows.peek(); row !== undefined; row = await rows.peek()) {
    rows.take()
    const bound = bounds.get(row.symbol)
    if (bound !== undefined && row.time < bound) {
      expiredDropped++
      used.set(row.symbol, bound)
    } else if (work.drops?.(row) === true) {
      dropped++
    } else {
      kept.add(row)
      output.add(row)
      if (output.rows >= context.maxFileRows) {
        work.signal?.throwIfAborted()
        await close()
        output = createRecordOutput(context, dataset, from.source)
      }
    }
  }
  await close()
  await verifyFiles(context, dataset, written, kept, expiredDropped + dropped, inputs)
  await context.sql.tx((tx) => swap(context, tx, dataset, from, { inputs, written, used, dropped }))
  return {
    filesBefore: inputs.length,
    filesAfter: written.length,
    rows: written.reduce((sum, file) => sum + file.content.rows, 0),
    bytes: written.reduce((sum, file) => sum + file.bytes, 0),
    expiredDropped,
    dropped,
  }
}

/** What was written is read back; with what was dropped it must make up what the catalog says of the inputs. */
async function verifyFiles(
  context: RecordContext,
  dataset: Dataset,
  written: readonly WrittenRecordFile[],
  kept: RowSum,
  dropped: number,
  inputs: readonly RecordFileRef[],
): Promise<void> {
  let [count, sum] = [0, 0n]
  for (const file of written) {
    const [rows, part] = (await sumOfFile(context, dataset, file)).split(' ')
    count += Number(rows)
    sum += BigInt(part!)
  }
  if (`${count} ${sum}` !== kept.toString())
    throw verifyFailed(
      `the merged files have rows and sums ${count} ${sum}, their sources ${kept.toString()}`,
    )
  const before = inputs.reduce((rows, file) => rows + file.rows, 0)
  if (count + dropped !== before)
    throw verifyFailed(`${count} rows were kept and ${dropped} dropped of ${before}`)
}

interface Swap {
  readonly inputs: readonly RecordFileRef[]
  readonly written: readonly WrittenRecordFile[]
  /** Bounds by which rows were dropped. */
  readonly used: ReadonlyMap<string, number>
  readonly dropped: number
}

/** Puts the merged files in the place of those they were made from. */
async function swap(
  context: RecordContext,
  tx: SqlTx,
  dataset: Dataset,
  from: RecordSource,
  { inputs, written, used, dropped }: Swap,
): Promise<void> {
  await lockRecordSource(tx, dataset, from.id)
  if (!(await allLive(tx, inputs))) throw conflict('lake files changed')
  const now = await loadBounds(tx, dataset, from.id)
  for (const [symbol, bound] of used) {
    if ((now.get(symbol) ?? MIN_TIME) < bound) throw conflict('records that had expired were loaded again')
  }
  const present = new Set(inputs.map((file) => file.path))
  const produced = new Set(written.map((file) => file.path))
  for (const file of written) {
    if (!present.has(file.path)) await registerRecordFile(context, tx, { dataset, sourceId: from.id }, file)
  }
  await tx.query('UPDATE record_files SET removed_at = $2 WHERE id = ANY($1::bigint[])', [
    inputs.filter((file) => !produced.has(file.path)).map((file) => file.id),
    new Date(context.clock.now()),
  ])
  // What was staged against rows that are gone must be staged again.
  if (used.size > 0 || dropped > 0) await bumpRevision(tx, dataset, from.id)
}

function conflict(found: string): VarveError {
  return new VarveError(`${found} while the lake was compacted; nothing was replaced, run it again`, {
    code: 'LAKE_COMPACT_CONFLICT',
    retryable: true,
  })
}
