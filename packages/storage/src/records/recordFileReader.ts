import { VarveError, dayOf, errorMessage, isVarveError } from '@varve/core'
import {
  type AsyncBuffer,
  type DecodedArray,
  type FileMetaData,
  parquetMetadataAsync,
  parquetRead,
} from 'hyparquet'
import { zstdDecompressSync } from 'node:zlib'
import { checkedFile } from '../lake/chunkChecksums.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type ColumnKind, type ColumnValue, FIGURE_DECIMALS, JsonValue, checkValue } from './columns.ts'
import type { RecordColumn } from './datasets.ts'
import { KEY_COLUMNS, RECORD_FORMAT, stripSchema } from './recordFile.ts'
import type { StoredRow } from './StoredRow.ts'

/** What the catalog says about a file; checked when it is opened. */
export interface RecordFileRef {
  readonly id: number
  readonly path: string
  readonly bytes: number
  readonly rows: number
}

/** A row group by its statistics. */
export interface RecordGroup {
  readonly symbolMin: string
  readonly symbolMax: string
  readonly timeMin: number
  readonly timeMax: number
  /** Its rows, in order. Decoded when asked for. */
  rows(columns: readonly RecordColumn[]): Promise<RowGroup>
}

/** Decoded rows; a row is built when it is asked for. */
export interface RowGroup {
  readonly length: number
  at(index: number): StoredRow
  symbol(index: number): string
  time(index: number): number
}

/** Opens record files, remembering the footers of those read last. */
export interface RecordFileReader {
  /**
   * The row groups of a file, in order.
   *
   * @throws `LAKE_UNREADABLE` when the file is missing, damaged or not what the catalog says; so do the groups' `rows`
   */
  open(file: RecordFileRef): Promise<readonly RecordGroup[]>
}

interface Opened {
  readonly file: AsyncBuffer
  readonly metadata: FileMetaData
}

const compressors = { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) }

/** A reader of one lake. */
export function createRecordFileReader(options: {
  readonly lake: LakeFiles
  readonly footerCacheFiles: number
  readonly footerBytes: number
}): RecordFileReader {
  const { lake, footerCacheFiles, footerBytes } = options
  const opened = new Map<string, Promise<Opened>>()
  const open = (ref: RecordFileRef): Promise<Opened> => {
    let found = opened.get(ref.path)
    if (found === undefined) {
      found = openFile(lake, ref, footerBytes)
      found.catch(() => opened.delete(ref.path))
    } else {
      opened.delete(ref.path)
    }
    opened.set(ref.path, found)
    for (const oldest of opened.keys()) {
      if (opened.size <= footerCacheFiles) break
      opened.delete(oldest)
    }
    return found
  }
  const guarded = async <T>(ref: RecordFileRef, work: () => Promise<T>): Promise<T> => {
    try {
      return await work()
    } catch (error) {
      opened.delete(ref.path)
      // A lake out of reach says so itself; its files may be perfect.
      if (isVarveError(error) && error.code !== 'LAKE_UNREADABLE') throw error
      throw unreadable(lake, ref.path, error)
    }
  }
  return {
    open: (ref) =>
      guarded(ref, async () => {
        const { file, metadata } = await open(ref)
        let start = 0
        return metadata.row_groups.map((group): RecordGroup => {
          const from = start
          const length = Number(group.num_rows)
          start += length
          const symbols = group.columns[0]?.meta_data?.statistics
          const times = group.columns[1]?.meta_data?.statistics
          return {
            symbolMin: String(symbols?.min_value ?? ''),
            symbolMax: String(symbols?.max_value ?? '\u{10ffff}'),
            timeMin: instant(times?.min_value) ?? -Infinity,
            timeMax: instant(times?.max_value) ?? Infinity,
            rows: (columns) => guarded(ref, () => readGroup(file, metadata, from, length, columns)),
          }
        })
      }),
  }
}

