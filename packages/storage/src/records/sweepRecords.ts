import type { RecordContext } from './options.ts'
import { lockLakeForDeletion } from './recordCatalog.ts'

/** Where record files lie; bars have a folder of their own, and a sweep of their own. */
const FOLDER = 'records'

/** Deletes record files nobody refers to. See `RecordStore.sweep`. */
export async function sweepRecords(
  context: RecordContext,
  options: { readonly graceMs: number },
): Promise<{ readonly replaced: number; readonly orphans: number; readonly bytes: number }> {
  const { sql, lake, clock } = context
  const before = clock.now() - options.graceMs
  const { rows } = await sql.query<{ path: string; removed_at: Date | null }>(
    'SELECT path, removed_at FROM record_files',
  )
  const catalog = new Map(rows.map((row) => [row.path, row.removed_at?.getTime()]))
  const candidates: { path: string; bytes: number; known: boolean }[] = []
  for await (const file of lake.list(FOLDER)) {
    const known = catalog.has(file.path)
    const removedAt = catalog.get(file.path)
    if (known ? removedAt !== undefined && removedAt <= before : file.modifiedAt <= before)
      candidates.push({ path: file.path, bytes: file.bytes, known })
  }
  let [replaced, orphans, bytes] = [0, 0, 0]
  for (let start = 0; start < candidates.length; start += context.sweepBatchFiles) {
    const part = candidates.slice(start, start + context.sweepBatchFiles)
    await sql.tx(async (tx) => {
      await lockLakeForDeletion(tx)
      // Looked at again under the lock: a run may have registered one of them since.
      const live = await tx.query<{ path: string }>(
        'SELECT path FROM record_files WHERE path = ANY($1::text[]) AND (removed_at IS NULL OR removed_at > $2)',
        [part.map((file) => file.path), new Date(before)],
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
      'SELECT id, path FROM record_files WHERE removed_at IS NOT NULL AND removed_at <= $1',
      [new Date(before)],
    )
    const ids: bigint[] = []
    for (const row of gone.rows) if ((await lake.size(row.path)) === undefined) ids.push(row.id)
    if (ids.length > 0) await tx.query('DELETE FROM record_files WHERE id = ANY($1::bigint[])', [ids])
  })
  return { replaced, orphans, bytes }
}
