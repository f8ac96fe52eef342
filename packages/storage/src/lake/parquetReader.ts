import { VarveError, errorMessage, isVarveError } from '@varve/core'
import {
  type AsyncBuffer,
  type DecodedArray,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
} from 'hyparquet'
import { zstdDecompressSync } from 'node:zlib'
import { type BarColumns, setSafeInteger } from '../bars/BarColumns.ts'
import { checkedFile } from './chunkChecksums.ts'
import { createCoalescingFile, rowGroupRange } from './coalescing.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { LAKE_FORMAT, VALUE_NAMES, stripSchema } from './parquetSchema.ts'

/** What the catalog says about a file; checked when it is opened. */
export interface LakeFileRef {
  readonly path: string
  readonly bytes: number
  readonly rows: number
}

/** Which rows to take: per wanted symbol its series number and time range (`from` included, `to` excluded). */
export interface RowFilter {
  /** Wanted symbols in code-unit order. */
  readonly symbols: readonly string[]
  readonly series: ArrayLike<number>
  readonly from: ArrayLike<number>
  readonly to: ArrayLike<number>
}

interface OpenedGroup {
  readonly index: number
  readonly start: number
  readonly rows: number
  readonly symbolMin: string
  readonly symbolMax: string
  readonly timeMin: number
  readonly timeMax: number
}

interface OpenedFile {
  readonly file: AsyncBuffer
  readonly metadata: FileMetaData
  readonly groups: readonly OpenedGroup[]
}

/** Reads bar files, remembering the footers of those read last. */
export interface BarFileReader {
  /**
   * Adds the rows the filter wants to `target`, in the file's order (symbol, time).
   *
   * @param columns - `times` leaves prices and volume zero and does not read them; `all` also reads when each row was
   * recorded
   * @throws `LAKE_UNREADABLE` when the file is missing, damaged or not what the catalog says
   */
  read(file: LakeFileRef, filter: RowFilter, target: BarColumns, columns?: BarFileColumns): Promise<void>
}

/** What to read of each row besides symbol and time. */
export type BarFileColumns = 'times' | 'values' | 'all'

export interface BarFileReaderOptions {
  readonly lake: LakeFiles
  /** Footers kept in memory. */
  readonly footerCacheFiles: number
  /** Bytes fetched from the end of a file to find its footer. */
  readonly footerBytes: number
}

const COLUMNS: Readonly<Record<BarFileColumns, string[]>> = {
  times: ['symbol', 'time'],
  values: ['symbol', 'time', ...VALUE_NAMES],
  all: ['symbol', 'time', ...VALUE_NAMES, 'recorded'],
}

const compressors = {
  ZSTD: (input: Uint8Array) => zstdDecompressSync(input),
}

export function createBarFileReader(options: BarFileReaderOptions): BarFileReader {
  const { lake, footerCacheFiles, footerBytes } = options
  const opened = new Map<string, Promise<OpenedFile>>()

  const openFile = (ref: LakeFileRef): Promise<OpenedFile> => {
    let found = opened.get(ref.path)
    if (found === undefined) {
      found = openBarFile(lake, ref, footerBytes)
      found.catch(() => opened.delete(ref.path))
    } else {
      opened.delete(ref.path)
    }
    opened.set(ref.path, found)
    if (opened.size > footerCacheFiles) {
      for (const oldest of opened.keys()) {
        opened.delete(oldest)
        break
      }
    }
    return found
  }

  return {
    async read(ref, filter, target, wantedColumns = 'values') {
      try {
        const { file, metadata, groups } = await openFile(ref)
        const names = COLUMNS[wantedColumns]
        const picked = groups.filter((group) => wanted(group, filter))
        const together = createCoalescingFile(
          file,
          picked.map((group) => rowGroupRange(metadata.row_groups[group.index]!, names)),
        )
        for (const group of picked) {
          takeRows(await readGroup(together, metadata, group, names), filter, target, wantedColumns)
        }
      } catch (error) {
        opened.delete(ref.path)
        // A lake out of reach says so itself; its files may be perfect.
        if (isVarveError(error) && error.code !== 'LAKE_UNREADABLE') throw error
        throw unreadable(lake, ref.path, error)
      }
    },
  }
}

