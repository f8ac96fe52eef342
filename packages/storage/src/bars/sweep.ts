import type { SweepOptions, SweepResult } from '../BarStore.ts'
import { lockLakeForDeletion } from './lakeCatalog.ts'
import { type StoreContext, chunksOf } from './options.ts'

/** Deletes files nobody refers to. See `BarStore.sweep`. */
export async function sweepLake(context: StoreContext, options: SweepOptions): Promise<SweepResult> {
  const { sql, lake, clock } = context
  const before = clock.now() - options.graceMs
  const { rows } = await sql.query<{ path: string; removed_at: Date | null }>(
    'SELECT path, removed_at FROM lake_files',
  )
  const catalog = new Map(rows.map((row) => [row.path, row.removed_at?.getTime()]))
  const candidates: { path: string; bytes: number; known: boolean }[] = []
  for await (const file of lake.list('bars')) {
    const known = catalog.has(file.path)
    const removedAt = catalog.get(file.path)
    if (known ? removedAt !== undefined && removedAt <= before : file.modifiedAt <= before) {
      candidates.push({ path: file.path, bytes: file.bytes, known })
    }
  }
  let replaced = 0
  let orphans = 0
  let bytes = 0
  for (const part of chunksOf(candidates, context.sweepBatchFiles)) {
    await sql.tx(async (tx) => {
      await lockLakeForDeletion(tx)
      const paths = part.map((file) => file.path)
      // Looked at again under the lock: a load may have registered one of them since.
      const live = await tx.query<{ path: string }>(
        'SELECT path FROM lake_files WHERE path = ANY($1::text[]) AND (removed_at IS NULL OR removed_at > $2)',
        [paths, new Date(before)],
      )
      const kept = new Set(live.rows.map((row) => row.path))
      for (const file of part) {
        if (kept.has(file.path)) continue
        await lake.delete(file.path)
        bytes += file.bytes
        if (file.known) replaced++
        else orphans++
      }
    })
  }
  // The rows go last: a crash in between leaves rows of missing files, which nobody reads and the next sweep removes.
  await sql.tx(async (tx) => {
    await lockLakeForDeletion(tx)
    const gone = await tx.query<{ id: bigint; path: string }>(
      'SELECT id, path FROM lake_files WHERE removed_at IS NOT NULL AND removed_at <= $1',
      [new Date(before)],
    )
    const ids: bigint[] = []
    for (const row of gone.rows) if ((await lake.size(row.path)) === undefined) ids.push(row.id)
    if (ids.length > 0) await tx.query('DELETE FROM lake_files WHERE id = ANY($1::bigint[])', [ids])
  })
  return { replaced, orphans, bytes }
}
