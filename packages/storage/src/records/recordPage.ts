import type { SqlTx } from '@varve/core'
import { MAX_TIME, MIN_TIME } from '../bars/instants.ts'
import type { Dataset } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import { type VersionKey, compareVersions } from './order.ts'
import type { RecordFileRef } from './recordFileReader.ts'
import { type SelectedRow, type StoredRow, fromSelected } from './StoredRow.ts'

/** A part of one source's records to look at. */
export interface PageQuery {
  readonly dataset: Dataset
  readonly sourceId: number
  /** `undefined` for all. */
  readonly symbols: readonly string[] | undefined
  readonly from: number
  readonly to: number
  readonly knownAt: number | undefined
  /** Every version, or of each record the latest in Postgres. */
  readonly versions: 'current' | 'all'
  readonly after: VersionKey
  readonly limit: number
}

/** Rows of Postgres and the lake files that can matter, as they were at one instant. */
export interface RecordPicture {
  readonly rows: readonly StoredRow[]
  readonly files: readonly RecordFileRef[]
  /** Where records of a symbol begin to be visible; symbols not named hide nothing. */
  readonly bounds: ReadonlyMap<string, number>
}

/** What stands beside a row in the answer: a file or a bound. */
interface MetaRow extends SelectedRow {
  readonly meta: string | null
}

/** Before every version there can be. */
export const BEFORE_ALL: VersionKey = { symbol: '', time: MIN_TIME, key: '', recordedAt: MIN_TIME }

const META_SQL = `jsonb_build_array('f', f.id, f.path, f.bytes, f.rows)::text`
const BOUND_SQL = `jsonb_build_array('b', b.symbol, (extract(epoch FROM b.expired_before) * 1000)::bigint)::text`

/**
 * Rows, files and bounds in ONE statement, hence one snapshot: a move between Postgres and the lake is either wholly
 * in it or not at all.
 */
export async function loadPage(tx: SqlTx, query: PageQuery): Promise<RecordPicture> {
  const { dataset, after } = query
  const latest = query.versions === 'current'
  const { rows } = await tx.query<MetaRow>(
    `SELECT * FROM (
       SELECT ${latest ? 'DISTINCT ON (h.symbol, h.ts, h.key)' : ''} ${RECORD_SQL[dataset].selected}, NULL::text AS meta
       FROM ${RECORD_SQL[dataset].table} h
       WHERE h.source_id = $2 AND h.ts >= $3 AND h.ts < $4 AND ($5::text[] IS NULL OR h.symbol = ANY($5))
         AND ($6::timestamptz IS NULL OR h.recorded_at <= $6)
         AND (h.symbol, h.ts, h.key, h.recorded_at) > ($7, $8::timestamptz, $9, $10::timestamptz)
         AND h.ts >= coalesce((SELECT b.expired_before FROM record_bounds b
           WHERE b.dataset = $1 AND b.source_id = $2 AND b.symbol = h.symbol), '-infinity')
       ORDER BY h.symbol, h.ts, h.key, h.recorded_at ${latest ? 'DESC' : ''} LIMIT $11::bigint) r
     UNION ALL
     SELECT ${RECORD_SQL[dataset].nulls}, ${META_SQL}
     FROM record_files f WHERE f.dataset = $1 AND f.source_id = $2 AND f.removed_at IS NULL AND EXISTS (
       SELECT FROM record_file_symbols e LEFT JOIN record_bounds b
         ON b.dataset = $1 AND b.source_id = $2 AND b.symbol = e.symbol
       WHERE e.file_id = f.id AND e.time_max >= $3 AND e.time_min < $4
         AND ($5::text[] IS NULL OR e.symbol = ANY($5)) AND e.symbol >= $7
         AND (b.expired_before IS NULL OR e.time_max >= b.expired_before))
     UNION ALL
     SELECT ${RECORD_SQL[dataset].nulls}, ${BOUND_SQL}
     FROM record_bounds b WHERE b.dataset = $1 AND b.source_id = $2 AND b.expired_before > $3
       AND ($5::text[] IS NULL OR b.symbol = ANY($5)) AND b.symbol >= $7`,
    [
      dataset,
      query.sourceId,
      new Date(query.from),
      new Date(query.to),
      query.symbols ?? null,
      query.knownAt === undefined ? null : new Date(query.knownAt),
      after.symbol,
      new Date(after.time),
      after.key,
      // Of a record whose latest version was taken, no other version is wanted.
      new Date(latest && after.symbol !== '' ? MAX_TIME : after.recordedAt),
      query.limit,
    ],
  )
  return pictureOf(dataset, rows)
}

