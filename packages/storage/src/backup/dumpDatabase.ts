import { type SqlEngine, type SqlTx, publish } from '@varve/core'
import { createHash } from 'node:crypto'
import type { BackupManifest, BackupPart, BackupTable } from './manifest.ts'
import type { CheckedBackupSettings } from './options.ts'
import type { PartWriter } from './partStore.ts'
import { addRows, countRows, tableSegments } from './tableRows.ts'
import { fullName, sequenceState } from './statements.ts'
import { listTables } from './tables.ts'

/** A large table takes longer than any statement of the daily work may; and storing a part is no idling. */
export const UNHURRIED = 'SET LOCAL statement_timeout = 0; SET LOCAL idle_in_transaction_session_timeout = 0'

/** Makes everything read in a transaction one picture of the database. Must be its first statement. */
export async function freeze(tx: SqlTx): Promise<void> {
  await tx.exec(`SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY; ${UNHURRIED}`)
}

/** Writes every table of the schemas; the transaction must be frozen. */
export async function dumpDatabase(
  tx: SqlTx,
  engine: SqlEngine,
  parts: PartWriter,
  settings: CheckedBackupSettings,
  signal: AbortSignal | undefined,
): Promise<NonNullable<BackupManifest['database']>> {
  const { rows: version } = await tx.query<{ version: string }>(
    "SELECT current_setting('server_version') AS version",
  )
  const shapes = await listTables(tx, settings.schemas)
  const tables: BackupTable[] = []
  for (const shape of shapes) {
    const rows = await countRows(tx, shape)
    const hash = createHash('sha256')
    const stored: BackupPart[] = []
    for await (const segment of tableSegments(tx, engine, shape, rows, settings)) {
      signal?.throwIfAborted()
      addRows(hash, segment)
      stored.push(await parts.put(segment))
    }
    const { schema, name, columns, partition } = shape
    tables.push({
      schema,
      name,
      columns: [...columns],
      rows,
      sha256: hash.digest('hex'),
      partition,
      parts: stored,
    })
    publish('progress', () => ({
      stage: 'backup database',
      done: tables.length,
      total: shapes.length,
      unit: 'tables',
    }))
  }
  return {
    dump: 'logical',
    engine,
    postgresVersion: version[0]!.version,
    migrations: await appliedMigrations(tx),
    tables,
    sequences: await readSequences(tx, settings.schemas),
  }
}

/** What `applyMigrations` has recorded; nothing in a database it never saw. */
export async function appliedMigrations(
  tx: SqlTx,
): Promise<{ readonly id: string; readonly checksum: string }[]> {
  const { rows: found } = await tx.query<{ there: boolean }>(
    "SELECT to_regclass('varve_migrations') IS NOT NULL AS there",
  )
  if (found[0]?.there !== true) return []
  const { rows } = await tx.query<{ id: string; checksum: string }>(
    'SELECT id, checksum FROM varve_migrations ORDER BY applied_at, id COLLATE "C"',
  )
  return rows
}

/** Sequences do not belong to the snapshot; read after it, they are never behind the rows it shows. */
async function readSequences(
  tx: SqlTx,
  schemas: readonly string[],
): Promise<NonNullable<BackupManifest['database']>['sequences']> {
  const { rows } = await tx.query<{ schema: string; name: string }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
     WHERE c.relkind = 'S' AND c.relpersistence <> 't' AND n.nspname = ANY($1::text[]) ORDER BY 1, 2`,
    [schemas],
  )
  const sequences = []
  for (const sequence of rows) {
    const { rows: state } = await tx.query<{ value: string; called: boolean }>(
      sequenceState(fullName(sequence)),
    )
    sequences.push({ ...sequence, lastValue: state[0]!.value, isCalled: state[0]!.called })
  }
  return sequences
}
