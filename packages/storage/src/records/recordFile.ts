import { type BarSource, SCALE_DIGITS, dayNumber, sha256Hex } from '@varve/core'
import type { KeyValue, SchemaElement } from 'hyparquet'
import { ByteWriter, type ColumnSource, ParquetWriter } from 'hyparquet-writer'
import { chunkChecksums, sealFooter } from '../lake/chunkChecksums.ts'
import { constants, zstdCompressSync } from 'node:zlib'
import { smallerEncoding } from '../lake/smallerEncoding.ts'
import { type ColumnKind, type ColumnValue, FIGURE_DECIMALS, type JsonValue } from './columns.ts'
import { scaledFigure } from './copyRecords.ts'
import { type Dataset, type RecordColumn, datasetDefinition } from './datasets.ts'
import { compareText, compareVersions } from './order.ts'
import type { StoredRow } from './StoredRow.ts'

/** Version of the layout below, kept in each file's metadata under `varve.format`. */
export const RECORD_FORMAT = 'records/1'
/** Bytes of a DECIMAL(38,18): a two's complement number of 128 bits. */
export const FIGURE_WIDTH = 16
const FIGURE_PRECISION = 38
const DECIMAL_PRECISION = 18
/** What every version has, before the dataset's own columns. */
export const KEY_COLUMNS = ['symbol', 'ts', 'key', 'recorded_at', 'deleted'] as const

const PHYSICAL: Readonly<Record<ColumnKind, SchemaElement['type']>> = {
  text: 'BYTE_ARRAY',
  decimal: 'INT64',
  figure: 'FIXED_LEN_BYTE_ARRAY',
  integer: 'INT64',
  boolean: 'BOOLEAN',
  instant: 'INT64',
  date: 'INT32',
  texts: 'BYTE_ARRAY',
  json: 'BYTE_ARRAY',
}

/** Rows of one symbol in a file. */
export interface FileSymbol {
  readonly symbol: string
  readonly rows: number
  readonly timeMin: number
  readonly timeMax: number
}

/** A finished file, not yet written anywhere. */
export interface RecordFileContent {
  readonly bytes: Uint8Array
  readonly sha256: string
  readonly rows: number
  /** By symbol, in the order of the file. */
  readonly symbols: readonly FileSymbol[]
  readonly first: StoredRow
  readonly last: StoredRow
}

/** What a file holds and how it is laid out. */
export interface RecordFileWriterOptions {
  readonly dataset: Dataset
  readonly source: BarSource
  readonly rowGroupRows: number
  readonly zstdLevel: number
}

/** Collects versions into one Parquet file in memory. They must come in order, each once. */
export interface RecordFileWriter {
  readonly rows: number
  add(row: StoredRow): void
  /** The file; `undefined` when no row was added. The writer must not be used afterwards. */
  finish(): RecordFileContent | undefined
}

/** Equal rows and options give equal bytes, so that writing again after a crash makes the same file. */
export function createRecordFileWriter(options: RecordFileWriterOptions): RecordFileWriter {
  const { dataset, source, rowGroupRows, zstdLevel } = options
  const { columns } = datasetDefinition(dataset)
  const schema = physicalSchema(dataset)
  const output = new ByteWriter(1 << 16)
  const zstd = (bytes: Uint8Array) =>
    // The checksum makes a damaged page an error instead of other values.
    zstdCompressSync(bytes, {
      params: { [constants.ZSTD_c_compressionLevel]: zstdLevel, [constants.ZSTD_c_checksumFlag]: 1 },
    })
  const writer = new ParquetWriter({
    writer: output,
    schema,
    codec: 'ZSTD',
    compressors: { ZSTD: zstd },
    statisticsTruncateLength: Infinity,
    kvMetadata: fileMetadata(dataset, source),
    createdBy: 'varve',
  })
  const symbols: { symbol: string; rows: number; timeMin: number; timeMax: number }[] = []
  let rows = 0
  let group: StoredRow[] = []
  let first: StoredRow | undefined
  let last: StoredRow | undefined
  const flush = () => {
    if (group.length === 0) return
    writer.write({ columnData: groupColumns(group, columns, zstd), rowGroupSize: group.length })
    rows += group.length
    group = []
  }
  return {
    get rows() {
      return rows + group.length
    },
    add(row) {
      if (last !== undefined && compareVersions(last, row) >= 0)
        throw new Error(`the record ${row.key} of ${row.symbol} comes out of order`)
      first ??= row
      last = row
      const entry = symbols.at(-1)
      if (entry === undefined || compareText(entry.symbol, row.symbol) !== 0) {
        symbols.push({ symbol: row.symbol, rows: 1, timeMin: row.time, timeMax: row.time })
      } else {
        entry.rows++
        entry.timeMax = row.time
      }
      group.push(row)
      if (group.length >= rowGroupRows) flush()
    },
    finish() {
      flush()
      if (first === undefined || last === undefined) return undefined
      writer.kvMetadata?.push(chunkChecksums(writer.row_groups, output.getBytes()))
      annotateSchema(schema, columns)
      writer.finish()
      const bytes = output.getBytes()
      sealFooter(bytes)
      return { bytes, sha256: sha256Hex(bytes), rows, symbols, first, last }
    },
  }
}

