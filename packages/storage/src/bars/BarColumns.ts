const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1
/** Position of the low and the high half of a 64-bit value among its two 32-bit words. */
export const LOW_WORD = LITTLE_ENDIAN ? 0 : 1
export const HIGH_WORD = 1 - LOW_WORD

/** 2^32 */
const WORD = 4_294_967_296
/** Open, high, low, close and volume. */
export const VALUE_COLUMNS = 5

/**
 * Bars in columns for work inside the store: like a `BarBatch`, but `series` is a number the caller gives meaning
 * to. `words[k]` is `values[k]` seen as 32-bit halves, so that hot loops need no bigint.
 */
export class BarColumns {
  length = 0
  series: Int32Array<ArrayBuffer>
  time: Float64Array<ArrayBuffer>
  /** Since when these values were known, milliseconds UTC; 0 where nobody asked. */
  recorded: Float64Array<ArrayBuffer>
  values: BigInt64Array<ArrayBuffer>[]
  words: Int32Array<ArrayBuffer>[]

  constructor(capacity = 1024) {
    const size = Math.max(16, capacity)
    this.series = new Int32Array(size)
    this.time = new Float64Array(size)
    this.recorded = new Float64Array(size)
    this.values = Array.from({ length: VALUE_COLUMNS }, () => new BigInt64Array(size))
    this.words = this.values.map((column) => new Int32Array(column.buffer))
  }

  /** Makes room for one more row and returns its index; the caller fills it. */
  reserve(): number {
    if (this.length === this.series.length) this.#grow()
    return this.length++
  }

  /** Copies a row of other columns. */
  addFrom(other: BarColumns, row: number, series = other.series[row]!): void {
    const at = this.reserve()
    this.series[at] = series
    this.time[at] = other.time[row]!
    this.recorded[at] = other.recorded[row]!
    for (let column = 0; column < VALUE_COLUMNS; column++) {
      const from = other.words[column]!
      const to = this.words[column]!
      to[2 * at] = from[2 * row]!
      to[2 * at + 1] = from[2 * row + 1]!
    }
  }

  /** Writes one row over another. */
  move(from: number, to: number): void {
    this.series[to] = this.series[from]!
    this.time[to] = this.time[from]!
    this.recorded[to] = this.recorded[from]!
    for (const column of this.words) {
      column[2 * to] = column[2 * from]!
      column[2 * to + 1] = column[2 * from + 1]!
    }
  }

  #grow(): void {
    const size = this.series.length * 2
    const series = new Int32Array(size)
    series.set(this.series)
    this.series = series
    const time = new Float64Array(size)
    time.set(this.time)
    this.time = time
    const recorded = new Float64Array(size)
    recorded.set(this.recorded)
    this.recorded = recorded
    this.values = this.values.map((column) => {
      const next = new BigInt64Array(size)
      next.set(column)
      return next
    })
    this.words = this.values.map((column) => new Int32Array(column.buffer))
  }
}

/** Writes an integer of at most 2^53 as a 64-bit value. */
export function setSafeInteger(words: Int32Array, row: number, value: number): void {
  const high = Math.floor(value / WORD)
  words[2 * row + HIGH_WORD] = high
  words[2 * row + LOW_WORD] = value - high * WORD
}

/** Whether two rows hold the same prices and volume. */
export function sameValues(a: BarColumns, i: number, b: BarColumns, j: number): boolean {
  for (let column = 0; column < VALUE_COLUMNS; column++) {
    const left = a.words[column]!
    const right = b.words[column]!
    if (left[2 * i] !== right[2 * j] || left[2 * i + 1] !== right[2 * j + 1]) return false
  }
  return true
}

/**
 * Order of rows by series, then time; rows with equal keys keep their order. Linear in the number of rows as long
 * as each series' rows arrive by time.
 *
 * @param seriesCount - series are numbered from 0 to below this
 * @returns `undefined` when the rows are in order already
 */
export function orderOf(columns: BarColumns, seriesCount: number): Int32Array | undefined {
  const { length, series, time } = columns
  let sorted = true
  for (let row = 1; row < length && sorted; row++) {
    const step = series[row]! - series[row - 1]!
    sorted = step > 0 || (step === 0 && time[row]! >= time[row - 1]!)
  }
  if (sorted) return undefined
  const starts = new Int32Array(seriesCount + 1)
  for (let row = 0; row < length; row++) starts[series[row]! + 1]!++
  for (let index = 0; index < seriesCount; index++) starts[index + 1]! += starts[index]!
  const next = starts.slice()
  const order = new Int32Array(length)
  for (let row = 0; row < length; row++) order[next[series[row]!]!++] = row
  for (let index = 0; index < seriesCount; index++) {
    const part = order.subarray(starts[index]!, starts[index + 1]!)
    let ascending = true
    for (let at = 1; at < part.length && ascending; at++) ascending = time[part[at]!]! >= time[part[at - 1]!]!
    if (!ascending) part.sort((a, b) => time[a]! - time[b]! || a - b)
  }
  return order
}

/** The rows in {@link orderOf}; the columns themselves when they are in order. */
export function sortColumns(columns: BarColumns, seriesCount: number): BarColumns {
  const order = orderOf(columns, seriesCount)
  if (order === undefined) return columns
  const sorted = new BarColumns(columns.length)
  for (const row of order) sorted.addFrom(columns, row)
  return sorted
}
