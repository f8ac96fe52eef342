import { createReadStream } from 'node:fs'
import { createInterface } from 'node:readline'
import { createGunzip } from 'node:zlib'
import { VarveError, errorMessage, isVarveError } from '@varve/core'
import { parse } from 'csv-parse'
import { fileUnreadable } from '../errors.ts'

/** A row as it stands in the file: text by column, `null` where the cell is empty; JSON keeps its own types. */
export interface TableRow {
  /** Position in the file, counted from 1, the header not included. */
  readonly row: number
  readonly cells: Readonly<Record<string, unknown>>
}

/**
 * Streams the rows of a CSV file with a header, or of a file with one JSON object a line; `.gz` is unpacked. Numbers
 * of JSON are doubles, so exact figures belong in quotes.
 *
 * @throws `FILE_UNREADABLE`
 */
export async function* readTable(file: string, signal?: AbortSignal): AsyncGenerator<TableRow> {
  const gzipped = file.endsWith('.gz')
  const name = gzipped ? file.slice(0, -'.gz'.length) : file
  const rows = /\.(ndjson|jsonl)$/.test(name) ? readLines(file, gzipped) : readCsvRows(file, gzipped)
  try {
    for await (const row of rows) {
      signal?.throwIfAborted()
      yield row
    }
  } catch (error) {
    if (signal?.aborted || isVarveError(error)) throw error
    throw fileUnreadable(file, errorMessage(error), error)
  }
}

function open(file: string, gzipped: boolean) {
  const input = createReadStream(file)
  if (!gzipped) return input
  const text = createGunzip()
  // `pipe` does not carry errors onward.
  input.on('error', (error: Error) => text.destroy(error))
  return input.pipe(text)
}

async function* readCsvRows(file: string, gzipped: boolean): AsyncGenerator<TableRow> {
  const parser = parse({ bom: true, trim: true, columns: true, skip_empty_lines: true })
  const text = open(file, gzipped)
  text.on('error', (error: Error) => parser.destroy(error))
  text.pipe(parser)
  let row = 0
  for await (const record of parser as AsyncIterable<Record<string, string>>) {
    const cells = Object.fromEntries(
      Object.entries(record).map(([name, cell]) => [name, cell === '' ? null : cell]),
    )
    yield { row: ++row, cells }
  }
}

async function* readLines(file: string, gzipped: boolean): AsyncGenerator<TableRow> {
  const text = open(file, gzipped)
  let row = 0
  for await (const line of createInterface({ input: text, crlfDelay: Infinity })) {
    if (line.trim() === '') continue
    row++
    yield { row, cells: parseLine(file, row, line) }
  }
}

function parseLine(file: string, row: number, line: string): Readonly<Record<string, unknown>> {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new VarveError(`${file}: line ${row} is no JSON; correct it`, {
      code: 'FILE_UNREADABLE',
      cause,
      details: { file, row },
    })
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Readonly<Record<string, unknown>>
  throw new VarveError(`${file}: line ${row} is no JSON object; give one object a line`, {
    code: 'FILE_UNREADABLE',
    details: { file, row },
  })
}
