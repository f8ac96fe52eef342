import { type KeyValue, parquetMetadata } from 'hyparquet'
import { DAY_MS } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { parquetWriteBuffer } from 'hyparquet-writer'
import { JsonValue } from '../src/records/columns.ts'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { chunkChecksums, sealFooter } from '../src/lake/chunkChecksums.ts'
import { RECORD_FORMAT, createRecordFileWriter } from '../src/records/recordFile.ts'
import type { StoredRow } from '../src/records/StoredRow.ts'
import { FEED, WIRE, openRecordTest } from './recordsSupport.ts'
import type { Engine, TestStore } from './support.ts'

const T0 = Date.UTC(2024, 2, 1)
export const DAYS = 6
export const SYMBOLS = ['AAPL', 'MSFT', 'ZTS']
export const at = (days: number) => T0 + days * DAY_MS

export interface FileRow {
  readonly id: bigint
  readonly path: string
  readonly bytes: bigint
  readonly sha256: string
  readonly dataset: string
}

/** News in three files, then filings of another source in a fourth. */
export async function openFilled(
  engine: Engine,
): Promise<{ test: TestStore; store: RecordStore; files: FileRow[] }> {
  const test = await openRecordTest(engine)
  const clock = createTestClock(at(100))
  const store = createRecordStore({ sql: test.sql, lake: test.lake, clock, rowGroupRows: 5 })
  for (let load = 0; load < 3; load++) {
    const rows = SYMBOLS.flatMap((symbol) =>
      Array.from({ length: DAYS }, (_, number) => ({
        symbol,
        time: at(load * DAYS + number),
        values: {
          article_id: `${symbol}-${load}-${number}`,
          title: `${symbol} on day ${number}`,
          symbols: [symbol, 'ü😀'],
          updated_at: at(number),
          extra: { number },
        },
      })),
    )
    await store.load({ dataset: 'news', source: FEED, recordedAt: at(50), rows })
    await store.archive('news', { before: () => at((load + 1) * DAYS) })
  }
  const values = {
    doc_type: '10-K',
    end_date: '2023-12-31',
    period_focus: 'FY',
    fiscal_year: 2023,
    amend: false,
    cash: '-0.000000000000000001',
  }
  await store.load({ dataset: 'filings', source: WIRE, rows: [{ symbol: 'JPM', time: at(1), values }] })
  await store.archive('filings', { before: () => at(90) })
  const { rows } = await test.sql.query<FileRow>(
    'SELECT id, path, bytes, sha256, dataset FROM record_files ORDER BY id',
  )
  return { test, store, files: [...rows] }
}

/** Versions of the second file; unchanged they make the file itself. */
export const newsRows = (change: (row: StoredRow, index: number) => StoredRow): StoredRow[] =>
  SYMBOLS.flatMap((symbol, index) =>
    Array.from({ length: DAYS }, (_, number) =>
      change(
        {
          symbol,
          time: at(DAYS + number),
          key: `${symbol}-1-${number}`,
          recordedAt: at(50),
          deleted: false,
          values: [
            `${symbol}-1-${number}`,
            `${symbol} on day ${number}`,
            ...Array.from({ length: 6 }, () => null),
            [symbol, 'ü😀'],
            null,
            at(number),
            new JsonValue(`{"number":${number}}`),
          ],
        },
        index * DAYS + number,
      ),
    ),
  )
export const written = (rows: readonly StoredRow[]) => {
  const writer = createRecordFileWriter({ dataset: 'news', source: FEED, rowGroupRows: 5, zstdLevel: 3 })
  for (const row of rows) writer.add(row)
  return writer.finish()!.bytes
}
/** Its file with one value changed. */
export const withValue = (position: number, value: StoredRow['values'][number]) =>
  written(
    newsRows((row, index) => (index === 7 ? { ...row, values: row.values.with(position, value) } : row)),
  )
/** Any Parquet file with what all records have; later columns of the dataset are not in it. */
export const keysOnly = (rows: readonly StoredRow[], format = RECORD_FORMAT) => {
  const entries = Object.entries({ format, dataset: 'news', ...FEED }).map(([key, value]) => ({
    key: `varve.${key}`,
    value,
  }))
  const write = (kvMetadata: KeyValue[]) =>
    new Uint8Array(
      parquetWriteBuffer({
        columnData: [
          { name: 'symbol', type: 'STRING', data: rows.map((row) => row.symbol) },
          { name: 'ts', type: 'INT64', data: rows.map((row) => BigInt(row.time)) },
          { name: 'key', type: 'STRING', data: rows.map((row) => row.key) },
          { name: 'recorded_at', type: 'INT64', data: rows.map((row) => BigInt(row.recordedAt)) },
          { name: 'deleted', type: 'BOOLEAN', data: rows.map((row) => row.deleted) },
        ],
        codec: 'UNCOMPRESSED',
        kvMetadata,
      }),
    )
  const plain = write(entries)
  const sealed = write([...entries, chunkChecksums(parquetMetadata(plain.buffer).row_groups, plain)])
  sealFooter(sealed)
  return sealed
}

