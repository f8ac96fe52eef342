import { type SqlTx, isVarveError } from '@varve/core'
import { clampTime } from '../bars/instants.ts'
import type { Dataset } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import type { RecordContext } from './options.ts'
import type { VersionKey } from './order.ts'
import { comingSpans, dropEmptySpans, ensureSpans } from './partitions.ts'
import {
  type RecordSource,
  type WrittenRecordFile,
  lockRecordSource,
  recordSources,
  registerRecordFile,
} from './recordCatalog.ts'
import { BEFORE_ALL } from './recordPage.ts'
import type { RecordArchiveResult, RecordBound } from './RecordStore.ts'
import { ROW_SUM_SQL, type SelectedRow, fromSelected } from './StoredRow.ts'
import { createRecordOutput, sumOfFile, verifyFailed } from './writeFiles.ts'

/** Symbols whose rows before a bound are to be moved. */
export interface ArchiveBounds {
  readonly symbols: readonly string[]
  readonly bounds: readonly Date[]
}

/**
 * Moves rows to the lake, file by file. A file is written and read back first; one transaction then lists it and
 * deletes exactly its rows, whose checksum Postgres computes from what it deletes. If a row came in between, that
 * transaction is rolled back and the file made again, the last time with loads held off.
 */
export async function archiveRecords(
  context: RecordContext,
  dataset: Dataset,
  options: { readonly before: RecordBound; readonly signal?: AbortSignal | undefined },
): Promise<RecordArchiveResult> {
  const symbols = new Map<string, { rows: number; bytes: number }>()
  let [archivedRows, files, bytes] = [0, 0, 0]
  for (const from of await recordSources(context.sql, dataset)) {
    const wanted = await archiveBounds(context.sql, dataset, from, options.before)
    for (let after: VersionKey | undefined = BEFORE_ALL; after !== undefined && wanted.symbols.length > 0;) {
      options.signal?.throwIfAborted()
      const file: WrittenRecordFile | undefined = await archiveFile(context, dataset, from, wanted, after)
      if (file === undefined) break
      archivedRows += file.content.rows
      bytes += file.bytes
      files++
      for (const { symbol, rows } of file.content.symbols) {
        const entry = symbols.get(symbol) ?? { rows: 0, bytes: 0 }
        entry.rows += rows
        entry.bytes += Math.round((file.bytes * rows) / file.content.rows)
        symbols.set(symbol, entry)
      }
      after = file.content.rows < context.maxFileRows ? undefined : file.content.last
    }
  }
  const now = context.clock.now()
  const partitionsDropped = await dropEmptySpans(context.sql, dataset, {
    now,
    lockTimeoutMs: context.dropLockTimeoutMs,
  })
  await ensureSpans(context.sql, dataset, comingSpans(dataset, now, context.partitionsAhead))
  return { archivedRows, files, bytes, partitionsDropped, symbols }
}

/** Symbols of a source that have rows before their bound. */
export async function archiveBounds(
  tx: SqlTx,
  dataset: Dataset,
  from: RecordSource,
  before: RecordBound,
): Promise<ArchiveBounds> {
  const { rows } = await tx.query<{ symbol: string; first: Date }>(
    `SELECT h.symbol, min(h.ts) AS first FROM ${RECORD_SQL[dataset].table} h WHERE h.source_id = $1
     GROUP BY h.symbol ORDER BY h.symbol`,
    [from.id],
  )
  const found = rows.flatMap(({ symbol, first }) => {
    const asked = before(symbol, from.source)
    if (asked === null) return []
    const bound = clampTime(asked)
    return bound > first.getTime() ? [{ symbol, bound: new Date(bound) }] : []
  })
  return { symbols: found.map((entry) => entry.symbol), bounds: found.map((entry) => entry.bound) }
}

