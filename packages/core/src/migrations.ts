import { sha256Hex } from './canonical.ts'
import type { SqlClient } from './ports/SqlClient.ts'
import { VarveError } from './VarveError.ts'

/** One step of a schema. Once released its text never changes. */
export interface Migration {
  /** Owner and number, unique: `storage/0001-companies`. Applied in the order given. */
  readonly id: string
  readonly sql: string
}

/**
 * Applies what is missing, in order, in one transaction under an advisory lock, and records it in
 * `varve_migrations`.
 *
 * @returns ids applied now
 * @throws `MIGRATION_CHANGED` when an applied migration's text differs, `MIGRATION_NEWER` when the database
 * holds migrations this version does not know
 */
export async function applyMigrations(
  client: SqlClient,
  migrations: readonly Migration[],
): Promise<string[]> {
  return client.tx(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock(8241953017)')
    await tx.exec(
      'CREATE TABLE IF NOT EXISTS varve_migrations (id text PRIMARY KEY, checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())',
    )
    const { rows } = await tx.query<{ id: string; checksum: string }>(
      'SELECT id, checksum FROM varve_migrations',
    )
    const applied = new Map(rows.map((row) => [row.id, row.checksum]))
    const known = new Set(migrations.map((migration) => migration.id))
    const newer = rows.map((row) => row.id).filter((id) => !known.has(id))
    if (newer.length > 0) {
      throw new VarveError(
        `the database was written by a newer Varve: it holds migrations unknown here (${newer.join(', ')}); update Varve`,
        { code: 'MIGRATION_NEWER', details: { unknown: newer } },
      )
    }
    const done: string[] = []
    for (const migration of migrations) {
      const checksum = sha256Hex(migration.sql)
      const before = applied.get(migration.id)
      if (before === checksum) continue
      if (before !== undefined) {
        throw new VarveError(
          `migration ${migration.id} was changed after it had been applied; restore its text`,
          {
            code: 'MIGRATION_CHANGED',
            details: { id: migration.id },
          },
        )
      }
      await tx.exec(migration.sql)
      await tx.query('INSERT INTO varve_migrations (id, checksum) VALUES ($1, $2)', [migration.id, checksum])
      done.push(migration.id)
    }
    return done
  })
}
