import { type BarBatch, MAX_SCALED, VarveError, formatScaled } from '@varve/core'
import { BarColumns, HIGH_WORD, LOW_WORD, orderOf, sameValues } from './BarColumns.ts'
import { MAX_TIME, MIN_TIME } from './instants.ts'

const NAMES = ['open', 'high', 'low', 'close', 'volume'] as const
const MAX_HIGH = Number(MAX_SCALED >> 32n)

/** A batch by distinct (symbol, time), sorted. */
export interface DistinctBars {
  /** In code-unit order; `rows.series` points into them. */
  readonly symbols: readonly string[]
  readonly rows: BarColumns
  readonly duplicates: number
  readonly conflicts: number
}

/**
 * Sorts a batch by symbol and time and keeps one row per key: repeated rows collapse, of contradicting rows the
 * last one wins.
 *
 * @param recordedAt - since when the values are known, milliseconds UTC
 * @throws `BAR_INVALID` for a time that is no whole millisecond of 1800 to 2199, or a value beyond NUMERIC(18,6)
 */
export function distinctBars(batch: BarBatch, recordedAt: number): DistinctBars {
  const { length } = batch
  const used = new Uint8Array(batch.symbols.length)
  for (let row = 0; row < length; row++) used[batch.symbolIndex[row]!] = 1
  const symbols = batch.symbols.filter((_, index) => used[index] === 1).sort()
  const distinct = symbols.filter((symbol, index) => index === 0 || symbols[index - 1] !== symbol)
  const position = new Map(distinct.map((symbol, index) => [symbol, index]))
  const rank = Int32Array.from(batch.symbols, (symbol) => position.get(symbol) ?? -1)

  const input = new BarColumns(0)
  input.length = length
  input.series = new Int32Array(length)
  for (let row = 0; row < length; row++) input.series[row] = rank[batch.symbolIndex[row]!]!
  input.time = batch.time.length === length ? float64(batch.time) : float64(batch.time.subarray(0, length))
  input.recorded = new Float64Array(length).fill(recordedAt)
  input.values = [batch.open, batch.high, batch.low, batch.close, batch.volume].map(int64)
  input.words = input.values.map(
    (column) => new Int32Array(column.buffer, column.byteOffset, column.length * 2),
  )
  check(input, distinct)

  const order = orderOf(input, distinct.length)
  const rows = new BarColumns(length)
  let duplicates = 0
  let conflicts = 0
  for (let index = 0; index < length; index++) {
    const row = order === undefined ? index : order[index]!
    const last = rows.length - 1
    if (last >= 0 && rows.series[last] === input.series[row] && rows.time[last] === input.time[row]) {
      if (sameValues(rows, last, input, row)) {
        duplicates++
        continue
      }
      conflicts++
      rows.length--
    }
    rows.addFrom(input, row)
  }
  return { symbols: distinct, rows, duplicates, conflicts }
}

function check(input: BarColumns, symbols: readonly string[]): void {
  for (let row = 0; row < input.length; row++) {
    const time = input.time[row]!
    if (!(time >= MIN_TIME && time < MAX_TIME && Number.isInteger(time))) {
      throw invalid(
        `the bar of ${symbols[input.series[row]!]} has the time ${time}; expected whole milliseconds from 1800 to 2199`,
        {
          symbol: symbols[input.series[row]!],
          time,
        },
      )
    }
    for (let column = 0; column < NAMES.length; column++) {
      const words = input.words[column]!
      const high = words[2 * row + HIGH_WORD]!
      if (high > -MAX_HIGH && high < MAX_HIGH) continue
      const value = (BigInt(high) << 32n) | BigInt(words[2 * row + LOW_WORD]! >>> 0)
      if (value <= MAX_SCALED && value >= -MAX_SCALED) continue
      throw invalid(
        `the bar of ${symbols[input.series[row]!]} at ${new Date(time).toISOString()} has ${NAMES[column]} ${formatScaled(value)}; at most 999999999999.999999 can be stored`,
        { symbol: symbols[input.series[row]!], time, field: NAMES[column] },
      )
    }
  }
}

function invalid(message: string, details: Record<string, unknown>): VarveError {
  return new VarveError(message, { code: 'BAR_INVALID', details })
}

/** The column itself when its buffer can be seen as 32-bit words, else a copy. */
function int64(column: BigInt64Array): BigInt64Array<ArrayBuffer> {
  return column.buffer instanceof ArrayBuffer
    ? (column as BigInt64Array<ArrayBuffer>)
    : new BigInt64Array(column)
}

function float64(column: Float64Array): Float64Array<ArrayBuffer> {
  return column.buffer instanceof ArrayBuffer
    ? (column as Float64Array<ArrayBuffer>)
    : new Float64Array(column)
}
