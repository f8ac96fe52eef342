import type { Interval } from './Interval.ts'

/** Where bars came from. Bars of different feeds are different facts and are never spliced silently. */
export interface BarSource {
  /** `polygon`, `alpaca`, `file`, … */
  readonly provider: string
  /** `sip`, `iex`, or the name of a file's source. */
  readonly feed: string
  /** Prices as traded, or as a vendor restated them. */
  readonly adjustment: 'raw' | 'split' | 'dividend' | 'all'
}

/** One bar. Prices and volume are scaled by 10^6. */
export interface Bar {
  readonly symbol: string
  /** Start of the bar, milliseconds UTC; for `1d` UTC midnight of the session date. */
  readonly time: number
  readonly open: bigint
  readonly high: bigint
  readonly low: bigint
  readonly close: bigint
  readonly volume: bigint
  /** Position in the source (row of a file, counted from 1), or -1. */
  readonly sourceRow: number
}

/**
 * Bars in columns: `length` rows of one interval and one source. `symbolIndex[i]` points into `symbols`; `time`
 * holds milliseconds UTC (for `1d`, UTC midnight of the session date); prices and volume are scaled by 10^6.
 * `sourceRow` is the position in the source, counted from 1, or -1. About 56 bytes a row. Columns may be longer than `length`; rows past it mean nothing.
 */
export interface BarBatch {
  readonly interval: Interval
  readonly source: BarSource
  readonly length: number
  readonly symbols: readonly string[]
  readonly symbolIndex: Int32Array
  readonly time: Float64Array
  readonly open: BigInt64Array
  readonly high: BigInt64Array
  readonly low: BigInt64Array
  readonly close: BigInt64Array
  readonly volume: BigInt64Array
  readonly sourceRow: Int32Array
}

/** A row to add; `sourceRow` may be left out. */
export type BarRowInput = Omit<Bar, 'sourceRow'> & { readonly sourceRow?: number }

/** Collects rows into a {@link BarBatch}; grows as needed. */
export class BarBatchBuilder {
  readonly interval: Interval
  readonly source: BarSource
  #length = 0
  #capacity: number
  readonly #symbols: string[] = []
  readonly #index = new Map<string, number>()
  #symbolIndex: Int32Array<ArrayBuffer>
  #time: Float64Array<ArrayBuffer>
  #open: BigInt64Array<ArrayBuffer>
  #high: BigInt64Array<ArrayBuffer>
  #low: BigInt64Array<ArrayBuffer>
  #close: BigInt64Array<ArrayBuffer>
  #volume: BigInt64Array<ArrayBuffer>
  #sourceRow: Int32Array<ArrayBuffer>

  constructor(interval: Interval, source: BarSource, capacity = 1024) {
    this.interval = interval
    this.source = source
    this.#capacity = Math.max(1, capacity)
    this.#symbolIndex = new Int32Array(this.#capacity)
    this.#time = new Float64Array(this.#capacity)
    this.#open = new BigInt64Array(this.#capacity)
    this.#high = new BigInt64Array(this.#capacity)
    this.#low = new BigInt64Array(this.#capacity)
    this.#close = new BigInt64Array(this.#capacity)
    this.#volume = new BigInt64Array(this.#capacity)
    this.#sourceRow = new Int32Array(this.#capacity)
  }

  get length(): number {
    return this.#length
  }

