import type { SqlTx } from '@varve/core'
import { DATASET_NAMES } from '../records/datasets.ts'
import type { ManifestFile, LakeManifest } from './manifestFormat.ts'
import { recordFileSchema } from './manifestRecordColumns.ts'

/** Columns of a bar file, as other readers see them. */
export const BAR_FILE_SCHEMA: LakeManifest['schemas'][string] = [
  { name: 'symbol', type: 'STRING', meaning: 'symbol; rows come by symbol, then time, each once' },
  { name: 'time', type: 'TIMESTAMP(MILLIS), UTC', meaning: 'begin of the bar' },
  { name: 'open', type: 'DECIMAL(18,6)', meaning: 'first price' },
  { name: 'high', type: 'DECIMAL(18,6)', meaning: 'highest price' },
  { name: 'low', type: 'DECIMAL(18,6)', meaning: 'lowest price' },
  { name: 'close', type: 'DECIMAL(18,6)', meaning: 'last price' },
  { name: 'volume', type: 'DECIMAL(18,6)', meaning: 'shares traded' },
  { name: 'recorded', type: 'TIMESTAMP(MILLIS), UTC', meaning: 'since when these values were known' },
]

/**
 * Columns of the files listed: those of bars as `bars`, those of records as `records/` and the dataset, such as
 * `records/news`. Of a dataset without files, or one this version does not know, there are none.
 */
export function manifestSchemas(files: readonly ManifestFile[]): LakeManifest['schemas'] {
  const held = new Set(files.map((file) => file.dataset))
  const records = DATASET_NAMES.filter((dataset) => held.has(dataset)).sort()
  return Object.fromEntries([
    ['bars', BAR_FILE_SCHEMA],
    ...records.map((dataset) => [`records/${dataset}`, recordFileSchema(dataset)] as const),
  ])
}

const FILES_OF_BARS = `
  SELECT 'file' AS entry, 'bars' AS kind, f.interval AS name, f.path, o.provider, o.feed, o.adjustment,
    f.symbol_min, f.symbol_max, f.time_min, f.time_max, f.rows, f.bytes, f.sha256, 0::bigint AS additions
  FROM lake_files f JOIN sources o ON o.id = f.source_id WHERE f.removed_at IS NULL`
const FILES_OF_RECORDS = `
  UNION ALL SELECT 'file', 'records', f.dataset, f.path, o.provider, o.feed, o.adjustment,
    f.symbol_min, f.symbol_max, f.time_min, f.time_max, f.rows, f.bytes, f.sha256, 0
  FROM record_files f JOIN sources o ON o.id = f.source_id WHERE f.removed_at IS NULL`
const BOUNDS = `
  UNION ALL SELECT 'watermark', NULL, w.interval, NULL, NULL, NULL, NULL, NULL, NULL, w.archived_to, NULL, NULL, NULL, NULL, 0
  FROM watermarks w
  UNION ALL SELECT 'unfolded', NULL, s.interval, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    count(*) FILTER (WHERE NOT l.added), NULL, NULL, count(*) FILTER (WHERE l.added)
  FROM bars_late l JOIN series s ON s.id = l.series_id GROUP BY s.interval`

interface Row {
  readonly entry: 'file' | 'watermark' | 'unfolded'
  readonly kind: 'bars' | 'records'
  readonly name: string
  readonly path: string
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
  readonly symbol_min: string
  readonly symbol_max: string
  readonly time_min: Date
  readonly time_max: Date
  readonly rows: bigint
  readonly bytes: bigint
  readonly sha256: string
  readonly additions: bigint
}

/** Live files by path, watermarks and unfolded bars: one statement, hence one picture. */
export async function loadManifestFiles(
  sql: SqlTx,
): Promise<Pick<LakeManifest, 'watermarks' | 'unfolded'> & { readonly files: ManifestFile[] }> {
  const known = await sql.query<{ records: boolean }>(
    "SELECT to_regclass('record_files') IS NOT NULL AS records",
  )
  const statement =
    known.rows[0]?.records === true ? FILES_OF_BARS + FILES_OF_RECORDS + BOUNDS : FILES_OF_BARS + BOUNDS
  const { rows } = await sql.query<Row>(statement)
  const files: ManifestFile[] = []
  const watermarks: Record<string, string> = {}
  const unfolded: LakeManifest['unfolded'] = []
  for (const row of rows) {
    if (row.entry === 'watermark') watermarks[row.name] = row.time_min.toISOString()
    else if (row.entry === 'unfolded') {
      unfolded.push({ interval: row.name, corrections: Number(row.rows), additions: Number(row.additions) })
    } else {
      files.push({
        path: row.path,
        kind: row.kind,
        interval: row.kind === 'bars' ? row.name : null,
        dataset: row.kind === 'records' ? row.name : null,
        provider: row.provider,
        feed: row.feed,
        adjustment: row.adjustment,
        symbolMin: row.symbol_min,
        symbolMax: row.symbol_max,
        timeMin: row.time_min.toISOString(),
        timeMax: row.time_max.toISOString(),
        rows: Number(row.rows),
        bytes: Number(row.bytes),
        sha256: row.sha256,
      })
    }
  }
  return {
    files: files.sort((a, b) => (a.path < b.path ? -1 : 1)),
    watermarks,
    unfolded: unfolded.sort((a, b) => (a.interval < b.interval ? -1 : 1)),
  }
}
