import { type BarSource, type Interval, sha256Hex } from '@varve/core'
import type { ColumnSource } from 'hyparquet-writer'
import { ByteWriter, ParquetWriter } from 'hyparquet-writer'
import { constants, zstdCompressSync } from 'node:zlib'
import type { BarColumns } from '../bars/BarColumns.ts'
import { chunkChecksums, sealFooter } from './chunkChecksums.ts'
import { VALUE_NAMES, annotateSchema, fileMetadata, physicalSchema } from './parquetSchema.ts'
import { smallerEncoding } from './smallerEncoding.ts'

/** Rows of one series in a file. */
export interface FileSeries {
  /** The writer's own series number. */
  readonly series: number
  readonly symbol: string
  readonly rows: number
  readonly timeMin: number
  readonly timeMax: number
}

/** A finished file, not yet written anywhere. */
export interface LakeFileContent {
  readonly bytes: Uint8Array
  readonly sha256: string
  readonly rows: number
  readonly series: readonly FileSeries[]
  readonly symbolMin: string
  readonly symbolMax: string
  readonly timeMin: number
  readonly timeMax: number
}

export interface BarFileWriterOptions {
  readonly interval: Interval
  readonly source: BarSource
  /** Symbol by series number. */
  readonly symbols: readonly string[]
  readonly rowGroupRows: number
  readonly zstdLevel: number
}

/** Collects bars into one Parquet file in memory. Rows must come by symbol, then time, each key once. */
export interface BarFileWriter {
  readonly rows: number
  add(columns: BarColumns, from: number, to: number): void
  /** The file; `undefined` when no row was added. The writer must not be used afterwards. */
  finish(): LakeFileContent | undefined
}

/**
 * Equal rows and options give equal bytes: files are named by their hash, so that writing again after a crash
 * makes the same file.
 */
export function createBarFileWriter(options: BarFileWriterOptions): BarFileWriter {
  const { interval, source, symbols, rowGroupRows, zstdLevel } = options
  const schema = physicalSchema()
  const output = new ByteWriter(1 << 16)
  const zstd = (bytes: Uint8Array) =>
    // The checksum makes a damaged page an error instead of other prices.
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 },
    })
  const writer = new ParquetWriter({
    writer: output,
    schema,
    codec: 'ZSTD',
    compressors: { ZSTD: zstd },
    statisticsTruncateLength: Infinity,
    kvMetadata: fileMetadata(interval, source),
    createdBy: 'varve',
  })
  const perSeries: { series: number; symbol: string; rows: number; timeMin: number; timeMax: number }[] = []
  let rows = 0
  let group = new GroupBuffer(rowGroupRows)

  const flush = () => {
    if (group.length === 0) return
    writer.write({ columnData: group.columns(zstd), rowGroupSize: group.length })
    rows += group.length
    group = new GroupBuffer(rowGroupRows)
  }

  return {
    get rows() {
      return rows + group.length
    },
    add(columns, from, to) {
      for (let row = from; row < to; row++) {
        const series = columns.series[row]!
        const time = columns.time[row]!
        const symbol = symbols[series]!
        let entry = perSeries.at(-1)
        if (entry === undefined || entry.series !== series) {
          if (entry !== undefined && !(entry.symbol < symbol))
            throw new Error(`rows of ${symbol} after rows of ${entry.symbol}`)
          entry = { series, symbol, rows: 0, timeMin: time, timeMax: time }
          perSeries.push(entry)
        } else if (!(time > entry.timeMax)) {
          throw new Error(`rows of ${symbol} out of order`)
        }
        entry.rows++
        entry.timeMax = time
        group.add(symbol, columns, row)
        if (group.length === rowGroupRows) flush()
      }
    },
    finish() {
      flush()
      const first = perSeries[0]
      if (first === undefined) return undefined
      writer.kvMetadata?.push(chunkChecksums(writer.row_groups, output.getBytes()))
      annotateSchema(schema)
      writer.finish()
      const bytes = output.getBytes()
      sealFooter(bytes)
      return {
        bytes,
        sha256: sha256Hex(bytes),
        rows,
        series: perSeries,
        symbolMin: first.symbol,
        symbolMax: perSeries.at(-1)!.symbol,
        timeMin: perSeries.reduce((least, entry) => Math.min(least, entry.timeMin), Infinity),
        timeMax: perSeries.reduce((most, entry) => Math.max(most, entry.timeMax), -Infinity),
      }
    },
  }
}

class GroupBuffer {
  length = 0
  readonly #symbols: string[] = []
  readonly #time: BigInt64Array
  readonly #values: BigInt64Array[]
  readonly #recorded: BigInt64Array

  constructor(capacity: number) {
    this.#time = new BigInt64Array(capacity)
    this.#recorded = new BigInt64Array(capacity)
    this.#values = VALUE_NAMES.map(() => new BigInt64Array(capacity))
  }

  add(symbol: string, columns: BarColumns, row: number): void {
    const at = this.length++
    this.#symbols.push(symbol)
    this.#time[at] = BigInt(columns.time[row]!)
    this.#recorded[at] = BigInt(columns.recorded[row]!)
    for (let column = 0; column < this.#values.length; column++)
      this.#values[column]![at] = columns.values[column]![row]!
  }

  columns(compress: (bytes: Uint8Array) => Uint8Array): ColumnSource[] {
    const encoded = (
      name: string,
      data: BigInt64Array,
      encoding: ColumnSource['encoding'],
    ): ColumnSource => ({
      name,
      data: data.subarray(0, this.length),
      encoding,
    })
    // Times repeat so much that zstd alone makes them next to nothing, at a tenth of the reading time of deltas.
    // Splitting bytes would make volumes smaller than deltas do, but DuckDB does not read that for integers.
    return [
      { name: 'symbol', data: this.#symbols, encoding: 'RLE_DICTIONARY' },
      encoded('time', this.#time, 'PLAIN'),
      ...VALUE_NAMES.map((name, column) => {
        const values = this.#values[column]!
        return encoded(name, values, smallerEncoding(values.subarray(0, this.length), compress))
      }),
      // Mostly one instant over and over.
      encoded('recorded', this.#recorded, 'DELTA_BINARY_PACKED'),
    ]
  }
}

/** The one deterministic place of a bar file: by interval and source, then content. */
export function barFilePath(interval: Interval, source: BarSource, sha256: string): string {
  const part = (text: string) => encodeURIComponent(text).replaceAll('.', '%2E')
  return `bars/interval=${part(interval)}/provider=${part(source.provider)}/feed=${part(source.feed)}/adjustment=${part(source.adjustment)}/${sha256}.parquet`
}
