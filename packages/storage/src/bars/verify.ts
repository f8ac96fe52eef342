import { errorMessage } from '@varve/core'
import { createHash } from 'node:crypto'
import type { VerifyResult } from '../BarStore.ts'
import type { StoreContext } from './options.ts'

/** Bytes read at once. */
const BLOCK_BYTES = 4 << 20

/** See `BarStore.verify`. */
export async function verifyLake(
  context: StoreContext,
  signal: AbortSignal | undefined,
): Promise<VerifyResult> {
  const { sql, lake } = context
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
      for (let start = 0; start < bytes; start += BLOCK_BYTES) {
        hash.update(await lake.read(path, start, Math.min(bytes, start + BLOCK_BYTES)))
      }
      return hash.digest('hex') === sha256 ? undefined : 'its content has changed since it was written'
    } catch (error) {
      return errorMessage(error)
    }
  }
}
