import {
  type Migration,
  type SqlClient,
  type SqlTx,
  VarveError,
  applyMigrations,
  sha256Hex,
} from '@varve/core'
import { UNHURRIED } from './dumpDatabase.ts'
import { type BackupManifest, type BackupTable, damagedBackup } from './manifest.ts'
import type { CheckedBackupSettings } from './options.ts'
import {
  analyze,
  anyRow,
  copyInto,
  createPartition,
  deleteRows,
  fullName,
  partitionBound,
  quoteNames,
} from './statements.ts'
import { tableSum } from './tableRows.ts'
import { type TableShape, inReferenceOrder, listTables } from './tables.ts'

type Dump = NonNullable<BackupManifest['database']>

export interface LoadOptions {
  readonly sql: SqlClient
  readonly dump: Dump
  readonly migrations: readonly Migration[]
  /** Makes tables that no migration makes. */
  readonly prepare: ((sql: SqlClient) => Promise<void>) | undefined
  /** Runs in the transaction of the load, after the rows were checked. */
  readonly afterLoad: ((tx: SqlTx) => Promise<void>) | undefined
  readonly readPart: (part: BackupTable['parts'][number]) => Promise<Uint8Array>
  readonly settings: CheckedBackupSettings
  readonly signal: AbortSignal | undefined
}

/** What differs between a table of the manifest and the restored one. */
export interface TableDifference {
  readonly table: string
  readonly problem: string
}

/**
 * Fills an empty database from a dump: the schema as it was then, in one transaction the rows, then the migrations
 * made since. A failure leaves the database without rows.
 *
 * @returns rows loaded and differences between manifest and database; with any, the rows are rolled back
 * @throws `BACKUP_TARGET_NOT_EMPTY`, `BACKUP_NEWER`, `MIGRATION_CHANGED`, `BACKUP_SCHEMA_MISMATCH`, `BACKUP_DAMAGED`
 */
export async function loadDatabase(
  options: LoadOptions,
): Promise<{ readonly rows: number; readonly differences: readonly TableDifference[] }> {
  const { sql, dump, migrations, prepare, settings } = options
  const then = migrationsOf(dump, migrations)
  await refuseRows(sql, settings.schemas)
  await applyMigrations(sql, then)
  await prepare?.(sql)
  const rolledBack = new Error('rolled back')
  let result: { rows: number; differences: TableDifference[] } = { rows: 0, differences: [] }
  try {
    await sql.tx(async (tx) => {
      result = await loadRows(tx, options)
      if (result.differences.length > 0) throw rolledBack
    })
  } catch (error) {
    if (error !== rolledBack) throw error
    return result
  }
  await applyMigrations(sql, migrations)
  return result
}

/** The migrations a dump was made with, by today's text. */
function migrationsOf(dump: Dump, migrations: readonly Migration[]): Migration[] {
  const ours = new Map(migrations.map((migration) => [migration.id, migration]))
  const unknown = dump.migrations.filter(({ id }) => !ours.has(id)).map(({ id }) => id)
  if (unknown.length > 0) {
    throw new VarveError(
      `the backup was made by a newer Varve, or parts of this one are missing: it holds migrations unknown here (${unknown.join(', ')}); update Varve`,
      { code: 'BACKUP_NEWER', details: { unknown } },
    )
  }
  for (const { id, checksum } of dump.migrations) {
    if (sha256Hex(ours.get(id)!.sql) === checksum) continue
    throw new VarveError(`migration ${id} was changed since the backup was made; restore its text`, {
      code: 'MIGRATION_CHANGED',
      details: { id },
    })
  }
  const held = new Set(dump.migrations.map(({ id }) => id))
  return migrations.filter((migration) => held.has(migration.id))
}

/** @throws `BACKUP_TARGET_NOT_EMPTY` */
export async function refuseRows(sql: SqlClient, schemas: readonly string[]): Promise<void> {
  for (const table of await listTables(sql, schemas)) {
    if (table.name === 'varve_migrations') continue
    const { rows } = await sql.query(anyRow(fullName(table)))
    if (rows.length === 0) continue
    throw new VarveError(
      `the target database is not empty: table ${table.name} has rows; restore into a new database, nothing was changed`,
      { code: 'BACKUP_TARGET_NOT_EMPTY', details: { table: table.name } },
    )
  }
}

