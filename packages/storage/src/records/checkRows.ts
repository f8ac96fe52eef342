import { type ColumnValue, checkValue, isFault, isInstant, isStorable, valueText } from './columns.ts'
import { type Dataset, type DatasetDefinition, datasetDefinition } from './datasets.ts'
import type { RecordBatch, RecordInput, RecordRowError } from './RecordStore.ts'
import { type StoredRow, sameContent } from './StoredRow.ts'

/** A row of a batch that can be stored. */
export interface CheckedRow extends StoredRow {
  /** Position in the batch. */
  readonly index: number
}

/** The rows of a batch that can be stored, in their order, and why the others cannot. */
export interface CheckedRows {
  readonly rows: readonly CheckedRow[]
  readonly errors: readonly RecordRowError[]
}

/** Exchanges' own spelling: printable ASCII without blanks. */
const SYMBOL = /^[\x21-\x7e]{1,64}$/
/** A longer key does not fit an index. */
const LONGEST_KEY = 1000

/** What stops a row. */
interface Fault {
  readonly rule: string
  readonly column?: string
  readonly message: string
}

/** Checks every row of a batch against its dataset's definition; none is dropped silently. */
export function checkRows<D extends Dataset>(batch: RecordBatch<D>, recordedAt: number): CheckedRows {
  const definition = datasetDefinition(batch.dataset)
  const names = new Set(definition.columns.map((column) => column.name))
  const rows: CheckedRow[] = []
  const errors: RecordRowError[] = []
  const apart = definition.columns.findIndex(({ name }) => name === definition.toldApartBy)
  const unnamed = new Map<string, StoredRow>()
  batch.rows.forEach((input, index) => {
    const checked = checkRow(definition, names, input, recordedAt)
    const row =
      'rule' in checked || apart < 0 || input.key !== undefined || checked.values[apart] !== null
        ? checked
        : unambiguous(checked, unnamed, definition.toldApartBy!)
    if ('rule' in row) {
      const { rule, column, message } = row
      errors.push({ index, symbol: input.symbol, time: input.time, rule, column, message })
    } else {
      rows.push({ ...row, index })
    }
  })
  return { rows, errors }
}

/** Of two rows that differ and have no name, the second would be taken for a restatement of the first. */
function unambiguous(row: StoredRow, seen: Map<string, StoredRow>, column: string): StoredRow | Fault {
  const id = JSON.stringify([row.symbol, row.time, row.key, row.recordedAt])
  const before = seen.get(id)
  if (before === undefined) seen.set(id, row)
  if (before === undefined || sameContent(before, row)) return row
  return {
    rule: 'key_ambiguous',
    column,
    message: `expected ${column} or a key, because another row of ${row.symbol} has the key "${row.key}" and other values`,
  }
}

function checkRow(
  definition: DatasetDefinition,
  names: ReadonlySet<string>,
  input: Omit<RecordInput<Dataset>, 'values'> & { readonly values?: unknown },
  batchRecordedAt: number,
): StoredRow | Fault {
  const { symbol, time, recordedAt = batchRecordedAt, deleted = false } = input
  if (typeof symbol !== 'string' || !SYMBOL.test(symbol))
    return { rule: 'symbol_invalid', message: `the symbol ${JSON.stringify(symbol)} is not an exchange's` }
  if (!isInstant(time))
    return { rule: 'time_invalid', message: `expected the time in whole milliseconds, was ${time}` }
  if (!isInstant(recordedAt))
    return {
      rule: 'recorded_at_invalid',
      message: `expected the time of recording in whole milliseconds, was ${recordedAt}`,
    }
  const given = (input.values ?? {}) as Readonly<Record<string, unknown>>
  for (const name of Object.keys(given)) {
    if (!names.has(name))
      return { rule: 'unknown_column', column: name, message: `the dataset has no column "${name}"` }
  }
  const values: ColumnValue[] = []
  for (const { name, kind, required } of definition.columns) {
    const value = given[name]
    if (value === null || value === undefined) {
      if (required === true && !deleted)
        return { rule: 'missing_column', column: name, message: `expected a value of ${name}` }
      values.push(null)
      continue
    }
    const checked = checkValue(kind, value)
    if (isFault(checked)) {
      const { rule, found } = checked
      return { rule, column: name, message: `expected ${kind} in ${name}, found ${found} (${rule})` }
    }
    values.push(checked)
  }
  const valueOf = (column: string): ColumnValue =>
    values[definition.columns.findIndex((item) => item.name === column)] ?? null
  for (const rule of deleted ? [] : definition.rules) {
    if (!rule.holds(valueOf)) return { rule: rule.name, message: `expected ${rule.expects}` }
  }
  const key = input.key ?? definition.keyColumns.map((column) => keyPart(valueOf(column))).join('|')
  if (typeof key !== 'string' || !isStorable(key) || Buffer.byteLength(key) > LONGEST_KEY)
    return { rule: 'key_invalid', message: `expected a key of at most ${LONGEST_KEY} bytes` }
  if (deleted && input.key === undefined && definition.keyColumns.every((column) => valueOf(column) === null))
    return { rule: 'key_missing', message: 'a withdrawal names its record by key, or by the key columns' }
  return { symbol, time, key, recordedAt, deleted, values }
}

/** Parts are told apart by a bar, so that one inside them is doubled with a tilde. */
function keyPart(value: ColumnValue): string {
  return (valueText(value) ?? '').replaceAll('~', '~~').replaceAll('|', '~|')
}
