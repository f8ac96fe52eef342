import { type Interval, type SqlTx, VarveError } from '@varve/core'
import type { LakeFileContent } from '../lake/parquetWriter.ts'
import type { StoreContext } from './options.ts'

/** Held shared while files are registered and exclusively while they are deleted, so that no file is lost between. */
const LAKE_LOCK = 8241953019

/** A file to be listed in the catalog; `seriesIds` matches `content.series`. */
export interface RegisteredFile {
  readonly path: string
  readonly bytes: number
  readonly content: Omit<LakeFileContent, 'bytes'>
  readonly seriesIds: readonly number[]
}

/** Waits until nobody registers files, and keeps others from it until the transaction ends. */
export async function lockLakeForDeletion(tx: SqlTx): Promise<void> {
  await tx.query('SELECT pg_advisory_xact_lock($1)', [LAKE_LOCK])
}

/**
 * Lists files in the catalog. From the check that they exist until the transaction ends no sweep can delete them.
 *
 * @throws `STORAGE_STAGE_STALE` when a file was swept away since it was written
 */
export async function registerFiles(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  sourceId: number,
  files: readonly RegisteredFile[],
): Promise<void> {
  if (files.length === 0) return
  await tx.query('SELECT pg_advisory_xact_lock_shared($1)', [LAKE_LOCK])
  for (const { path, bytes, content, seriesIds } of files) {
    if ((await context.lake.size(path)) !== bytes) {
      throw new VarveError(`lake file ${path} has gone since it was written; stage the batch again`, {
        code: 'STORAGE_STAGE_STALE',
        retryable: true,
        details: { path },
      })
    }
    // A file with this content may have been replaced once; then it comes back to life.
    const { rows } = await tx.query<{ id: bigint }>(
      `INSERT INTO lake_files (path, interval, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
       ON CONFLICT (path) DO UPDATE SET removed_at = NULL, created_at = excluded.created_at
         WHERE lake_files.removed_at IS NOT NULL
       RETURNING id`,
      [
        path,
        interval,
        sourceId,
        content.symbolMin,
        content.symbolMax,
        new Date(content.timeMin),
        new Date(content.timeMax),
        content.rows,
        bytes,
        content.sha256,
        new Date(context.clock.now()),
      ],
    )
    const id = rows[0]?.id
    if (id === undefined) {
      throw new VarveError(`lake file ${path} is registered already; stage the batch again`, {
        code: 'STORAGE_STAGE_STALE',
        retryable: true,
        details: { path },
      })
    }
    await tx.query(
      `INSERT INTO lake_file_series (file_id, series_id, rows, time_min, time_max)
       SELECT $1::bigint, * FROM unnest($2::int[], $3::int[], $4::timestamptz[], $5::timestamptz[])
       ON CONFLICT DO NOTHING`,
      [
        id,
        seriesIds,
        content.series.map((entry) => entry.rows),
        content.series.map((entry) => new Date(entry.timeMin)),
        content.series.map((entry) => new Date(entry.timeMax)),
      ],
    )
  }
}
