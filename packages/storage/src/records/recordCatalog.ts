import { type BarSource, type SqlTx, VarveError } from '@varve/core'
import { type SourceRow, ensureSources, sourceName, toBarSource } from '../sources.ts'
import type { Dataset } from './datasets.ts'
import type { RecordContext } from './options.ts'
import type { RecordFileContent } from './recordFile.ts'
import type { RecordFileRef } from './recordFileReader.ts'

/** The lock of bars' catalog: shared while files are registered, exclusive while any are deleted. */
const LAKE_LOCK = 8241953019

/** A source that has records of a dataset. */
export interface RecordSource {
  readonly id: number
  readonly source: BarSource
}

/** A written file, not yet listed. */
export interface WrittenRecordFile {
  readonly path: string
  readonly bytes: number
  readonly content: Omit<RecordFileContent, 'bytes'>
}

/** Sources of a dataset, by name; one exactly, any feed of a provider, or all. */
export async function recordSources(
  tx: SqlTx,
  dataset: Dataset,
  wanted?: BarSource | string,
): Promise<RecordSource[]> {
  const { rows } = await tx.query<SourceRow>(
    `SELECT s.id, s.provider, s.feed, s.adjustment FROM record_sources r JOIN sources s ON s.id = r.source_id
     WHERE r.dataset = $1`,
    [dataset],
  )
  return rows
    .map((row) => ({ id: row.id, source: toBarSource(row) }))
    .filter(
      ({ source }) =>
        wanted === undefined ||
        (typeof wanted === 'string' ? source.provider === wanted : sourceName(source) === sourceName(wanted)),
    )
    .sort((a, b) => (sourceName(a.source) < sourceName(b.source) ? -1 : 1))
}

/** The id of a source of a dataset, adding what is new. */
export async function ensureRecordSource(tx: SqlTx, dataset: Dataset, source: BarSource): Promise<number> {
  const id = (await ensureSources(tx, [source])).get(sourceName(source))!
  await tx.query(
    `INSERT INTO record_sources (dataset, source_id) SELECT $1, $2::smallint
     WHERE NOT EXISTS (SELECT FROM record_sources WHERE dataset = $1 AND source_id = $2) ON CONFLICT DO NOTHING`,
    [dataset, id],
  )
  return id
}

/**
 * Keeps every other writer of a dataset's source out until the transaction ends.
 *
 * @returns the revision
 */
export async function lockRecordSource(tx: SqlTx, dataset: Dataset, sourceId: number): Promise<bigint> {
  const { rows } = await tx.query<{ revision: bigint }>(
    'SELECT revision FROM record_sources WHERE dataset = $1 AND source_id = $2 FOR UPDATE',
    [dataset, sourceId],
  )
  return rows[0]?.revision ?? -1n
}

/** Tells those who prepared a load that it must be prepared again. */
export async function bumpRevision(tx: SqlTx, dataset: Dataset, sourceId: number): Promise<void> {
  await tx.query('UPDATE record_sources SET revision = revision + 1 WHERE dataset = $1 AND source_id = $2', [
    dataset,
    sourceId,
  ])
}

/** Waits until nobody registers files, and keeps others from it until the transaction ends. */
export async function lockLakeForDeletion(tx: SqlTx): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [LAKE_LOCK])
}

/**
 * Lists a file in the catalog. From the check that it exists until the transaction ends no sweep can delete it.
 *
 * @throws `STORAGE_STAGE_STALE` when the file was swept away since it was written
 */
export async function registerRecordFile(
  context: RecordContext,
  tx: SqlTx,
  owner: { readonly dataset: Dataset; readonly sourceId: number },
  file: WrittenRecordFile,
): Promise<void> {
  const { path, bytes, content } = file
  await tx.query('SELECT pg_advisory_xact_lock_shared($1)', [LAKE_LOCK])
  if ((await context.lake.size(path)) !== bytes) throw staleFile(path, 'has gone since it was written')
  // A file with this content may have been replaced once; then it comes back to life.
  const { rows } = await tx.query<{ id: bigint }>(
    `INSERT INTO record_files (path, dataset, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at)
     VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
     ON CONFLICT (path) DO UPDATE SET removed_at = NULL, created_at = excluded.created_at
       WHERE record_files.removed_at IS NOT NULL
     RETURNING id`,
    [
      path,
      owner.dataset,
      owner.sourceId,
      content.first.symbol,
      content.last.symbol,
      new Date(content.symbols.reduce((least, entry) => Math.min(least, entry.timeMin), Infinity)),
      new Date(content.symbols.reduce((most, entry) => Math.max(most, entry.timeMax), -Infinity)),
      content.rows,
      bytes,
      content.sha256,
      new Date(context.clock.now()),
    ],
  )
  const id = rows[0]?.id
  if (id === undefined) throw staleFile(path, 'is registered already')
  await tx.query(
    `INSERT INTO record_file_symbols (file_id, symbol, rows, time_min, time_max)
     SELECT $1::bigint, * FROM unnest($2::text[], $3::int[], $4::timestamptz[], $5::timestamptz[])
     ON CONFLICT DO NOTHING`,
    [
      id,
      content.symbols.map((entry) => entry.symbol),
      content.symbols.map((entry) => entry.rows),
      content.symbols.map((entry) => new Date(entry.timeMin)),
      content.symbols.map((entry) => new Date(entry.timeMax)),
    ],
  )
}

/** Whether the catalog still lists every file; if not, a read is outdated rather than the lake damaged. */
export async function allLive(tx: SqlTx, files: readonly RecordFileRef[]): Promise<boolean> {
  const { rows } = await tx.query<{ live: number }>(
    'SELECT count(*)::int AS live FROM record_files WHERE id = ANY($1::bigint[]) AND removed_at IS NULL',
    [files.map((file) => file.id)],
  )
  return rows[0]?.live === files.length
}

/** Where records of each symbol begin to be visible, milliseconds UTC; symbols not named hide nothing. */
export async function loadBounds(
  tx: SqlTx,
  dataset: Dataset,
  sourceId: number,
): Promise<Map<string, number>> {
  const { rows } = await tx.query<{ symbol: string; expired_before: Date }>(
    'SELECT symbol, expired_before FROM record_bounds WHERE dataset = $1 AND source_id = $2',
    [dataset, sourceId],
  )
  return new Map(rows.map((row) => [row.symbol, row.expired_before.getTime()]))
}

function staleFile(path: string, what: string): VarveError {
  return new VarveError(`lake file ${path} ${what}; run it again`, {
    code: 'STORAGE_STAGE_STALE',
    retryable: true,
    details: { path },
  })
}
