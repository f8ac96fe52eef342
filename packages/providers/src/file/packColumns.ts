import { formatScaled } from '@varve/core'
import type { SchemaElement } from 'hyparquet'
import { numberDecoder, rawText, textDecoder, timeDecoder } from './parquetCells.ts'
import type { NumberCell, NumberFault } from '../numberCell.ts'
import type { CellFault } from './parseCell.ts'

/** A cell that could not be read, and what the file wrote there. */
interface FaultyCell<F> {
  readonly fault: F
  readonly raw: string | null
}

/** Cells that could not be read, by row: nearly always none. */
class Faults<F> {
  readonly #cells = new Map<number, FaultyCell<F>>()

  set(row: number, cell: FaultyCell<F>): void {
    this.#cells.set(row, cell)
  }

  get(row: number): FaultyCell<F> | undefined {
    return this.#cells.size === 0 ? undefined : this.#cells.get(row)
  }

  within(from: number, to: number): boolean {
    for (const row of this.#cells.keys()) if (row >= from && row < to) return true
    return false
  }
}

/** One numeric column of a row group: scaled values in 8 bytes each. */
export interface PackedNumbers {
  readonly values: BigInt64Array
  at(row: number): NumberCell
  raw(row: number): string | null
  hasFaults(from: number, to: number): boolean
}

export function packNumbers(cells: ArrayLike<unknown>, element: SchemaElement): PackedNumbers {
  const decode = numberDecoder(element)
  const values = new BigInt64Array(cells.length)
  const faults = new Faults<NumberFault>()
  for (let row = 0; row < cells.length; row++) {
    const value = decode(cells[row])
    if (typeof value === 'bigint') values[row] = value
    else faults.set(row, { fault: value, raw: rawText(element, cells[row]) })
  }
  return {
    values,
    at: (row) => faults.get(row)?.fault ?? values[row]!,
    raw: (row) => {
      const cell = faults.get(row)
      return cell === undefined ? formatScaled(values[row]!) : cell.raw
    },
    hasFaults: (from, to) => faults.within(from, to),
  }
}

/** The symbol column of a row group: an index into distinct names. */
export interface PackedSymbols {
  readonly names: readonly string[]
  readonly index: Int32Array
  at(row: number): string | null
  hasFaults(from: number, to: number): boolean
}

export function packSymbols(cells: ArrayLike<unknown>): PackedSymbols {
  const decode = textDecoder()
  const names: string[] = []
  const known = new Map<string, number>()
  const index = new Int32Array(cells.length)
  const faults = new Faults<'null'>()
  // Dictionary pages repeat the same bytes object: one decoding serves all its rows.
  let lastCell: unknown
  let lastName: string | null = null
  for (let row = 0; row < cells.length; row++) {
    if (row === 0 || cells[row] !== lastCell) {
      lastCell = cells[row]
      lastName = decode(lastCell)
    }
    if (lastName === null) {
      faults.set(row, { fault: 'null', raw: null })
      continue
    }
    let position = known.get(lastName)
    if (position === undefined) {
      position = names.push(lastName) - 1
      known.set(lastName, position)
    }
    index[row] = position
  }
  return {
    names,
    index,
    at: (row) => (faults.get(row) === undefined ? names[index[row]!]! : null),
    hasFaults: (from, to) => faults.within(from, to),
  }
}

/** The date or time column of a row group, milliseconds UTC. */
export interface PackedTimes {
  readonly values: Float64Array
  at(row: number): number | CellFault
  raw(row: number): string | null
  hasFaults(from: number, to: number): boolean
}

export function packTimes(cells: ArrayLike<unknown>, element: SchemaElement, daily: boolean): PackedTimes {
  const decode = timeDecoder(element, daily)
  const values = new Float64Array(cells.length)
  const faults = new Faults<CellFault>()
  for (let row = 0; row < cells.length; row++) {
    const value = decode(cells[row])
    if (typeof value === 'number') values[row] = value
    else faults.set(row, { fault: value, raw: rawText(element, cells[row]) })
  }
  return {
    values,
    at: (row) => faults.get(row)?.fault ?? values[row]!,
    raw: (row) => {
      const cell = faults.get(row)
      if (cell !== undefined) return cell.raw
      const text = new Date(values[row]!).toISOString()
      return daily ? text.slice(0, 10) : text
    },
    hasFaults: (from, to) => faults.within(from, to),
  }
}