async function openFile(lake: LakeFiles, ref: RecordFileRef, footerBytes: number): Promise<Opened> {
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
  if (format !== RECORD_FORMAT)
    throw new Error(`its format is ${format ?? 'unknown'}, this version reads ${RECORD_FORMAT}`)
  const checked = checkedFile(file, metadata)
  if (Number(metadata.num_rows) !== ref.rows)
    throw new Error(`it holds ${metadata.num_rows} rows where the catalog says ${ref.rows}`)
  stripSchema(metadata.schema)
  return { file: checked, metadata }
}

function instant(value: unknown): number | undefined {
  if (value instanceof Date) return value.getTime()
  return typeof value === 'bigint' || typeof value === 'number' ? Number(value) : undefined
}

async function readGroup(
  file: AsyncBuffer,
  metadata: FileMetaData,
  start: number,
  length: number,
  columns: readonly RecordColumn[],
): Promise<RowGroup> {
  const parts = new Map<string, { at: number; data: DecodedArray }[]>()
  // A column a later version added is not in older files: it was null then.
  const held = new Set(metadata.schema.map((element) => element.name))
  const names = [...KEY_COLUMNS, ...columns.map((column) => column.name)].filter((name) => held.has(name))
  await parquetRead({
    file,
    metadata,
    columns: names,
    rowStart: start,
    rowEnd: start + length,
    compressors,
    onChunk: ({ columnName, columnData, rowStart }) => {
      const list = parts.get(columnName)
      if (list === undefined) parts.set(columnName, [{ at: rowStart, data: columnData }])
      else list.push({ at: rowStart, data: columnData })
    },
  })
  const column = (name: string): DecodedArray => {
    const list = (parts.get(name) ?? []).sort((a, b) => a.at - b.at)
    const data = list.length === 1 ? list[0]!.data : list.flatMap((part) => Array.from(part.data))
    if (data.length !== length) throw new Error(`column ${name} has ${data.length} of ${length} rows`)
    return data
  }
  const [symbols, times, keys, recorded, deleted] = KEY_COLUMNS.map(column)
  const own = columns.map(({ name }) => (held.has(name) ? column(name) : undefined))
  return {
    length,
    symbol: (index) => symbols![index] as string,
    time: (index) => Number(times![index]),
    at: (index) => ({
      symbol: symbols![index] as string,
      time: Number(times![index]),
      key: keys![index] as string,
      recordedAt: Number(recorded![index]),
      deleted: deleted![index] as boolean,
      values: columns.map(({ kind }, position) => fromParquet(kind, own[position]?.[index])),
    }),
  }
}

function fromParquet(kind: ColumnKind, value: unknown): ColumnValue {
  if (value === null || value === undefined) return null
  switch (kind) {
    case 'figure':
      return figureText(value as Uint8Array)
    case 'integer':
    case 'instant':
      return Number(value as bigint)
    case 'date':
      return dayOf(value as number)
    case 'texts':
      return JSON.parse(value as string) as string[]
    case 'json':
      return new JsonValue(value as string)
    default:
      return value as ColumnValue
  }
}

function figureText(bytes: Uint8Array): string {
  const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const scaled = (view.readBigInt64BE(0) << 64n) | view.readBigUInt64BE(8)
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(FIGURE_DECIMALS + 1, '0')
  const text = `${scaled < 0n ? '-' : ''}${digits.slice(0, -FIGURE_DECIMALS)}.${digits.slice(-FIGURE_DECIMALS)}`
  return checkValue('figure', text) as string
}

function unreadable(lake: LakeFiles, path: string, cause: unknown): VarveError {
  return new VarveError(
    `cannot read lake file ${path} in ${lake.location}: ${errorMessage(cause)}; restore it from a backup, or run "varve lake verify"`,
    { code: 'LAKE_UNREADABLE', cause, details: { path, location: lake.location } },
  )
}
