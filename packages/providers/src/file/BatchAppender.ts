import type { BarBatch, BarSource, Interval } from '@varve/core'

type Column = Int32Array<ArrayBuffer> | Float64Array<ArrayBuffer> | BigInt64Array<ArrayBuffer>

interface Columns {
  symbolIndex: Int32Array<ArrayBuffer>
  time: Float64Array<ArrayBuffer>
  open: BigInt64Array<ArrayBuffer>
  high: BigInt64Array<ArrayBuffer>
  low: BigInt64Array<ArrayBuffer>
  close: BigInt64Array<ArrayBuffer>
  volume: BigInt64Array<ArrayBuffer>
  sourceRow: Int32Array<ArrayBuffer>
}

function allocate(rows: number): Columns {
  return {
    symbolIndex: new Int32Array(rows),
    time: new Float64Array(rows),
    open: new BigInt64Array(rows),
    high: new BigInt64Array(rows),
    low: new BigInt64Array(rows),
    close: new BigInt64Array(rows),
    volume: new BigInt64Array(rows),
    sourceRow: new Int32Array(rows),
  }
}

/** Joins batches column by column: no row ever becomes an object, and no price a boxed bigint. */
export class BatchAppender {
  readonly #interval: Interval
  readonly #source: BarSource
  readonly #symbols: string[] = []
  readonly #index = new Map<string, number>()
  #columns: Columns
  #length = 0

  constructor(interval: Interval, source: BarSource, capacity: number) {
    this.#interval = interval
    this.#source = source
    this.#columns = allocate(Math.max(1, capacity))
  }

  append(batch: BarBatch): void {
    const start = this.#length
    const end = start + batch.length
    const columns = this.#reserve(end)
    const positions = batch.symbols.map((symbol) => this.#position(symbol))
    for (let row = 0; row < batch.length; row++)
      columns.symbolIndex[start + row] = positions[batch.symbolIndex[row]!]!
    columns.time.set(batch.time.subarray(0, batch.length), start)
    columns.open.set(batch.open.subarray(0, batch.length), start)
    columns.high.set(batch.high.subarray(0, batch.length), start)
    columns.low.set(batch.low.subarray(0, batch.length), start)
    columns.close.set(batch.close.subarray(0, batch.length), start)
    columns.volume.set(batch.volume.subarray(0, batch.length), start)
    columns.sourceRow.set(batch.sourceRow.subarray(0, batch.length), start)
    this.#length = end
  }

  build(): BarBatch {
    return {
      interval: this.#interval,
      source: this.#source,
      length: this.#length,
      symbols: this.#symbols,
      ...this.#columns,
    }
  }

  #position(symbol: string): number {
    const known = this.#index.get(symbol)
    if (known !== undefined) return known
    this.#index.set(symbol, this.#symbols.length)
    return this.#symbols.push(symbol) - 1
  }

  #reserve(rows: number): Columns {
    const capacity = this.#columns.time.length
    if (rows <= capacity) return this.#columns
    const old = this.#columns
    this.#columns = allocate(Math.max(rows, capacity * 2))
    for (const key of Object.keys(old) as (keyof Columns)[]) {
      // Both are the same column, hence of one type; TypeScript cannot pair them by key.
      ;(this.#columns[key] as Column & { set(from: Column): void }).set(old[key])
    }
    return this.#columns
  }
}