/**
 * Versions of records to be loaded, with the files that may hold others of them, and the revision they were seen at.
 *
 * @param records - symbol, time and key of each
 */
export async function loadKnown(
  tx: SqlTx,
  dataset: Dataset,
  sourceId: number,
  records: readonly Omit<VersionKey, 'recordedAt'>[],
): Promise<RecordPicture & { readonly revision: bigint }> {
  const symbols = new Map<string, { from: number; to: number }>()
  for (const { symbol, time } of records) {
    const range = symbols.get(symbol)
    if (range === undefined) symbols.set(symbol, { from: time, to: time })
    else {
      range.from = Math.min(range.from, time)
      range.to = Math.max(range.to, time)
    }
  }
  const ranges = [...symbols.values()]
  const from = ranges.reduce((least, range) => Math.min(least, range.from), MAX_TIME)
  const to = ranges.reduce((most, range) => Math.max(most, range.to), MIN_TIME)
  const { rows } = await tx.query<MetaRow>(
    `SELECT ${RECORD_SQL[dataset].selected}, NULL::text AS meta
     FROM unnest($3::text[], $4::timestamptz[], $5::text[]) AS n(symbol, ts, key)
     CROSS JOIN LATERAL (SELECT * FROM ${RECORD_SQL[dataset].table} t
       WHERE t.source_id = $2 AND t.symbol = n.symbol AND t.ts = n.ts AND t.key = n.key
         AND t.ts >= $6 AND t.ts <= $7 OFFSET 0) h
     UNION ALL
     SELECT ${RECORD_SQL[dataset].nulls}, ${META_SQL}
     FROM record_files f WHERE f.dataset = $1 AND f.source_id = $2 AND f.removed_at IS NULL AND EXISTS (
       SELECT FROM unnest($8::text[], $9::timestamptz[], $10::timestamptz[]) AS n(symbol, time_min, time_max)
       JOIN record_file_symbols e ON e.symbol = n.symbol AND e.time_max >= n.time_min AND e.time_min <= n.time_max
       WHERE e.file_id = f.id)
     UNION ALL
     SELECT ${RECORD_SQL[dataset].nulls}, ${BOUND_SQL}
     FROM record_bounds b WHERE b.dataset = $1 AND b.source_id = $2 AND b.symbol = ANY($8)
     UNION ALL
     SELECT ${RECORD_SQL[dataset].nulls}, jsonb_build_array('r', r.revision)::text
     FROM record_sources r WHERE r.dataset = $1 AND r.source_id = $2`,
    [
      dataset,
      sourceId,
      records.map((row) => row.symbol),
      records.map((row) => new Date(row.time)),
      records.map((row) => row.key),
      new Date(from),
      new Date(to),
      [...symbols.keys()],
      ranges.map((range) => new Date(range.from)),
      ranges.map((range) => new Date(range.to)),
    ],
  )
  return pictureOf(dataset, rows)
}

function pictureOf(
  dataset: Dataset,
  rows: readonly MetaRow[],
): RecordPicture & { readonly revision: bigint } {
  const found: StoredRow[] = []
  const files: RecordFileRef[] = []
  const bounds = new Map<string, number>()
  let revision = -1n
  for (const row of rows) {
    if (row.meta === null) {
      found.push(fromSelected(row, RECORD_SQL[dataset].columns))
      continue
    }
    const [kind, ...parts] = JSON.parse(row.meta) as [string, ...(string | number)[]]
    if (kind === 'f') {
      const [id, path, bytes, count] = parts
      files.push({ id: Number(id), path: String(path), bytes: Number(bytes), rows: Number(count) })
    } else if (kind === 'b') {
      bounds.set(String(parts[0]), Number(parts[1]))
    } else {
      revision = BigInt(parts[0]!)
    }
  }
  // The parts of a union come in any order.
  found.sort(compareVersions)
  files.sort((a, b) => a.id - b.id)
  return { rows: found, files, bounds, revision }
}
