import { setTimeout as pass } from 'node:timers/promises'
import type { SqlClient } from '@varve/core'
import { createPostgresStateStore } from '../../src/index.ts'
import type { StateStoreFixture } from '../../src/testing/index.ts'

/** The state store over a database that holds the tables. */
export function stateInPostgres(sql: SqlClient, cleanUp: () => Promise<void>): StateStoreFixture {
  return {
    store: createPostgresStateStore({ sql }),
    other: createPostgresStateStore({ sql }),
    pass: (ms) => pass(ms),
    async damage(namespace, key, text) {
      await sql.query('UPDATE runtime_state SET value = $3 WHERE namespace = $1 AND key = $2', [
        namespace,
        key,
        text,
      ])
    },
    cleanUp,
  }
}
