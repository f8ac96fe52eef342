import type * as Duckdb from '@duckdb/node-api'
import { VarveError, checkedOptions, errorMessage } from '@varve/core'
import { join, resolve } from 'node:path'
import type { BarColumns } from '../bars/BarColumns.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import type { BarFileColumns, BarFileReader, LakeFileRef, RowFilter } from '../lake/parquetReader.ts'
import { LAKE_FORMAT, VALUE_NAMES } from '../lake/parquetSchema.ts'
import { createDuckdbPool } from './DuckdbPool.ts'
import { type DuckdbReaderSettings, duckdbReaderOptionsSchema } from './options.ts'

/** Its data, with their defaults: {@link duckdbReaderOptionsSchema}. */
export interface DuckdbReaderOptions extends DuckdbReaderSettings {
  /** The lake the files belong to; asked for their sizes. */
  readonly lake: LakeFiles
  /** Where the lake's files lie on this machine. @defaultValue the lake's `location` */
  readonly directory?: string
}

/** A reader that holds an engine until it is closed. */
export interface DuckdbReader extends BarFileReader, AsyncDisposable {
  close(): Promise<void>
}

/** What is selected besides symbol and time; all exact integers: nothing passes through a double. */
const SELECTED: Readonly<Record<BarFileColumns, string>> = {
  times: 'symbol, epoch_ms(time)',
  values: 'symbol, epoch_ms(time), open, high, low, close, volume',
  all: 'symbol, epoch_ms(time), open, high, low, close, volume, epoch_ms(recorded)',
}
/** First of the five values among the selected columns. */
const FIRST_VALUE = 2
const RECORDED = FIRST_VALUE + VALUE_NAMES.length
/** Years 0 and 9999, milliseconds UTC: what lies beyond is no bound. */
const MIN_TIME = -62_167_219_200_000
const MAX_TIME = 253_402_300_800_000

/**
 * Reads bar files of a lake in a directory by DuckDB, an optional peer. Creating it does no I/O; the first read loads
 * the engine. It can read that directory and nothing else.
 *
 * @throws `OPTION_INVALID`; its reads `LAKE_UNREADABLE`, `LAKE_DRIVER_MISSING`, `LAKE_CLOSED`
 */
export function createDuckdbReader(options: DuckdbReaderOptions): DuckdbReader {
  const { lake, directory = lake.location, ...data } = options
  const settings = checkedOptions(duckdbReaderOptionsSchema, data, 'the DuckDB reader')
  const root = resolve(directory)
  const pool = createDuckdbPool(root, settings)
  const checked = new Set<string>()

  const check = async (connection: Duckdb.DuckDBConnection, ref: LakeFileRef, file: string) => {
    if (checked.delete(ref.path)) {
      checked.add(ref.path)
      return
    }
    const size = await lake.size(ref.path)
    if (size === undefined) throw new Error('there is no such file')
    if (size !== ref.bytes) throw new Error(`it has ${size} bytes where the catalog says ${ref.bytes}`)
    const footer = await connection.runAndReadAll(
      `SELECT m.num_rows, (SELECT decode(value) FROM parquet_kv_metadata($1) WHERE decode(key) = 'varve.format')
       FROM parquet_file_metadata($1) m`,
      [file],
    )
    const [rows, format] = footer.getRows()[0] ?? []
    if (format !== LAKE_FORMAT) {
      throw new Error(
        `its format is ${format === null ? 'unknown' : String(format)}, this version reads ${LAKE_FORMAT}`,
      )
    }
    if (Number(rows) !== ref.rows) {
      throw new Error(`it holds ${String(rows)} rows where the catalog says ${ref.rows}`)
    }
    checked.add(ref.path)
    if (checked.size > settings.checkedFiles) checked.delete(checked.values().next().value!)
  }

  return {
    async read(ref, filter, target, columns = 'values') {
      if (filter.symbols.length === 0) return
      const held = target.length
      try {
        await pool.use(async (connection) => {
          const file = join(root, ref.path)
          await check(connection, ref, file)
          const { text, params } = statementOf(file, filter, columns, settings.listedSymbols)
          const result = await connection.stream(text, params)
          const take = rowTaker(filter, target, columns)
          for (;;) {
            const chunk = await result.fetchChunk()
            if (chunk === null || chunk.rowCount === 0) break
            take(chunk)
          }
        })
      } catch (error) {
        // A read that failed half way leaves nothing behind.
        target.length = held
        checked.delete(ref.path)
        if (error instanceof VarveError) throw error
        throw new VarveError(
          `cannot read lake file ${ref.path} in ${lake.location}: ${firstLine(errorMessage(error))}; restore it from a backup, or run "varve lake verify"`,
          { code: 'LAKE_UNREADABLE', cause: error, details: { path: ref.path, location: lake.location } },
        )
      }
    },
    close: () => pool.close(),
    [Symbol.asyncDispose]: () => pool.close(),
  }
}

