import type { FileFieldNames } from '../schema.ts'
import { createReadStream } from 'node:fs'
import { createGunzip } from 'node:zlib'
import type { BarSource, Interval } from '@varve/core'
import { isVarveError } from '@varve/core'
import { parse } from 'csv-parse'
import { fileUnreadable } from '../errors.ts'
import { parseNumberText } from '../numberCell.ts'
import type { FieldPositions } from './columns.ts'
import { FIELDS, findFields } from './columns.ts'
import { parseTimeText } from './parseCell.ts'
import type { FilePart } from './RowSink.ts'
import { RowSink } from './RowSink.ts'

export interface ReadFileOptions {
  readonly interval: Interval
  readonly source: BarSource
  readonly chunkRows: number
  readonly fieldNames: FileFieldNames
  readonly signal?: AbortSignal | undefined
}

/**
 * Streams a CSV file, gzipped or not. A byte-order mark, CRLF, blank lines, quotes, further columns and a header
 * repeated in the middle are all ordinary.
 *
 * @throws `FILE_COLUMNS_MISSING`, `FILE_UNREADABLE`
 */
export async function* readCsv(
  file: string,
  gzipped: boolean,
  options: ReadFileOptions,
): AsyncGenerator<FilePart> {
  const { interval, source, chunkRows, signal } = options
  const daily = interval === '1d'
  const parser = parse({
    bom: true,
    trim: true,
    relax_column_count: true,
    relax_quotes: true,
    skip_empty_lines: true,
    skip_records_with_empty_values: true,
  })
  const input = createReadStream(file)
  const text = gzipped ? input.pipe(createGunzip()) : input
  // `pipe` does not carry errors onward: a truncated gzip has to end the parser too.
  input.on('error', (error: Error) => parser.destroy(error))
  if (text !== input) text.on('error', (error: Error) => parser.destroy(error))
  text.pipe(parser)
  const sink = new RowSink(file, interval, source, chunkRows)
  let header: readonly string[] | undefined
  let at: FieldPositions | undefined
  try {
    for await (const record of parser as AsyncIterable<string[]>) {
      if (header === undefined || at === undefined) {
        header = record
        at = findFields(file, header, daily, options.fieldNames)
        continue
      }
      if (isRepeatedHeader(record, header, at)) continue
      const columns = header
      sink.add(
        {
          symbol: record[at.symbol] || null,
          time: parseTimeText(record[at.time], daily),
          open: parseNumberText(record[at.open]),
          high: parseNumberText(record[at.high]),
          low: parseNumberText(record[at.low]),
          close: parseNumberText(record[at.close]),
          volume: parseNumberText(record[at.volume]),
        },
        () => Object.fromEntries(columns.map((name, index) => [name.trim(), record[index] || null])),
      )
      if (sink.pending >= chunkRows) {
        signal?.throwIfAborted()
        yield sink.take()
      }
    }
  } catch (error) {
    if (signal?.aborted || isVarveError(error)) throw error
    throw fileUnreadable(file, error instanceof Error ? error.message : String(error), error)
  } finally {
    input.destroy()
    parser.destroy()
  }
  if (header === undefined) throw fileUnreadable(file, 'it is empty')
  if (sink.pending > 0) yield sink.take()
}

function isRepeatedHeader(record: readonly string[], header: readonly string[], at: FieldPositions): boolean {
  return FIELDS.every((field) => record[at[field]]?.toLowerCase() === header[at[field]]?.trim().toLowerCase())
}