async function loadRows(
  tx: SqlTx,
  options: LoadOptions,
): Promise<{ rows: number; differences: TableDifference[] }> {
  const { sql, dump, settings, readPart, afterLoad, signal } = options
  await tx.exec(UNHURRIED)
  await makePartitions(tx, dump.tables, settings.schemas)
  const shapes = new Map<string, TableShape>(
    (await listTables(tx, settings.schemas)).map((shape) => [fullName(shape), shape]),
  )
  for (const table of dump.tables) checkColumns(table, shapes.get(fullName(table)))
  const ordered = await inReferenceOrder(tx, dump.tables)
  // Rows that migrations put in come back from the dump. TRUNCATE would want the partitioned tables named as well.
  for (const table of ordered.toReversed()) await tx.exec(deleteRows(fullName(table)))
  const differences: TableDifference[] = []
  let total = 0
  for (const table of ordered) {
    const copy = copyInto(fullName(table), quoteNames(table.columns.map((column) => column.name)))
    let rows = 0
    for (const part of table.parts) {
      signal?.throwIfAborted()
      const content = await readPart(part)
      rows += await tx.copyIn(copy, [content])
    }
    // Without statistics the planner would sort the whole table for every page that is compared, and later ones.
    await tx.exec(analyze(fullName(table)))
    total += rows
    if (rows !== table.rows) {
      differences.push({
        table: table.name,
        problem: `${rows} rows were loaded, the manifest says ${table.rows}`,
      })
    } else if (settings.checkRows) {
      const sum = await tableSum(tx, sql.engine, shapes.get(fullName(table))!, settings)
      if (sum.rows !== table.rows || sum.sha256 !== table.sha256) {
        differences.push({ table: table.name, problem: `its ${sum.rows} rows are not those of the backup` })
      }
    }
  }
  for (const sequence of dump.sequences) {
    await tx.query('SELECT setval($1::regclass, $2::bigint, $3::boolean)', [
      fullName(sequence),
      sequence.lastValue,
      sequence.isCalled,
    ])
  }
  if (differences.length === 0) await afterLoad?.(tx)
  return { rows: total, differences }
}

async function makePartitions(
  tx: SqlTx,
  tables: readonly BackupTable[],
  schemas: readonly string[],
): Promise<void> {
  const there = new Set((await listTables(tx, schemas)).map((shape): string => fullName(shape)))
  for (const table of tables) {
    if (table.partition === null || there.has(fullName(table))) continue
    const { of, bound } = table.partition
    const checked = partitionBound(bound)
    if (checked === undefined) {
      throw damagedBackup('manifest.json', `the bound of partition ${table.name} is none: ${bound}`)
    }
    const parent = fullName({ schema: table.partition.schema, name: of })
    const { rows } = await tx.query<{ there: boolean }>('SELECT to_regclass($1) IS NOT NULL AS there', [
      parent,
    ])
    if (rows[0]?.there !== true) throw tableMissing(of)
    await tx.exec(createPartition(fullName(table), parent, checked))
  }
}

function checkColumns(table: BackupTable, target: TableShape | undefined): void {
  const types = new Map(target?.columns.map((column) => [column.name, column.type]))
  const wrong = table.columns.filter((column) => types.get(column.name) !== column.type)
  if (target !== undefined && wrong.length === 0) return
  if (target === undefined) throw tableMissing(table.name)
  throw new VarveError(
    `table ${table.name} of the backup has columns that the restored schema has not, or of another type: ${wrong.map((column) => `${column.name} ${column.type}`).join(', ')}`,
    {
      code: 'BACKUP_SCHEMA_MISMATCH',
      details: { table: table.name, columns: wrong.map(({ name }) => name) },
    },
  )
}

function tableMissing(name: string): VarveError {
  return new VarveError(
    `the backup holds table ${name}, which the migrations given do not make; give those of every package that keeps tables, and prepare() for what migrates itself`,
    { code: 'BACKUP_SCHEMA_MISMATCH', details: { table: name } },
  )
}