async function openBarFile(lake: LakeFiles, ref: LakeFileRef, footerBytes: number): Promise<OpenedFile> {
  const size = await lake.size(ref.path)
  if (size === undefined) throw new Error('there is no such file')
  if (size !== ref.bytes) throw new Error(`it has ${size} bytes where the catalog says ${ref.bytes}`)
  const file: AsyncBuffer = {
    byteLength: size,
    slice: async (start, end = size) => (await lake.read(ref.path, start, end)).buffer,
  }
  const metadata = await parquetMetadataAsync(file, {
    initialFetchSize: Math.min(footerBytes, size),
    geoparquet: false,
  })
  const format = metadata.key_value_metadata?.find((entry) => entry.key === 'varve.format')?.value
  if (format !== LAKE_FORMAT)
    throw new Error(`its format is ${format ?? 'unknown'}, this version reads ${LAKE_FORMAT}`)
  const checked = checkedFile(file, metadata)
  if (Number(metadata.num_rows) !== ref.rows) {
    throw new Error(`it holds ${metadata.num_rows} rows where the catalog says ${ref.rows}`)
  }
  let start = 0
  const groups = metadata.row_groups.map((group, index): OpenedGroup => {
    const symbols = group.columns[0]?.meta_data?.statistics
    const times = group.columns[1]?.meta_data?.statistics
    const first = start
    start += Number(group.num_rows)
    return {
      index,
      start: first,
      rows: Number(group.num_rows),
      symbolMin: String(symbols?.min_value ?? ''),
      symbolMax: String(symbols?.max_value ?? '\u{10ffff}'),
      timeMin: instant(times?.min_value) ?? -Infinity,
      timeMax: instant(times?.max_value) ?? Infinity,
    }
  })
  stripSchema(metadata.schema)
  return { file: checked, metadata, groups }
}

function instant(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime()
  return typeof value === 'bigint' || typeof value === 'number' ? Number(value) : undefined
}

function wanted(group: OpenedGroup, filter: RowFilter): boolean {
  const { symbols, from, to } = filter
  for (let index = firstAtLeast(symbols, group.symbolMin); index < symbols.length; index++) {
    if (symbols[index]! > group.symbolMax) return false
    if (from[index]! <= group.timeMax && to[index]! > group.timeMin) return true
  }
  return false
}

function firstAtLeast(symbols: readonly string[], symbol: string): number {
  let low = 0
  let high = symbols.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (symbols[middle]! < symbol) low = middle + 1
    else high = middle
  }
  return low
}

async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  group: OpenedGroup,
  columns: string[],
): Promise<Map<string, DecodedArray>> {
  const parts = new Map<string, { at: number; data: DecodedArray }[]>()
  await parquetRead({
    file,
    metadata,
    columns,
    rowStart: group.start,
    rowEnd: group.start + group.rows,
    compressors,
    onChunk: ({ columnName, columnData, rowStart }) => {
      const list = parts.get(columnName)
      if (list === undefined) parts.set(columnName, [{ at: rowStart, data: columnData }])
      else list.push({ at: rowStart, data: columnData })
    },
  })
  const result = new Map<string, DecodedArray>()
  for (const name of columns) {
    const list = parts.get(name) ?? []
    const data =
      list.length === 1 ? list[0]!.data : joined(list.sort((a, b) => a.at - b.at).map((part) => part.data))
    if (data.length !== group.rows) throw new Error(`column ${name} has ${data.length} of ${group.rows} rows`)
    result.set(name, data)
  }
  return result
}

function joined(parts: readonly DecodedArray[]): DecodedArray {
  const all: unknown[] = []
  for (const part of parts) for (const value of part) all.push(value)
  return all
}

function takeRows(
  columns: ReadonlyMap<string, DecodedArray>,
  filter: RowFilter,
  target: BarColumns,
  wantedColumns: BarFileColumns,
): void {
  const symbols = columns.get('symbol')!
  const times = columns.get('time')!
  const values = wantedColumns === 'times' ? [] : VALUE_NAMES.map((name) => columns.get(name)!)
  const recorded = columns.get('recorded')
  let symbol: unknown
  let index = -1
  for (let row = 0; row < symbols.length; row++) {
    if (symbols[row] !== symbol) {
      symbol = symbols[row]
      const at = firstAtLeast(filter.symbols, String(symbol))
      index = filter.symbols[at] === symbol ? at : -1
    }
    if (index < 0) continue
    const time = Number(times[row])
    if (time < filter.from[index]! || time >= filter.to[index]!) continue
    const to = target.reserve()
    target.series[to] = filter.series[index]!
    target.time[to] = time
    if (recorded !== undefined) target.recorded[to] = Number(recorded[row])
    if (values.length === 0) {
      for (const words of target.words) setSafeInteger(words, to, 0)
    } else {
      for (let column = 0; column < values.length; column++) {
        target.values[column]![to] = values[column]![row] as bigint
      }
    }
  }
}

function unreadable(lake: LakeFiles, path: string, cause: unknown): VarveError {
  return new VarveError(
    `cannot read lake file ${path} in ${lake.location}: ${errorMessage(cause)}; restore it from a backup, or run "varve lake verify"`,
    { code: 'LAKE_UNREADABLE', cause, details: { path, location: lake.location } },
  )
}
