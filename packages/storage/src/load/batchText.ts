import {
  type BarBatch,
  BarBatchBuilder,
  type Interval,
  VarveError,
  formatScaled,
  parseScaled,
} from '@varve/core'
import { type Dataset, datasetDefinition } from '../records/datasets.ts'
import type { RecordBatch, RecordInput } from '../records/RecordStore.ts'
import type { LoadBatch } from './Loader.ts'

/** Bars as plain JSON: one list per column, numbers as exact text. */
interface BarsText {
  readonly dataset: 'bars'
  readonly interval: Interval
  readonly source: BarBatch['source']
  readonly recordedAt: number
  readonly symbols: readonly string[]
  readonly symbolIndex: readonly number[]
  readonly time: readonly number[]
  readonly sourceRow: readonly number[]
  readonly open: readonly string[]
  readonly high: readonly string[]
  readonly low: readonly string[]
  readonly close: readonly string[]
  readonly volume: readonly string[]
}

/**
 * A batch as JSON text that {@link parseBatch} turns into the same batch.
 *
 * @param recordedAt - when it became known, for a batch that does not say it itself
 */
export function formatBatch(batch: LoadBatch, recordedAt: number): string {
  if (batch.dataset === 'bars') return JSON.stringify(barsText(batch.batch, batch.recordedAt ?? recordedAt))
  const rows = (batch as RecordBatch<Dataset>).rows.map((row) => ({
    ...row,
    values: valuesText(batch.dataset, row.values),
  }))
  return JSON.stringify({
    dataset: batch.dataset,
    source: batch.source,
    recordedAt: batch.recordedAt ?? recordedAt,
    rows,
  })
}

/** @throws `LOAD_RECOVERY_DAMAGED` when the text is no batch */
export function parseBatch(text: string): LoadBatch {
  try {
    const value = JSON.parse(text) as BarsText | RecordBatch<Dataset>
    if (value.dataset === 'bars') {
      return { dataset: 'bars', batch: parseBars(value), recordedAt: value.recordedAt }
    }
    datasetDefinition(value.dataset).columns.at(0)
    if (!Array.isArray(value.rows)) throw new Error('it has no rows')
    return value as LoadBatch
  } catch (cause) {
    throw new VarveError(`this is no batch of bars or records: ${String(cause)}`, {
      code: 'LOAD_RECOVERY_DAMAGED',
      cause,
    })
  }
}

/** Rows of a batch. */
export function rowCount(batch: LoadBatch): number {
  return batch.dataset === 'bars' ? batch.batch.length : batch.rows.length
}

/** Scaled numbers become their decimal text, which is read back exactly. */
function valuesText(dataset: Dataset, values: unknown): Readonly<Record<string, unknown>> | undefined {
  if (values === undefined || values === null) return undefined
  const kinds = new Map(datasetDefinition(dataset).columns.map((column) => [column.name, column.kind]))
  return Object.fromEntries(
    Object.entries(values).map(([name, value]: [string, unknown]) => {
      if (typeof value !== 'bigint') return [name, value]
      const kind = kinds.get(name)
      if (kind === 'decimal') return [name, formatScaled(value)]
      return [name, kind === 'integer' ? Number(value) : String(value)]
    }),
  )
}

function barsText(batch: BarBatch, recordedAt: number): BarsText {
  const list = (column: Int32Array | Float64Array) => [...column.subarray(0, batch.length)]
  const scaled = (column: BigInt64Array) => Array.from(column.subarray(0, batch.length), formatScaled)
  return {
    dataset: 'bars',
    interval: batch.interval,
    source: batch.source,
    recordedAt,
    symbols: batch.symbols,
    symbolIndex: list(batch.symbolIndex),
    time: list(batch.time),
    sourceRow: list(batch.sourceRow),
    open: scaled(batch.open),
    high: scaled(batch.high),
    low: scaled(batch.low),
    close: scaled(batch.close),
    volume: scaled(batch.volume),
  }
}

function parseBars(text: BarsText): BarBatch {
  const builder = new BarBatchBuilder(text.interval, text.source, text.time.length)
  for (let row = 0; row < text.time.length; row++) {
    builder.add(
      text.symbols[text.symbolIndex[row]!]!,
      text.time[row]!,
      parseScaled(text.open[row]!),
      parseScaled(text.high[row]!),
      parseScaled(text.low[row]!),
      parseScaled(text.close[row]!),
      parseScaled(text.volume[row]!),
      text.sourceRow[row],
    )
  }
  return builder.build()
}

/** The part of a record batch from row `start` on, at most `size` rows. */
export function partOf<D extends Dataset>(
  batch: RecordBatch<D>,
  start: number,
  size: number,
): RecordBatch<D> {
  const rows: readonly RecordInput<D>[] = batch.rows.slice(start, start + size)
  return { ...batch, rows }
}