/** The one deterministic place of a record file: by dataset and source, then content. */
export function recordFilePath(dataset: Dataset, source: BarSource, sha256: string): string {
  const part = (text: string) => encodeURIComponent(text).replaceAll('.', '%2E')
  return `records/${dataset}/provider=${part(source.provider)}/feed=${part(source.feed)}/adjustment=${part(source.adjustment)}/${sha256}.parquet`
}

/** The columns by their physical types. Values are written under this schema, so that no library rescales them. */
function physicalSchema(dataset: Dataset): SchemaElement[] {
  const { columns } = datasetDefinition(dataset)
  const utf8 = { type: 'BYTE_ARRAY', converted_type: 'UTF8', logical_type: { type: 'STRING' } } as const
  return [
    { name: dataset, num_children: KEY_COLUMNS.length + columns.length },
    { name: 'symbol', repetition_type: 'REQUIRED', ...utf8 },
    { name: 'ts', repetition_type: 'REQUIRED', type: 'INT64' },
    { name: 'key', repetition_type: 'REQUIRED', ...utf8 },
    { name: 'recorded_at', repetition_type: 'REQUIRED', type: 'INT64' },
    { name: 'deleted', repetition_type: 'REQUIRED', type: 'BOOLEAN' },
    ...columns.map(({ name, kind }): SchemaElement => ({
      name,
      repetition_type: 'OPTIONAL',
      ...(PHYSICAL[kind] === 'BYTE_ARRAY' ? utf8 : { type: PHYSICAL[kind] }),
      ...(kind === 'figure' ? { type_length: FIGURE_WIDTH } : {}),
    })),
  ]
}

/** Says what the numbers mean, for other readers. For the footer only. */
function annotateSchema(schema: SchemaElement[], columns: readonly RecordColumn[]): void {
  const kinds = new Map<string, ColumnKind>(columns.map((column) => [column.name, column.kind]))
  for (const element of schema.slice(1)) {
    const kind = element.name === 'ts' || element.name === 'recorded_at' ? 'instant' : kinds.get(element.name)
    if (kind === 'instant') {
      element.logical_type = { type: 'TIMESTAMP', isAdjustedToUTC: false, unit: 'MILLIS' }
    } else if (kind === 'date') {
      element.converted_type = 'DATE'
      element.logical_type = { type: 'DATE' }
    } else if (kind === 'decimal' || kind === 'figure') {
      const precision = kind === 'decimal' ? DECIMAL_PRECISION : FIGURE_PRECISION
      const scale = kind === 'decimal' ? SCALE_DIGITS : FIGURE_DECIMALS
      element.converted_type = 'DECIMAL'
      element.logical_type = { type: 'DECIMAL', precision, scale }
      element.precision = precision
      element.scale = scale
    }
  }
}

/** Takes the meaning away again before reading, so that the plain numbers are read and no digit is lost. */
export function stripSchema(schema: SchemaElement[]): void {
  for (const element of schema) {
    if (element.type === 'BYTE_ARRAY') continue
    delete element.converted_type
    delete element.logical_type
  }
}

function fileMetadata(dataset: Dataset, source: BarSource): KeyValue[] {
  return [
    { key: 'varve.format', value: RECORD_FORMAT },
    { key: 'varve.dataset', value: dataset },
    { key: 'varve.provider', value: source.provider },
    { key: 'varve.feed', value: source.feed },
    { key: 'varve.adjustment', value: source.adjustment },
  ]
}

function groupColumns(
  rows: readonly StoredRow[],
  columns: readonly RecordColumn[],
  compress: (bytes: Uint8Array) => Uint8Array,
): ColumnSource[] {
  const numbers = (name: string, data: readonly (bigint | null)[]): ColumnSource => {
    const present = BigInt64Array.from(data.filter((value) => value !== null))
    return { name, data: [...data], encoding: smallerEncoding(present, compress) }
  }
  // The writer cannot tell the bounds of 128-bit decimals.
  const own = columns.map(({ name, kind }, index): ColumnSource => {
    const data = rows.map((row) => physicalValue(kind, row.values[index]!))
    return PHYSICAL[kind] === 'INT64'
      ? numbers(name, data as (bigint | null)[])
      : { name, data, statistics: kind !== 'figure' }
  })
  return [
    { name: 'symbol', data: rows.map((row) => row.symbol) },
    numbers(
      'ts',
      rows.map((row) => BigInt(row.time)),
    ),
    { name: 'key', data: rows.map((row) => row.key) },
    numbers(
      'recorded_at',
      rows.map((row) => BigInt(row.recordedAt)),
    ),
    { name: 'deleted', data: rows.map((row) => row.deleted) },
    ...own,
  ]
}

function physicalValue(kind: ColumnKind, value: ColumnValue): unknown {
  if (value === null) return null
  switch (kind) {
    case 'decimal':
      return value
    case 'figure':
      return figureBytes(value as string)
    case 'integer':
    case 'instant':
      return BigInt(value as number)
    case 'date':
      return dayNumber(value as string)
    case 'texts':
      return JSON.stringify(value)
    case 'json':
      return (value as JsonValue).text
    default:
      return value
  }
}

function figureBytes(text: string): Uint8Array {
  const bytes = Buffer.alloc(FIGURE_WIDTH)
  const scaled = scaledFigure(text)
  bytes.writeBigInt64BE(scaled >> 64n, 0)
  bytes.writeBigUInt64BE(BigInt.asUintN(64, scaled), 8)
  return Uint8Array.from(bytes)
}
