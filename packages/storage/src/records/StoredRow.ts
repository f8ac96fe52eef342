import { parseScaled } from '@varve/core'
import { createHash } from 'node:crypto'
import { type ColumnKind, type ColumnValue, JsonValue, checkValue, valueText } from './columns.ts'
import type { RecordColumn } from './datasets.ts'
import type { VersionKey } from './order.ts'

/** One version of a record, as the store handles it: values in the order of the dataset's columns. */
export interface StoredRow extends VersionKey {
  /** The provider withdrew the record. */
  readonly deleted: boolean
  readonly values: readonly ColumnValue[]
}

/** Whether two versions say the same. */
export function sameContent(a: StoredRow, b: StoredRow): boolean {
  if (a.deleted !== b.deleted) return false
  for (let index = 0; index < a.values.length; index++) {
    const [left, right] = [a.values[index]!, b.values[index]!]
    if (left === right) continue
    // Arrays and JSON are compared by their text.
    if (typeof left !== 'object' || left === null || right === null) return false
    if (valueText(left) !== valueText(right)) return false
  }
  return true
}

/** The whole version as one text, exactly as `DatasetSql.rowText` makes it in Postgres. */
export function rowText(row: StoredRow): string {
  return netstrings([
    row.symbol,
    String(row.time),
    row.key,
    String(row.recordedAt),
    row.deleted ? 't' : 'f',
    ...row.values.map(valueText),
  ])
}

/**
 * A checksum of rows in any order, which Postgres and JavaScript compute independently: their number and the sum of
 * the first 60 bits of each row's SHA-256. A row lost, doubled or changed changes it.
 */
export class RowSum {
  #rows = 0
  #sum = 0n

  add(row: StoredRow): void {
    this.#rows++
    this.#sum += BigInt(`0x${createHash('sha256').update(rowText(row)).digest('hex').slice(0, 15)}`)
  }

  toString(): string {
    return `${this.#rows} ${this.#sum}`
  }
}

/** What `RowSum` says, of texts named `text` in Postgres. */
export const ROW_SUM_SQL = `count(*)::text || ' ' || coalesce(sum(('x' || left(encode(sha256(convert_to(text, 'UTF8')), 'hex'), 15))::bit(60)::bigint), 0)::text`

/** A row as `DatasetSql.selected` brings it, by the names of its columns. */
export interface SelectedRow {
  readonly symbol: string
  readonly ts: Date
  readonly key: string
  readonly recorded_at: Date
  readonly deleted: boolean
  readonly [column: string]: unknown
}

/** The row behind what Postgres answered. */
export function fromSelected(row: SelectedRow, columns: readonly RecordColumn[]): StoredRow {
  return {
    symbol: row.symbol,
    time: row.ts.getTime(),
    key: row.key,
    recordedAt: row.recorded_at.getTime(),
    deleted: row.deleted,
    values: columns.map((column) => fromPostgres(column.kind, row[column.name])),
  }
}

function fromPostgres(kind: ColumnKind, value: unknown): ColumnValue {
  if (value === null || value === undefined) return null
  switch (kind) {
    case 'decimal':
      return parseScaled(value as string)
    case 'figure':
      return checkValue('figure', value) as string
    case 'integer':
      return Number(value as bigint)
    case 'instant':
      return (value as Date).getTime()
    case 'json':
      return new JsonValue(value as string)
    default:
      return value as ColumnValue
  }
}

function netstrings(texts: readonly (string | null)[]): string {
  let all = ''
  for (const text of texts) all += text === null ? '-' : `${Buffer.byteLength(text)}:${text}`
  return all
}
