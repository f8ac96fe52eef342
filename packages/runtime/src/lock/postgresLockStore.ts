import type { SqlClient } from '@varve/core'
import type { LockStore } from './LockStore.ts'

export interface PostgresLockStoreOptions {
  /** A database that holds `runtimeMigrations`. */
  readonly sql: SqlClient
}

/**
 * Locks as rows. Time is the database's clock, so clocks of clients do not matter. Every step is one statement: a
 * client stopped between two statements would keep the row locked, and everybody waiting.
 */
export function createPostgresLockStore({ sql }: PostgresLockStoreOptions): LockStore {
  return {
    async tryAcquire(name, owner, ttlMs) {
      // Under the row's lock the condition is looked at again, so of two at once one wins. Tokens follow the clock
      // in microseconds: they grow even if the row was deleted or the database came from an old backup.
      const { rows } = await sql.query<{ token: bigint }>(
        `INSERT INTO runtime_locks AS held (name, owner, token, ends_at)
        VALUES ($1, $2, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint,
          clock_timestamp() + $3::float8 * interval '1 millisecond')
        ON CONFLICT (name) DO UPDATE SET
          owner = EXCLUDED.owner,
          token = CASE WHEN held.owner = EXCLUDED.owner THEN held.token ELSE
            GREATEST(held.token + 1, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) END,
          ends_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
        WHERE held.owner IS NULL OR held.owner = EXCLUDED.owner OR held.ends_at <= clock_timestamp()
        RETURNING token`,
        [name, owner, ttlMs],
      )
      const [row] = rows
      if (row !== undefined) return { granted: true, token: row.token }
      const left = await sql.query<{ ms: number }>(
        `SELECT GREATEST(0, extract(epoch FROM ends_at - clock_timestamp()) * 1000)::float8 AS ms
        FROM runtime_locks WHERE name = $1`,
        [name],
      )
      return { granted: false, freeInMs: left.rows[0]?.ms ?? 0 }
    },
    async renew(name, owner, ttlMs) {
      const { rowCount } = await sql.query(
        `UPDATE runtime_locks SET ends_at = clock_timestamp() + $3::float8 * interval '1 millisecond'
        WHERE name = $1 AND owner = $2 AND ends_at > clock_timestamp()`,
        [name, owner, ttlMs],
      )
      return rowCount === 1
    },
    async release(name, owner) {
      // The row stays, for its token.
      const { rowCount } = await sql.query(
        `UPDATE runtime_locks SET owner = NULL
        WHERE name = $1 AND owner = $2 AND ends_at > clock_timestamp()`,
        [name, owner],
      )
      return rowCount === 1
    },
  }
}