async function archiveFile(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  wanted: ArchiveBounds,
  after: VersionKey,
): Promise<WrittenRecordFile | undefined> {
  for (let attempt = 1; ; attempt++) {
    const isLast = attempt >= context.attempts
    try {
      if (isLast) {
        return await context.sql.tx(async (tx) => {
          await lockRecordSource(tx, dataset, from.id)
          const file = await copyRows(context, tx, dataset, from, wanted, after)
          if (file !== undefined) await flip(context, tx, dataset, from, wanted, after, file)
          return file
        })
      }
      const file = await copyRows(context, context.sql, dataset, from, wanted, after)
      if (file !== undefined)
        await context.sql.tx((tx) => flip(context, tx, dataset, from, wanted, after, file))
      return file
    } catch (error) {
      const again = isVarveError(error, 'LAKE_VERIFY_FAILED') || isVarveError(error, 'STORAGE_STAGE_STALE')
      if (!again || isLast) throw error
    }
  }
}

const WANTED_ROWS = `h.source_id = $1 AND h.symbol = w.symbol AND h.ts < w.bound AND h.ts < $4
  AND (h.symbol, h.ts, h.key, h.recorded_at) > ($5, $6::timestamptz, $7, $8::timestamptz)`
const WANTED_SYMBOLS = `unnest($2::text[], $3::timestamptz[]) AS w(symbol, bound)`

function wantedParams(from: RecordSource, wanted: ArchiveBounds, after: VersionKey): unknown[] {
  const last = wanted.bounds.reduce((most, bound) => (bound > most ? bound : most))
  return [
    from.id,
    wanted.symbols,
    wanted.bounds,
    last,
    after.symbol,
    new Date(after.time),
    after.key,
    new Date(after.recordedAt),
  ]
}

async function copyRows(
  context: RecordContext,
  tx: SqlTx,
  dataset: Dataset,
  from: RecordSource,
  wanted: ArchiveBounds,
  start: VersionKey,
): Promise<WrittenRecordFile | undefined> {
  const output = createRecordOutput(context, dataset, from.source)
  for (let after = start; output.rows < context.maxFileRows;) {
    const limit = Math.min(context.pageRows, context.maxFileRows - output.rows)
    const { rows } = await tx.query<SelectedRow>(
      `SELECT ${RECORD_SQL[dataset].selected} FROM ${RECORD_SQL[dataset].table} h JOIN ${WANTED_SYMBOLS} ON true
       WHERE ${WANTED_ROWS} ORDER BY h.symbol, h.ts, h.key, h.recorded_at LIMIT $9::bigint`,
      [...wantedParams(from, wanted, after), limit],
    )
    for (const row of rows) {
      const stored = fromSelected(row, RECORD_SQL[dataset].columns)
      output.add(stored)
      after = stored
    }
    if (rows.length < limit) break
  }
  return output.finish()
}

/** Lists the file and deletes its rows, or neither. */
async function flip(
  context: RecordContext,
  tx: SqlTx,
  dataset: Dataset,
  from: RecordSource,
  wanted: ArchiveBounds,
  after: VersionKey,
  file: WrittenRecordFile,
): Promise<void> {
  const written = await sumOfFile(context, dataset, file)
  await registerRecordFile(context, tx, { dataset, sourceId: from.id }, file)
  const { first, last } = file.content
  const { rows } = await tx.query<{ sums: string }>(
    `WITH gone AS (
       DELETE FROM ${RECORD_SQL[dataset].table} h USING ${WANTED_SYMBOLS}
       WHERE ${WANTED_ROWS} AND h.symbol >= $9 AND h.symbol <= $10
         AND (h.symbol, h.ts, h.key, h.recorded_at) <= ($10, $11::timestamptz, $12, $13::timestamptz)
       RETURNING ${RECORD_SQL[dataset].rowText} AS text)
     SELECT ${ROW_SUM_SQL} AS sums FROM gone`,
    [
      ...wantedParams(from, wanted, after),
      first.symbol,
      last.symbol,
      new Date(last.time),
      last.key,
      new Date(last.recordedAt),
    ],
  )
  const deleted = rows[0]!.sums
  if (deleted !== written)
    throw verifyFailed(`lake file ${file.path} has rows and sums ${written}, Postgres ${deleted}`)
}
