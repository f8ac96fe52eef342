import { errorMessage } from '@varve/core'
import { createHash } from 'node:crypto'
import type { VerifyResult } from '../BarStore.ts'
import type { StoreContext } from './options.ts'

/** Bytes read at once. */

/** See `BarStore.verify`. */
export async function verifyLake(
  context: StoreContext,
  signal: AbortSignal | undefined,
): Promise<VerifyResult> {
  const { sql, lake, verifyBlockBytes } = context
  const { rows } = await sql.query<{ path: string; bytes: bigint; rows: bigint; sha256: string }>(
    'SELECT path, bytes, rows, sha256 FROM lake_files WHERE removed_at IS NULL ORDER BY path',
  )
  const problems: { path: string; problem: string }[] = []
  let total = 0
  for (const file of rows) {
    signal?.throwIfAborted()
    const problem = await problemOf(file.path, Number(file.bytes), file.sha256)
    if (problem === undefined) total += Number(file.rows)
    else problems.push({ path: file.path, problem })
  }
  return { files: rows.length, rows: total, problems }

  async function problemOf(path: string, bytes: number, sha256: string): Promise<string | undefined> {
    try {
      const size = await lake.size(path)
      if (size === undefined) return 'the file is missing'
      if (size !== bytes) return `${size} bytes where ${bytes} were written`
      const hash = createHash('sha256')
      for (let start = 0; start < bytes; start += verifyBlockBytes) {
        hash.update(await lake.read(path, start, Math.min(bytes, start + verifyBlockBytes)))
      }
      return hash.digest('hex') === sha256 ? undefined : 'its content has changed since it was written'
    } catch (error) {
      return errorMessage(error)
    }
  }
}
