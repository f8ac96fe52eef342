import { brotliDecompressSync, gunzipSync, zstdDecompressSync } from 'node:zlib'
import type { BarSource, Interval } from '@varve/core'
import { errorMessage, isVarveError } from '@varve/core'
import type { Compressors, FileMetaData, SchemaElement } from 'hyparquet'
import { asyncBufferFromFile, parquetMetadataAsync, parquetScan } from 'hyparquet'
import { fileUnreadable } from '../errors.ts'
import type { Field, NumberField } from './columns.ts'
import { FIELDS, findFields, NUMBER_FIELDS } from './columns.ts'
import type { PackedNumbers, PackedSymbols, PackedTimes } from './packColumns.ts'
import { packNumbers, packSymbols, packTimes } from './packColumns.ts'
import type { ReadFileOptions } from './readCsv.ts'
import type { FilePart } from './RowSink.ts'
import { RowSink } from './RowSink.ts'

/** Node has all but SNAPPY, which hyparquet brings. */
const compressors: Compressors = {
  ZSTD: (input) => zstdDecompressSync(input),
  GZIP: (input) => gunzipSync(input),
  BROTLI: (input) => brotliDecompressSync(input),
}

/** An opened Parquet file: its footer, with the annotations that would make hyparquet round or convert taken off. */
interface OpenParquet {
  readonly metadata: FileMetaData
  /** Columns at the top level, as the file declares them. */
  readonly columns: readonly SchemaElement[]
}

async function openParquet(
  file: string,
): Promise<OpenParquet & { readonly buffer: Awaited<ReturnType<typeof asyncBufferFromFile>> }> {
  try {
    const buffer = await asyncBufferFromFile(file)
    const metadata = await parquetMetadataAsync(buffer)
    const columns = metadata.schema.slice(1).map((element) => ({ ...element }))
    for (const element of metadata.schema) {
      // hyparquet turns DECIMAL into doubles and dates into Date objects: both go by way of inexact numbers.
      const kind = element.logical_type?.type ?? element.converted_type ?? ''
      if (/^(DECIMAL|DATE|TIMESTAMP)/.test(kind) || element.converted_type === 'DECIMAL') {
        delete element.converted_type
        delete element.logical_type
      }
    }
    return { buffer, metadata, columns }
  } catch (error) {
    throw fileUnreadable(file, errorMessage(error), error)
  }
}

/** Rows of a Parquet file, from its footer alone. */
export async function countParquetRows(file: string): Promise<number> {
  return Number((await openParquet(file)).metadata.num_rows)
}

/**
 * Streams a Parquet file row group by row group, decoding decimals, integers and dates from their unscaled values.
 *
 * @throws `FILE_COLUMNS_MISSING`, `FILE_UNREADABLE`
 */
export async function* readParquet(file: string, options: ReadFileOptions): AsyncGenerator<FilePart> {
  const { interval, source, chunkRows, signal } = options
  const daily = interval === '1d'
  const { buffer, metadata, columns } = await openParquet(file)
  const at = findFields(
    file,
    columns.map((column) => column.name),
    daily,
    options.fieldNames,
  )
  const element = (field: Field): SchemaElement => columns[at[field]]!
  const names = FIELDS.map((field) => element(field).name)
  try {
    let start = 0
    for (const group of metadata.row_groups) {
      signal?.throwIfAborted()
      const rows = Number(group.num_rows)
      const range = { rowStart: start, rowEnd: start + rows }
      // A scan of its own per group: the scan keeps the last decoded column of each name alive.
      const scan = await parquetScan({ file: buffer, metadata, columns: names, compressors, utf8: false })
      const read = (field: Field) => scan.readColumn({ ...range, column: element(field).name })
      // One column at a time, packed at once: as arrays of bigints a group would take four times the memory.
      const numbers = {} as Record<NumberField, PackedNumbers>
      for (const field of NUMBER_FIELDS) numbers[field] = packNumbers(await read(field), element(field))
      const symbols = packSymbols(await read('symbol'))
      const times = packTimes(await read('time'), element('time'), daily)
      for (let from = 0; from < rows; from += chunkRows) {
        signal?.throwIfAborted()
        const to = Math.min(rows, from + chunkRows)
        yield cut(
          { symbols, times, numbers },
          { from, to, firstRow: start + 1 },
          { file, interval, source, element },
        )
      }
      start += rows
    }
  } catch (error) {
    if (signal?.aborted || isVarveError(error)) throw error
    throw fileUnreadable(file, errorMessage(error), error)
  }
}

interface PackedGroup {
  readonly symbols: PackedSymbols
  readonly times: PackedTimes
  readonly numbers: Readonly<Record<NumberField, PackedNumbers>>
}

interface CutContext {
  readonly file: string
  readonly interval: Interval
  readonly source: BarSource
  readonly element: (field: Field) => SchemaElement
}

/** Rows `from` to `to` (excluded) of a group as a batch; row by row only where a cell could not be read. */
function cut(
  { symbols, times, numbers }: PackedGroup,
  { from, to, firstRow }: { readonly from: number; readonly to: number; readonly firstRow: number },
  { file, interval, source, element }: CutContext,
): FilePart {
  const packed = [symbols, times, ...NUMBER_FIELDS.map((field) => numbers[field])]
  if (packed.every((column) => !column.hasFaults(from, to))) {
    return {
      batch: {
        interval,
        source,
        length: to - from,
        symbols: symbols.names,
        symbolIndex: symbols.index.slice(from, to),
        time: times.values.slice(from, to),
        open: numbers.open.values.slice(from, to),
        high: numbers.high.values.slice(from, to),
        low: numbers.low.values.slice(from, to),
        close: numbers.close.values.slice(from, to),
        volume: numbers.volume.values.slice(from, to),
        sourceRow: Int32Array.from({ length: to - from }, (_, row) => firstRow + from + row),
      },
      rejected: [],
      rows: firstRow - 1 + to,
    }
  }
  const sink = new RowSink(file, interval, source, to - from, firstRow - 1 + from)
  for (let row = from; row < to; row++) {
    sink.add(
      {
        symbol: symbols.at(row),
        time: times.at(row),
        open: numbers.open.at(row),
        high: numbers.high.at(row),
        low: numbers.low.at(row),
        close: numbers.close.at(row),
        volume: numbers.volume.at(row),
      },
      () => ({
        [element('symbol').name]: symbols.at(row),
        [element('time').name]: times.raw(row),
        ...Object.fromEntries(NUMBER_FIELDS.map((field) => [element(field).name, numbers[field].raw(row)])),
      }),
    )
  }
  return sink.take()
}
