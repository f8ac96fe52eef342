import type { SqlEngine, SqlTx } from '@varve/core'
import { type Hash, createHash } from 'node:crypto'
import { copySegments } from '../hot/copySegments.ts'
import type { CheckedBackupSettings } from './options.ts'
import { copyRows, fullName, pageOf, quoteNames, rowCount } from './statements.ts'
import type { TableShape } from './tables.ts'

/** Signature, flags and length of an extension that is never there. */
const COPY_HEADER = 19
const COPY_TRAILER = 2
const BINARY_IN = 'COPY t FROM STDIN (FORMAT binary)'

/**
 * A table's rows in order of its key, as complete binary COPY streams of bounded size, each to be loaded by itself.
 * The same rows give the same bytes on both engines.
 */
export async function* tableSegments(
  tx: SqlTx,
  engine: SqlEngine,
  table: TableShape,
  rows: number,
  settings: CheckedBackupSettings,
): AsyncGenerator<Uint8Array> {
  const columns = quoteNames(table.columns.map((column) => column.name))
  const limits = { maxRows: settings.partRows, maxBytes: settings.partBytes }
  const pageRows = engine === 'pglite' ? settings.pageRows : Math.max(1, rows)
  for (let offset = 0; offset < rows; offset += pageRows) {
    const part = pageRows >= rows ? pageOf() : pageOf(pageRows, offset)
    const copy = copyRows(columns, fullName(table), table.order, part)
    yield* copySegments(BINARY_IN, tx.copyOut(copy), limits)
  }
}

/** Rows of a table at the transaction's snapshot. */
export async function countRows(tx: SqlTx, table: TableShape): Promise<number> {
  const { rows } = await tx.query<{ count: bigint }>(rowCount(fullName(table)))
  return Number(rows[0]!.count)
}

/** Adds the rows of a segment, without what frames them, so that the sum does not depend on how they were cut. */
export function addRows(hash: Hash, segment: Uint8Array): void {
  hash.update(segment.subarray(COPY_HEADER, segment.length - COPY_TRAILER))
}

/** Number and SHA-256 of a table's rows as they are now. */
export async function tableSum(
  tx: SqlTx,
  engine: SqlEngine,
  table: TableShape,
  settings: CheckedBackupSettings,
): Promise<{ readonly rows: number; readonly sha256: string }> {
  const rows = await countRows(tx, table)
  const hash = createHash('sha256')
  for await (const segment of tableSegments(tx, engine, table, rows, settings)) addRows(hash, segment)
  return { rows, sha256: hash.digest('hex') }
}
