import type { BarBatch, BarBatchBuilder } from '@varve/core'

/** Rows of one symbol: positions in the columns, the end excluded. */
interface Rows {
  readonly start: number
  readonly end: number
}

/**
 * All bars of some files for random access: the columns as they were read, and the order of their rows by symbol and
 * time; 60 bytes a row, and a symbol's range is two binary searches away. Rows of equal symbol and time keep the order
 * of the files. Sorting the columns themselves would need them twice in memory for a moment.
 */
export class SortedBars {
  readonly symbols: readonly string[]
  readonly length: number
  readonly #rows: ReadonlyMap<string, Rows>
  readonly #batch: BarBatch
  /** Row of the batch at each position; `undefined` when the files were in order already. */
  readonly #order: Int32Array | undefined

  constructor(batch: BarBatch) {
    const { order, rows, symbols } = sortOrder(batch)
    this.symbols = symbols
    this.length = batch.length
    this.#batch = batch
    this.#rows = rows
    this.#order = order.every((row, position) => row === position) ? undefined : order
  }

  /** Positions of a symbol's bars with `fromMs ≤ time ≤ toMs`. */
  range(symbol: string, fromMs: number, toMs: number): Rows {
    const rows = this.#rows.get(symbol)
    if (rows === undefined) return { start: 0, end: 0 }
    return { start: this.#firstAtOrAfter(rows, fromMs), end: this.#firstAtOrAfter(rows, toMs + 1) }
  }

  /** Earliest and latest time over all symbols; `undefined` when there are no bars. */
  extent(): { readonly first: number; readonly last: number } | undefined {
    if (this.length === 0) return undefined
    let first = Infinity
    let last = -Infinity
    for (const { start, end } of this.#rows.values()) {
      first = Math.min(first, this.#timeAt(start))
      last = Math.max(last, this.#timeAt(end - 1))
    }
    return { first, last }
  }

  /** Distinct times from the latest backwards; stops when `visit` returns false. */
  timesDescending(visit: (time: number) => boolean): void {
    const times = [...new Set(this.#batch.time.subarray(0, this.length))].sort((a, b) => b - a)
    for (const time of times) if (!visit(time)) return
  }

  /** Copies rows into a builder. */
  copy({ start, end }: Rows, builder: BarBatchBuilder): void {
    for (let position = start; position < end; position++) builder.addFrom(this.#batch, this.#rowAt(position))
  }

  #rowAt(position: number): number {
    return this.#order === undefined ? position : this.#order[position]!
  }

  #timeAt(position: number): number {
    return this.#batch.time[this.#rowAt(position)]!
  }

  #firstAtOrAfter({ start, end }: Rows, time: number): number {
    let low = start
    let high = end
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#timeAt(middle) < time) low = middle + 1
      else high = middle
    }
    return low
  }
}

/** Counting sort by symbol, then a stable sort by time inside a symbol where the file was not in order. */
function sortOrder(batch: BarBatch) {
  const counts = new Int32Array(batch.symbols.length)
  for (let row = 0; row < batch.length; row++) counts[batch.symbolIndex[row]!]!++
  const bySymbol = batch.symbols
    .map((symbol, index) => ({ symbol, index }))
    .filter(({ index }) => counts[index]! > 0)
    .sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
  const next = new Int32Array(batch.symbols.length)
  const rows = new Map<string, Rows>()
  let position = 0
  for (const { symbol, index } of bySymbol) {
    next[index] = position
    rows.set(symbol, { start: position, end: position + counts[index]! })
    position += counts[index]!
  }
  const order = new Int32Array(batch.length)
  for (let row = 0; row < batch.length; row++) order[next[batch.symbolIndex[row]!]!++] = row
  for (const { start, end } of rows.values()) {
    const slice = order.subarray(start, end)
    let sorted = true
    for (let row = 1; row < slice.length && sorted; row++) {
      sorted = batch.time[slice[row - 1]!]! <= batch.time[slice[row]!]!
    }
    if (!sorted) slice.sort((a, b) => batch.time[a]! - batch.time[b]! || a - b)
  }
  return { order, rows, symbols: bySymbol.map(({ symbol }) => symbol) }
}