  add(
    symbol: string,
    time: number,
    open: bigint,
    high: bigint,
    low: bigint,
    close: bigint,
    volume: bigint,
    sourceRow = -1,
  ): void {
    if (this.#length === this.#capacity) this.#grow()
    let index = this.#index.get(symbol)
    if (index === undefined) {
      index = this.#symbols.length
      this.#symbols.push(symbol)
      this.#index.set(symbol, index)
    }
    const row = this.#length++
    this.#symbolIndex[row] = index
    this.#time[row] = time
    this.#open[row] = open
    this.#high[row] = high
    this.#low[row] = low
    this.#close[row] = close
    this.#volume[row] = volume
    this.#sourceRow[row] = sourceRow
  }

  addBar(bar: BarRowInput): void {
    this.add(bar.symbol, bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume, bar.sourceRow)
  }

  /** Copies one row of another batch. */
  addFrom(batch: BarBatch, row: number): void {
    this.add(
      batch.symbols[batch.symbolIndex[row]!]!,
      batch.time[row]!,
      batch.open[row]!,
      batch.high[row]!,
      batch.low[row]!,
      batch.close[row]!,
      batch.volume[row]!,
      batch.sourceRow[row]!,
    )
  }

  /** The rows so far. The builder must not be used afterwards. */
  build(): BarBatch {
    return {
      interval: this.interval,
      source: this.source,
      length: this.#length,
      symbols: this.#symbols,
      symbolIndex: this.#symbolIndex,
      time: this.#time,
      open: this.#open,
      high: this.#high,
      low: this.#low,
      close: this.#close,
      volume: this.#volume,
      sourceRow: this.#sourceRow,
    }
  }

  #grow(): void {
    this.#capacity *= 2
    const int32 = (old: Int32Array) => {
      const next = new Int32Array(this.#capacity)
      next.set(old)
      return next
    }
    const float64 = (old: Float64Array) => {
      const next = new Float64Array(this.#capacity)
      next.set(old)
      return next
    }
    const int64 = (old: BigInt64Array) => {
      const next = new BigInt64Array(this.#capacity)
      next.set(old)
      return next
    }
    this.#symbolIndex = int32(this.#symbolIndex)
    this.#time = float64(this.#time)
    this.#open = int64(this.#open)
    this.#high = int64(this.#high)
    this.#low = int64(this.#low)
    this.#close = int64(this.#close)
    this.#volume = int64(this.#volume)
    this.#sourceRow = int32(this.#sourceRow)
  }
}

/** One row as an object. */
export function barAt(batch: BarBatch, row: number): Bar {
  return {
    symbol: batch.symbols[batch.symbolIndex[row]!]!,
    time: batch.time[row]!,
    open: batch.open[row]!,
    high: batch.high[row]!,
    low: batch.low[row]!,
    close: batch.close[row]!,
    volume: batch.volume[row]!,
    sourceRow: batch.sourceRow[row]!,
  }
}

export function emptyBarBatch(interval: Interval, source: BarSource): BarBatch {
  return new BarBatchBuilder(interval, source, 1).build()
}

/** The rows for which `keep` is true, in order. */
export function selectBars(batch: BarBatch, keep: (row: number) => boolean): BarBatch {
  const builder = new BarBatchBuilder(batch.interval, batch.source, Math.max(1, batch.length))
  for (let row = 0; row < batch.length; row++) if (keep(row)) builder.addFrom(batch, row)
  return builder.build()
}

/** Batches of one interval and source as one. */
export function concatBarBatches(
  interval: Interval,
  source: BarSource,
  batches: readonly BarBatch[],
): BarBatch {
  const total = batches.reduce((sum, batch) => sum + batch.length, 0)
  const builder = new BarBatchBuilder(interval, source, Math.max(1, total))
  for (const batch of batches) for (let row = 0; row < batch.length; row++) builder.addFrom(batch, row)
  return builder.build()
}

/** Sorted by symbol (code-unit order), then time; equal keys keep their order. */
export function sortBars(batch: BarBatch): BarBatch {
  const rank = new Int32Array(batch.symbols.length)
  batch.symbols
    .map((symbol, index) => ({ symbol, index }))
    .sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
    .forEach((entry, position) => {
      rank[entry.index] = position
    })
  const order = new Int32Array(batch.length)
  let sorted = true
  for (let row = 0; row < batch.length; row++) {
    order[row] = row
    if (row > 0 && sorted) {
      const bySymbol = rank[batch.symbolIndex[row - 1]!]! - rank[batch.symbolIndex[row]!]!
      if (bySymbol > 0 || (bySymbol === 0 && batch.time[row - 1]! > batch.time[row]!)) sorted = false
    }
  }
  if (sorted) return batch
  order.sort(
    (a, b) =>
      rank[batch.symbolIndex[a]!]! - rank[batch.symbolIndex[b]!]! || batch.time[a]! - batch.time[b]! || a - b,
  )
  const builder = new BarBatchBuilder(batch.interval, batch.source, Math.max(1, batch.length))
  for (const row of order) builder.addFrom(batch, row)
  return builder.build()
}
