import { type SqlTx, VarveError } from '@varve/core'

/** Stands in front of something in this process that only the newest holder of a lock may change. */
export interface MemoryFence {
  /**
   * Runs `work` unless a newer token of this name was seen. `work` is synchronous: nothing can come between the check
   * and what it does.
   *
   * @throws `LOCK_FENCED`
   */
  guard<T>(name: string, token: bigint, work: () => T): T
}

export function createMemoryFence(): MemoryFence {
  const newest = new Map<string, bigint>()
  return {
    guard(name, token, work) {
      const seen = newest.get(name) ?? 0n
      if (token < seen) throw lockFenced(name, token, seen)
      newest.set(name, token)
      return work()
    },
  }
}

/**
 * Refuses the caller's transaction when a newer holder of the lock exists. Call it first inside the transaction that
 * writes. The row it locks makes a newer holder's transaction wait for this one to end, so a write that passed is
 * committed before the newer one begins. The lock itself may live in Postgres or in Redis; the fence is Postgres's.
 *
 * @throws `LOCK_FENCED`; the transaction must then roll back, which it does when the error leaves `work`
 */
export async function assertFence(tx: SqlTx, name: string, token: bigint): Promise<void> {
  const { rows } = await tx.query<{ token: bigint }>(
    `INSERT INTO runtime_fences AS fence (name, token) VALUES ($1, $2::bigint)
    ON CONFLICT (name) DO UPDATE SET token = GREATEST(fence.token, EXCLUDED.token)
    RETURNING token`,
    [name, token],
  )
  // A newer holder that has not written yet counts as well; asked second, after any wait for the row.
  const issued = await tx.query<{ token: bigint }>('SELECT token FROM runtime_locks WHERE name = $1', [name])
  const newest = [...rows, ...issued.rows].reduce((most, row) => (row.token > most ? row.token : most), token)
  if (newest > token) throw lockFenced(name, token, newest)
}

export function lockFenced(name: string, token: bigint, newest: bigint): VarveError {
  return new VarveError(
    `the write under the lock "${name}" was refused: token ${token} is older than ${newest}; somebody else holds the lock by now, so drop this work`,
    { code: 'LOCK_FENCED', details: { name, token: String(token), newest: String(newest) } },
  )
}
