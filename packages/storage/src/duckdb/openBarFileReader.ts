import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type BarFileReader, type BarFileReaderOptions, createBarFileReader } from '../lake/parquetReader.ts'
import { isDuckdbInstalled } from './DuckdbPool.ts'
import { createDuckdbReader } from './DuckdbReader.ts'
import type { DuckdbReaderSettings } from './options.ts'

/** What reads the lake: `auto` takes DuckDB where it is installed and the lake is a directory. */
export type BarFileEngine = 'auto' | 'duckdb' | 'hyparquet'

export interface OpenBarFileReaderOptions extends Omit<BarFileReaderOptions, 'lake'> {
  readonly lake: LakeFiles
  /** @defaultValue 'auto' */
  readonly engine?: BarFileEngine
  /** Where the lake's files lie on this machine; without it `auto` takes hyparquet. */
  readonly directory?: string
  readonly duckdb?: DuckdbReaderSettings
}

/** A reader, and which engine it is. */
export interface OpenedBarFileReader extends BarFileReader, AsyncDisposable {
  readonly engine: 'duckdb' | 'hyparquet'
  close(): Promise<void>
}

/**
 * Opens the reader that suits the lake and what is installed. Both read the same rows to the last digit.
 *
 * @throws `OPTION_INVALID`; with `engine: 'duckdb'` also `LAKE_DRIVER_MISSING`, at the first read
 */
export async function openBarFileReader(options: OpenBarFileReaderOptions): Promise<OpenedBarFileReader> {
  const { engine = 'auto', lake, directory, duckdb = {} } = options
  const useDuckdb =
    engine === 'duckdb' || (engine === 'auto' && directory !== undefined && (await isDuckdbInstalled()))
  if (!useDuckdb) {
    const reader = createBarFileReader(options)
    const close = () => Promise.resolve()
    return {
      engine: 'hyparquet',
      read: (...request) => reader.read(...request),
      close,
      [Symbol.asyncDispose]: close,
    }
  }
  const reader = createDuckdbReader({ ...duckdb, lake, ...(directory === undefined ? {} : { directory }) })
  return {
    engine: 'duckdb',
    read: (...request) => reader.read(...request),
    close: () => reader.close(),
    [Symbol.asyncDispose]: () => reader.close(),
  }
}
