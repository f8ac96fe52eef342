import type { RecordColumn } from './datasets.ts'
import { type VersionKey, compareText, compareVersions } from './order.ts'
import type { RecordFileReader, RecordFileRef, RecordGroup } from './recordFileReader.ts'
import type { StoredRow } from './StoredRow.ts'

/** Which rows of lake files are wanted. */
export interface LakeFilter {
  /** Symbols in order; `undefined` for all. */
  readonly symbols: readonly string[] | undefined
  /** Instants wanted of a symbol: `from` included, `to` excluded. */
  range(symbol: string): { readonly from: number; readonly to: number }
  /** Bounds of all ranges, to leave whole row groups out. */
  readonly from: number
  readonly to: number
  /** Rows after this only. */
  readonly after?: VersionKey
}

/** Rows of several files in one order, a few row groups in memory at a time. */
export interface LakeRows {
  /** The next row without taking it; `undefined` at the end. */
  peek(): Promise<StoredRow | undefined>
  /** Takes the row last seen by `peek`. */
  take(): void
}

/** A file that could not be read is handed to `onUnreadable`, which throws or leaves the file out. */
export interface LakeRowsOptions {
  readonly reader: RecordFileReader
  readonly columns: readonly RecordColumn[]
  readonly onUnreadable: (file: RecordFileRef, error: unknown) => void | Promise<void>
}

/** A file in the merge: its next row, or a bound below which it has none. */
interface FileCursor {
  readonly rows: AsyncGenerator<StoredRow | Bound>
  head: StoredRow | Bound
}

/** Stands for rows not decoded yet: none comes before it. */
interface Bound extends VersionKey {
  readonly isBound: true
}

/** A k-way merge; a file is opened only once its rows can be next. */
export async function mergeFiles(
  files: readonly RecordFileRef[],
  filter: LakeFilter,
  options: LakeRowsOptions,
): Promise<LakeRows> {
  const cursors: FileCursor[] = []
  for (const file of files) {
    const rows = fileRows(file, filter, options)
    const first = await rows.next()
    if (first.done !== true) cursors.push({ rows, head: first.value })
  }
  let next: FileCursor | undefined
  const advance = async (cursor: FileCursor): Promise<void> => {
    const step = await cursor.rows.next()
    if (step.done === true) cursors.splice(cursors.indexOf(cursor), 1)
    else cursor.head = step.value
  }
  let pending: FileCursor | undefined
  return {
    async peek() {
      if (pending !== undefined) {
        const cursor = pending
        pending = undefined
        await advance(cursor)
      }
      for (;;) {
        next = undefined
        for (const cursor of cursors) {
          if (next === undefined || comesFirst(cursor.head, next.head)) next = cursor
        }
        if (next === undefined) return undefined
        if (!isBound(next.head)) return next.head
        await advance(next)
      }
    },
    take() {
      pending = next
    },
  }
}

/** A bound goes before a row at the same place, since the rows behind it may be there too. */
function comesFirst(a: StoredRow | Bound, b: StoredRow | Bound): boolean {
  const order = compareVersions(a, b)
  return order < 0 || (order === 0 && isBound(a) && !isBound(b))
}

function isBound(head: StoredRow | Bound): head is Bound {
  return 'isBound' in head
}

/** Rows of one file that the filter wants; before each row group a bound. */
async function* fileRows(
  file: RecordFileRef,
  filter: LakeFilter,
  options: LakeRowsOptions,
): AsyncGenerator<StoredRow | Bound> {
  try {
    for (const group of await options.reader.open(file)) {
      if (!mayHold(group, filter)) continue
      yield { isBound: true, symbol: group.symbolMin, time: -Infinity, key: '', recordedAt: -Infinity }
      const rows = await group.rows(options.columns)
      let symbol: string | undefined
      let isWanted = false
      let range = { from: 0, to: 0 }
      for (let index = 0; index < rows.length; index++) {
        if (rows.symbol(index) !== symbol) {
          symbol = rows.symbol(index)
          isWanted = filter.symbols === undefined || holdsText(filter.symbols, symbol)
          range = filter.range(symbol)
        }
        if (!isWanted) continue
        const time = rows.time(index)
        if (time < range.from || time >= range.to) continue
        const row = rows.at(index)
        if (filter.after !== undefined && compareVersions(row, filter.after) <= 0) continue
        yield row
      }
    }
  } catch (error) {
    await options.onUnreadable(file, error)
  }
}

function mayHold(group: RecordGroup, filter: LakeFilter): boolean {
  if (group.timeMax < filter.from || group.timeMin >= filter.to) return false
  if (filter.after !== undefined && compareText(group.symbolMax, filter.after.symbol) < 0) return false
  const { symbols } = filter
  if (symbols === undefined) return true
  const at = firstAtLeast(symbols, group.symbolMin)
  return at < symbols.length && compareText(symbols[at]!, group.symbolMax) <= 0
}

function holdsText(sorted: readonly string[], text: string): boolean {
  return sorted[firstAtLeast(sorted, text)] === text
}

function firstAtLeast(sorted: readonly string[], text: string): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (compareText(sorted[middle]!, text) < 0) low = middle + 1
    else high = middle
  }
  return low
}
