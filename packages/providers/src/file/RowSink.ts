import type { BarBatch, BarSource, Interval } from '@varve/core'
import { BarBatchBuilder } from '@varve/core'
import type { RejectedRow } from '../model.ts'
import type { NumberCell } from '../numberCell.ts'
import { describeNumberFaults } from '../numberCell.ts'
import type { CellFault } from './parseCell.ts'

/** Rows of a file as they come: those that could be read exactly, and those that could not. */
export interface FileChunk {
  readonly batch: BarBatch
  readonly rejected: readonly RejectedRow[]
  /** Data rows read so far, over all files. */
  readonly rowsDone: number
  /** Over all files; `null` when a file does not say. */
  readonly rowsTotal: number | null
  /** The file the rows come from; `sourceRow` counts within it. */
  readonly file: string
}

/** What a reader hands out for one file. */
export interface FilePart {
  readonly batch: BarBatch
  readonly rejected: readonly RejectedRow[]
  /** Data rows of this file so far. */
  readonly rows: number
}

/** One row, cell by cell; `raw` is asked for only when the row is rejected. */
export interface RowCells {
  readonly symbol: string | null
  readonly time: number | CellFault
  readonly open: NumberCell
  readonly high: NumberCell
  readonly low: NumberCell
  readonly close: NumberCell
  readonly volume: NumberCell
}

/** Collects the rows of one file and cuts them into batches. */
export class RowSink {
  readonly #file: string
  readonly #interval: Interval
  readonly #source: BarSource
  readonly #capacity: number
  #builder: BarBatchBuilder
  #rejected: RejectedRow[] = []
  #rows: number

  /** @param rowsBefore - data rows of the file before the first one added */
  constructor(file: string, interval: Interval, source: BarSource, capacity: number, rowsBefore = 0) {
    this.#rows = rowsBefore
    this.#file = file
    this.#interval = interval
    this.#source = source
    this.#capacity = capacity
    this.#builder = new BarBatchBuilder(interval, source, capacity)
  }

  /** Data rows seen. */
  get rows(): number {
    return this.#rows
  }

  /** Rows since the last `take`. */
  get pending(): number {
    return this.#builder.length + this.#rejected.length
  }

  add(cells: RowCells, raw: () => Readonly<Record<string, string | null>>): void {
    const row = ++this.#rows
    const { symbol, time, open, high, low, close, volume } = cells
    if (
      symbol !== null &&
      typeof time === 'number' &&
      typeof open === 'bigint' &&
      typeof high === 'bigint' &&
      typeof low === 'bigint' &&
      typeof close === 'bigint' &&
      typeof volume === 'bigint'
    ) {
      this.#builder.add(symbol, time, open, high, low, close, volume, row)
      return
    }
    const { rule, message } = describeFault(cells)
    this.#rejected.push({
      symbol,
      time: typeof time === 'number' ? time : null,
      rule,
      message: `row ${row} of ${this.#file}: ${message}`,
      sourceRow: row,
      origin: this.#file,
      raw: raw(),
    })
  }

  /** The rows since the last call. */
  take(): FilePart {
    const part = { batch: this.#builder.build(), rejected: this.#rejected, rows: this.#rows }
    this.#builder = new BarBatchBuilder(this.#interval, this.#source, this.#capacity)
    this.#rejected = []
    return part
  }
}

/** The first fault of a row, in the order of the fields. */
function describeFault(cells: RowCells): { readonly rule: string; readonly message: string } {
  if (cells.symbol === null) return { rule: 'symbol_missing', message: 'the symbol is empty' }
  if (typeof cells.time === 'string')
    return { rule: 'date_invalid', message: 'the date is no date of this interval' }
  const { open, high, low, close, volume } = cells
  const described = describeNumberFaults(Object.entries({ open, high, low, close, volume }))
  return described ?? { rule: 'unreadable', message: 'the row cannot be read' }
}
