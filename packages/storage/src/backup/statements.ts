/**
 * Statements over tables whose names are read from a database or a manifest. All of their text is here; what is put
 * into it is {@link SqlText}, which only the functions below make: quoted names, lists of them, checked bounds.
 */
declare const safe: unique symbol
/** Text that may stand in a statement. */
export type SqlText = string & { readonly [safe]: true }

/** A name, whatever it is made of. */
export function quoteName(name: string): SqlText {
  return `"${name.replaceAll('"', '""')}"` as SqlText
}

/** A table's full name. */
export function fullName({ schema, name }: { readonly schema: string; readonly name: string }): SqlText {
  return `${quoteName(schema)}.${quoteName(name)}` as SqlText
}

/** Several names with commas between them. */
export function quoteNames(names: readonly string[]): SqlText {
  return names.map(quoteName).join(', ') as SqlText
}

/** Sorts by code unit, so that the order does not depend on the server's locale; by the whole row without a key. */
export function orderBy(
  key: readonly { readonly name: string; readonly text: boolean }[],
  columns: readonly string[],
): SqlText {
  return (
    key.length > 0
      ? key.map((column) => quoteName(column.name) + (column.text ? ' COLLATE "C"' : '')).join(', ')
      : `ROW(${quoteNames(columns)})::text COLLATE "C"`
  ) as SqlText
}

/** A value of a bound: a number, a quoted text without quotes in it, or an end of the world. */
const VALUE = String.raw`(?:-?\d+(?:\.\d+)?|'[^'\\;]*'|MINVALUE|MAXVALUE)`
const LIST = String.raw`${VALUE}(?:, ${VALUE})*`
const BOUND = new RegExp(
  String.raw`^(?:DEFAULT|FOR VALUES FROM \(${LIST}\) TO \(${LIST}\)|FOR VALUES IN \(${LIST}\)|FOR VALUES WITH \(modulus \d+, remainder \d+\))$`,
)

/** The bound of a partition as Postgres prints it; `undefined` for anything but constants: a manifest is data. */
export function partitionBound(bound: string): SqlText | undefined {
  return BOUND.test(bound) ? (bound as SqlText) : undefined
}

/** Some of the rows of a sorted query; all of them without numbers. */
export function pageOf(rows?: number, offset?: number): SqlText {
  return (rows === undefined ? '' : ` LIMIT ${Number(rows)} OFFSET ${Number(offset)}`) as SqlText
}

export const copyRows = (columns: SqlText, table: SqlText, order: SqlText, part: SqlText): string =>
  `COPY (SELECT ${columns} FROM ${table} ORDER BY ${order}${part}) TO STDOUT (FORMAT binary)`
export const copyInto = (table: SqlText, columns: SqlText): string =>
  `COPY ${table} (${columns}) FROM STDIN (FORMAT binary)`
export const rowCount = (table: SqlText): string => `SELECT count(*) AS count FROM ${table}`
export const anyRow = (table: SqlText): string => `SELECT 1 FROM ${table} LIMIT 1`
export const analyze = (table: SqlText): string => `ANALYZE ${table}`
export const deleteRows = (table: SqlText): string => `DELETE FROM ${table}`
export const createPartition = (table: SqlText, parent: SqlText, bound: SqlText): string =>
  `CREATE TABLE ${table} PARTITION OF ${parent} ${bound}`
export const sequenceState = (sequence: SqlText): string =>
  `SELECT last_value::text AS value, is_called AS called FROM ${sequence}`
export const sumOfValues = (columns: SqlText, table: SqlText): string =>
  `SELECT coalesce(sum(hashtextextended(ROW(${columns})::text, 0)::numeric), 0)::text AS sum FROM ${table}`
export const orphans = (table: SqlText, column: SqlText, to: SqlText, toColumn: SqlText): string =>
  `SELECT count(*) AS count FROM ${table} c WHERE c.${column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM ${to} p WHERE p.${toColumn} = c.${column})`