function statementOf(file: string, filter: RowFilter, columns: BarFileColumns, listedSymbols: number) {
  const { symbols, from, to } = filter
  let first = MAX_TIME
  let last = MIN_TIME
  for (let index = 0; index < symbols.length; index++) {
    first = Math.min(first, from[index]!)
    last = Math.max(last, to[index]!)
  }
  const bound = (time: number) => String(Math.min(MAX_TIME, Math.max(MIN_TIME, Math.ceil(time))))
  const params: string[] = [file]
  // Row groups are skipped by their smallest and largest symbol and time; what is left is filtered by DuckDB.
  const conditions = [
    `time >= make_timestamp_ms($${params.push(bound(first))}::BIGINT)`,
    `time < make_timestamp_ms($${params.push(bound(last))}::BIGINT)`,
  ]
  if (symbols.length <= listedSymbols) {
    const places: string[] = []
    for (const symbol of symbols) places.push(`$${params.push(symbol)}`)
    conditions.push(`symbol IN (${places.join(', ')})`)
  } else if (!symbols.some((symbol) => /[^ -~]/.test(symbol))) {
    // DuckDB orders text by its bytes and JavaScript by its code units: the same for ASCII only.
    conditions.push(`symbol BETWEEN $${params.push(symbols[0]!)} AND $${params.push(symbols.at(-1)!)}`)
  }
  // A long list becomes a join, which mixes rows: the order of the file has to be asked for.
  const text = `SELECT ${SELECTED[columns]} FROM read_parquet($1, file_row_number = true) WHERE ${conditions.join(' AND ')} ORDER BY file_row_number`
  return { text, params }
}

interface IntegerVector {
  getItem(row: number): unknown
}
interface DecimalVector {
  getScaledValue(row: number): bigint | null
}

function rowTaker(filter: RowFilter, target: BarColumns, columns: BarFileColumns) {
  const positions = new Map(filter.symbols.map((symbol, index) => [symbol, index]))
  return (chunk: Duckdb.DuckDBDataChunk) => {
    const symbols = chunk.getColumnVector(0) as IntegerVector
    const times = chunk.getColumnVector(1) as IntegerVector
    const values =
      columns === 'times'
        ? []
        : VALUE_NAMES.map((_, at) => chunk.getColumnVector(FIRST_VALUE + at) as unknown as DecimalVector)
    const recorded = columns === 'all' ? (chunk.getColumnVector(RECORDED) as IntegerVector) : undefined
    let symbol: unknown
    let index: number | undefined
    for (let row = 0; row < chunk.rowCount; row++) {
      const found = symbols.getItem(row)
      if (found !== symbol) {
        symbol = found
        index = positions.get(found as string)
      }
      if (index === undefined) continue
      const time = Number(times.getItem(row))
      if (time < filter.from[index]! || time >= filter.to[index]!) continue
      const at = target.reserve()
      target.series[at] = filter.series[index]!
      target.time[at] = time
      target.recorded[at] = recorded === undefined ? 0 : Number(recorded.getItem(row))
      for (let column = 0; column < target.values.length; column++) {
        const value = columns === 'times' ? 0n : values[column]!.getScaledValue(row)
        if (value === null) throw new Error(`a value of ${String(symbol)} is missing`)
        target.values[column]![at] = value
      }
    }
  }
}

function firstLine(text: string): string {
  return text.split('\n', 1)[0]!
}