export const whole = 'UPDATE record_files SET'
export const symbols = 'UPDATE record_file_symbols SET'
export const ofMsft = "WHERE file_id = $1 AND symbol = 'MSFT'"
/** Faults of the catalog: what it is made to say, and how it is mended again. */
export const ofCatalog: readonly (readonly [what: string, plant: string, mend: string, says: RegExp])[] = [
  [
    'another number of rows',
    `${whole} rows = rows + 1 WHERE id = $1`,
    `${whole} rows = rows - 1 WHERE id = $1`,
    /18 rows where the catalog says 19/,
  ],
  [
    'another size',
    `${whole} bytes = bytes + 1 WHERE id = $1`,
    `${whole} bytes = bytes - 1 WHERE id = $1`,
    /SHA-256 is the right one/,
  ],
  [
    'an earlier begin',
    `${whole} time_min = time_min - interval '1 day' WHERE id = $1`,
    `${whole} time_min = time_min + interval '1 day' WHERE id = $1`,
    /times from/,
  ],
  [
    'an earlier end',
    `${whole} time_max = time_max - interval '1 day' WHERE id = $1`,
    `${whole} time_max = time_max + interval '1 day' WHERE id = $1`,
    /times from/,
  ],
  [
    'another first symbol',
    `${whole} symbol_min = 'AB' WHERE id = $1`,
    `${whole} symbol_min = 'AAPL' WHERE id = $1`,
    /symbols from AAPL/,
  ],
  [
    'another last symbol',
    `${whole} symbol_max = 'ZTT' WHERE id = $1`,
    `${whole} symbol_max = 'ZTS' WHERE id = $1`,
    /to ZTS where/,
  ],
  [
    'another SHA-256',
    `${whole} sha256 = repeat('0', 64) WHERE id = $1`,
    `${whole} sha256 = split_part(reverse(split_part(reverse(path), '/', 1)), '.', 1) WHERE id = $1`,
    /the one of its name/,
  ],
  [
    'another dataset',
    `${whole} dataset = 'sentiment' WHERE id = $1`,
    `${whole} dataset = 'news' WHERE id = $1`,
    /varve\.dataset is "news" where the catalog says "sentiment"/,
  ],
  [
    'a dataset nobody knows',
    `${whole} dataset = 'toString' WHERE id = $1`,
    `${whole} dataset = 'news' WHERE id = $1`,
    /varve\.dataset is "news"/,
  ],
  [
    'another source',
    `${whole} source_id = (SELECT id FROM sources WHERE provider = 'wire') WHERE id = $1`,
    `${whole} source_id = (SELECT id FROM sources WHERE provider = 'polygon') WHERE id = $1`,
    /varve\.provider is "polygon" where the catalog says "wire"/,
  ],
  [
    'other rows of one symbol',
    `${symbols} rows = rows + 1 ${ofMsft}`,
    `${symbols} rows = rows - 1 ${ofMsft}`,
    /6 rows of MSFT where the catalog says 7/,
  ],
  [
    'another begin of one symbol',
    `${symbols} time_min = time_min - interval '1 day' ${ofMsft}`,
    `${symbols} time_min = time_min + interval '1 day' ${ofMsft}`,
    /MSFT reaches from/,
  ],
  [
    'another end of one symbol',
    `${symbols} time_max = time_max - interval '1 day' ${ofMsft}`,
    `${symbols} time_max = time_max + interval '1 day' ${ofMsft}`,
    /MSFT reaches from/,
  ],
  [
    'another name of one symbol',
    `${symbols} symbol = 'META' ${ofMsft}`,
    `${symbols} symbol = 'MSFT' WHERE file_id = $1 AND symbol = 'META'`,
    /6 rows of MSFT, of which the catalog knows nothing/,
  ],
  [
    'a symbol too many',
    `INSERT INTO record_file_symbols SELECT file_id, 'META', time_min, time_max, rows FROM record_file_symbols ${ofMsft}`,
    "DELETE FROM record_file_symbols WHERE file_id = $1 AND symbol = 'META'",
    /nothing of META/,
  ],
]
/** The file that `make` makes of the same size as one given, by lengthening keys. */
export function sized(file: FileRow, make: (extra: string) => Uint8Array): Uint8Array {
  for (let attempt = 0; attempt < 400; attempt++) {
    const made = make(attempt === 0 ? '' : attempt.toString(36))
    if (made.length === Number(file.bytes)) return made
  }
  throw new Error('no file of that size came out')
}

export function swapped<T>(items: readonly T[], first: number, other: number): T[] {
  return items.map((item, index) =>
    index === first ? items[other]! : index === other ? items[first]! : item,
  )
}
