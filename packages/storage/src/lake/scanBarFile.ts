import { type FileMetaData, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { zstdDecompressSync } from 'node:zlib'
import { createCoalescingFile, rowGroupRange } from './coalescing.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { stripSchema } from './parquetSchema.ts'

/** Rows of one symbol in a file, as they really are. */
export interface FoundSeries {
  rows: number
  timeMin: number
  timeMax: number
}

/** What a bar file holds, taken from its rows, not from its statistics. */
export interface ScannedBarFile {
  readonly rows: number
  readonly series: ReadonlyMap<string, FoundSeries>
  /** Key-value pairs of the footer, such as `varve.interval`. */
  readonly metadata: ReadonlyMap<string, string>
  /** Whether rows come by symbol, then time, each key once. */
  readonly sorted: boolean
}

/**
 * Reads a bar file's footer; with `columns`, decodes these as well and says what rows there are.
 *
 * @param size - bytes of the file
 * @throws an ordinary error when the file is no bar file or its pages do not decode; errors of the lake pass untouched
 */
export async function scanBarFile(
  lake: LakeFiles,
  path: string,
  size: number,
  columns: readonly string[] = ['symbol', 'time'],
): Promise<ScannedBarFile> {
  const file = {
    byteLength: size,
    slice: async (start: number, end = size) => (await lake.read(path, start, end)).buffer,
  }
  const metadata = await parquetMetadataAsync(file, {
    initialFetchSize: Math.min(65_536, size),
    geoparquet: false,
  })
  stripSchema(metadata.schema)
  const found = new Map<string, FoundSeries>()
  const state = { symbol: '', time: -Infinity, sorted: true }
  let start = 0
  for (const group of metadata.row_groups) {
    const rows = Number(group.num_rows)
    const together = createCoalescingFile(file, [rowGroupRange(group, columns)])
    const read = await readColumns(together, metadata, columns, start, rows)
    countRows(read.get('symbol') ?? [], read.get('time') ?? [], found, state)
    start += rows
  }
  return {
    rows: start,
    series: found,
    sorted: state.sorted,
    metadata: new Map(metadata.key_value_metadata?.map(({ key, value }) => [key, value ?? ''])),
  }
}

async function readColumns(
  file: ReturnType<typeof createCoalescingFile>,
  metadata: FileMetaData,
  columns: readonly string[],
  start: number,
  rows: number,
): Promise<Map<string, ArrayLike<unknown>>> {
  const parts = new Map<string, { at: number; data: ArrayLike<unknown> }[]>()
  await parquetRead({
    file,
    metadata,
    columns: [...columns],
    rowStart: start,
    rowEnd: start + rows,
    compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) },
    onChunk: ({ columnName, columnData, rowStart }) => {
      const list = parts.get(columnName) ?? []
      parts.set(columnName, [...list, { at: rowStart, data: columnData }])
    },
  })
  const result = new Map<string, ArrayLike<unknown>>()
  for (const name of columns) {
    const list = (parts.get(name) ?? []).sort((a, b) => a.at - b.at)
    const data = list.length === 1 ? list[0]!.data : list.flatMap((part) => Array.from(part.data))
    if (data.length !== rows) throw new Error(`column ${name} has ${data.length} of ${rows} rows`)
    result.set(name, data)
  }
  return result
}

function countRows(
  symbols: ArrayLike<unknown>,
  times: ArrayLike<unknown>,
  found: Map<string, FoundSeries>,
  state: { symbol: string; time: number; sorted: boolean },
): void {
  for (let row = 0; row < symbols.length; row++) {
    const symbol = String(symbols[row])
    const time = Number(times[row])
    if (symbol < state.symbol || (symbol === state.symbol && time <= state.time)) state.sorted = false
    state.symbol = symbol
    state.time = time
    const entry = found.get(symbol)
    if (entry === undefined) found.set(symbol, { rows: 1, timeMin: time, timeMax: time })
    else {
      entry.rows++
      entry.timeMin = Math.min(entry.timeMin, time)
      entry.timeMax = Math.max(entry.timeMax, time)
    }
  }
}
