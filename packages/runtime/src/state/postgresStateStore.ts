import type { SqlClient } from '@varve/core'
import { type StateEntry, type VersionedStateStore, byKey } from './VersionedStateStore.ts'

export interface PostgresStateStoreOptions {
  /** A database that holds `runtimeMigrations`. Closing the store leaves it open. */
  readonly sql: SqlClient
}

interface Row {
  readonly namespace: string
  readonly key: string
  readonly value: string
  readonly version: bigint
  readonly remaining: number | null
}

const COLUMNS = `namespace, key, value, version,
  (extract(epoch FROM ends_at - clock_timestamp()) * 1000)::float8 AS remaining`
const LIVE = '(ends_at IS NULL OR ends_at > clock_timestamp())'
const ENDS_AT = (parameter: string): string =>
  `clock_timestamp() + ${parameter}::float8 * interval '1 millisecond'`

/**
 * Documents as rows, kept as text: `jsonb` would refuse a NUL inside a string. Time is the database's clock. An entry
 * whose time has passed is removed by the next write of its namespace's restore, or overwritten.
 */
export function createPostgresStateStore({ sql }: PostgresStateStoreOptions): VersionedStateStore {
  const toEntry = ({ key, value, version, remaining }: Row): StateEntry => ({
    key,
    text: value,
    version: Number(version),
    remainingMs: remaining ?? undefined,
  })
  const close = (): Promise<void> => Promise.resolve()
  return {
    async get(namespace, key) {
      const { rows } = await sql.query<Row>(
        `SELECT ${COLUMNS} FROM runtime_state WHERE namespace = $1 AND key = $2 AND ${LIVE}`,
        [namespace, key],
      )
      return rows[0] === undefined ? undefined : toEntry(rows[0])
    },
    async put(namespace, key, text, { expectedVersion, ttlMs } = {}) {
      const values = [namespace, key, text, ttlMs ?? null]
      const write = `value = $3, version = nextval('runtime_state_version'), ends_at = ${ENDS_AT('$4')}`
      const { rows } =
        expectedVersion !== undefined && expectedVersion > 0
          ? await sql.query<{ version: bigint }>(
              `UPDATE runtime_state SET ${write}
              WHERE namespace = $1 AND key = $2 AND version = $5::bigint AND ${LIVE} RETURNING version`,
              [...values, expectedVersion],
            )
          : await sql.query<{ version: bigint }>(
              `INSERT INTO runtime_state AS old (namespace, key, value, version, ends_at)
              VALUES ($1, $2, $3, nextval('runtime_state_version'), ${ENDS_AT('$4')})
              ON CONFLICT (namespace, key) DO UPDATE SET ${write}
              ${expectedVersion === 0 ? 'WHERE old.ends_at <= clock_timestamp()' : ''}
              RETURNING version`,
              values,
            )
      return rows[0] === undefined ? undefined : Number(rows[0].version)
    },
    async delete(namespace, key, { expectedVersion } = {}) {
      const { rowCount } = await sql.query(
        `DELETE FROM runtime_state WHERE namespace = $1 AND key = $2 AND ${LIVE}
        AND ($3::bigint IS NULL OR version = $3::bigint)`,
        [namespace, key, expectedVersion ?? null],
      )
      return rowCount > 0
    },
    async snapshot(namespaces) {
      const { rows } = await sql.query<Row>(
        `SELECT ${COLUMNS} FROM runtime_state WHERE namespace = ANY ($1::text[]) AND ${LIVE}`,
        [namespaces],
      )
      const found = new Map<string, StateEntry[]>(namespaces.map((name) => [name, []]))
      for (const row of rows) found.get(row.namespace)?.push(toEntry(row))
      for (const entries of found.values()) entries.sort(byKey)
      return found
    },
    async replace(content) {
      const names = [...content.keys()].sort()
      await sql.tx(async (tx) => {
        // Nobody may add to these namespaces between the deletion and the end of this transaction.
        await tx.exec('LOCK TABLE runtime_state IN SHARE ROW EXCLUSIVE MODE')
        await tx.query('DELETE FROM runtime_state WHERE namespace = ANY ($1::text[])', [names])
        const records = names.flatMap((name) =>
          (content.get(name) ?? []).map((record) => ({ name, ...record })),
        )
        await tx.query(
          `INSERT INTO runtime_state (namespace, key, value, version, ends_at)
          SELECT name, key, text, nextval('runtime_state_version'), ${ENDS_AT('NULLIF(ttl, 0)')}
          FROM unnest($1::text[], $2::text[], $3::text[], $4::float8[]) AS record (name, key, text, ttl)`,
          [
            records.map(({ name }) => name),
            records.map(({ key }) => key),
            records.map(({ text }) => text),
            records.map(({ ttlMs }) => ttlMs ?? 0),
          ],
        )
      })
    },
    async namespaces() {
      const { rows } = await sql.query<{ namespace: string }>(
        `SELECT DISTINCT namespace FROM runtime_state WHERE ${LIVE}`,
      )
      return rows.map(({ namespace }) => namespace).sort()
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
