import { type Migration, type SqlClient, type SqlTx, VarveError, applyMigrations } from '@varve/core'
import { UNHURRIED, appliedMigrations } from './dumpDatabase.ts'
import type { BackupManifest } from './manifest.ts'
import {
  type DataKind,
  type LogicalReference,
  type MigrationProblem,
  brokenReferences,
  compareTables,
  comparedColumns,
  logicalReferences,
  migrationStrategies,
  tableStates,
  valueSum,
} from './migrationChecks.ts'
import { fullName } from './statements.ts'
import type { TableShape } from './tables.ts'

/** Held from the first look to the end: who comes second waits and finds nothing to do. */
const MIGRATION_LOCK = 8241953021

export interface MigrateOptions {
  readonly sql: SqlClient
  readonly migrations: readonly Migration[]
  /** Makes a backup; called when something is to be applied to a database that holds anything. */
  readonly backup: () => Promise<Pick<BackupManifest, 'id'>>
  /** Kind of a table's data. @defaultValue `market` for every table: nothing may change */
  readonly kindOf?: (table: string) => DataKind
  /** Tables (`name`) and columns (`table.column`) that the migrations are meant to change. @defaultValue none */
  readonly expectedChanges?: readonly string[]
  /** @defaultValue {@link logicalReferences} */
  readonly references?: readonly LogicalReference[]
  /** Further checks, inside the migrations' transaction; what they throw rolls everything back. */
  readonly check?: (tx: SqlTx) => Promise<void>
  /** Schemas whose tables are compared. @defaultValue `public` */
  readonly schemas?: readonly string[]
}

export interface MigrationReport {
  /** Ids applied now. */
  readonly applied: readonly string[]
  /** The backup made before; `undefined` when none was needed. */
  readonly backupId: string | undefined
  /** Tables that were compared. */
  readonly checkedTables: number
}

/**
 * Brings a schema up to date so that it can be taken back: backs up, then in one transaction applies what is missing,
 * compares every table with what it was (rows, values, columns, types) and looks for broken references. Any problem
 * rolls everything back and leaves the database as it was; the backup is kept. Of two at once one applies and the
 * other finds nothing to do.
 *
 * @throws `MIGRATION_CHECK_FAILED` with the problems in its details; `MIGRATION_CHANGED`, `MIGRATION_NEWER`, and what
 * the migrations, `backup` or `check` throw
 */
export async function migrateWithBackup(options: MigrateOptions): Promise<MigrationReport> {
  const { sql, migrations, backup } = options
  const before = await appliedMigrations(sql)
  const known = new Set(before.map(({ id }) => id))
  const pending = migrations.some(({ id }) => !known.has(id))
  // Also without anything to apply: changed and unknown migrations are refused there.
  if (!pending)
    return { applied: await applyMigrations(sql, migrations), backupId: undefined, checkedTables: 0 }
  const backupId = before.length === 0 && (await isEmpty(sql)) ? undefined : (await backup()).id
  return sql.tx(async (tx) => {
    await tx.exec(UNHURRIED)
    await tx.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK])
    return { backupId, ...(await applyChecked(sql, tx, options, backupId)) }
  })
}

async function applyChecked(
  sql: SqlClient,
  tx: SqlTx,
  options: MigrateOptions,
  backupId: string | undefined,
): Promise<Omit<MigrationReport, 'backupId'>> {
  const {
    migrations,
    kindOf = () => 'market',
    expectedChanges = [],
    references = logicalReferences,
    check,
    schemas = ['public'],
  } = options
  const strategyOf = (table: TableShape) => migrationStrategies[kindOf(table.partition?.of ?? table.name)]
  const inside: SqlClient = { ...sql, tx: (work) => work(tx) }
  const known = new Set((await appliedMigrations(tx)).map(({ id }) => id))
  if (migrations.every(({ id }) => known.has(id))) {
    return { applied: await applyMigrations(inside, migrations), checkedTables: 0 }
  }
  const before = await tableStates(tx, schemas)
  const sums = new Map<string, string>()
  for (const state of before) {
    const columns = comparedColumns(state, strategyOf(state.shape))
    if (columns.length > 0) sums.set(fullName(state.shape), await valueSum(tx, state.shape, columns))
  }
  const broken = new Set((await brokenReferences(tx, references)).map(keyOf))
  const applied = await applyMigrations(inside, migrations)
  const problems = [
    ...(await compareTables(tx, {
      before,
      sums,
      after: await tableStates(tx, schemas),
      strategyOf,
      expected: new Set(expectedChanges),
    })),
    // What was broken before is not the migration's doing.
    ...(await brokenReferences(tx, references)).filter((problem) => !broken.has(keyOf(problem))),
  ]
  if (problems.length > 0) throw checkFailed(problems, applied, backupId)
  await check?.(tx)
  return { applied, checkedTables: before.length }
}

function keyOf({ table, problem }: MigrationProblem): string {
  return `${table}|${problem}`
}

async function isEmpty(sql: SqlClient): Promise<boolean> {
  const { rows } = await sql.query<{ tables: bigint }>(
    "SELECT count(*) AS tables FROM pg_tables WHERE schemaname = 'public'",
  )
  return rows[0]!.tables === 0n
}

function checkFailed(
  problems: readonly MigrationProblem[],
  applied: readonly string[],
  backupId: string | undefined,
): VarveError {
  const list = problems.map(({ table, problem }) => `${table}: ${problem}`).join('; ')
  return new VarveError(
    `the migrations ${applied.join(', ')} were rolled back, because they changed more than they should: ${list}. Nothing was changed${backupId === undefined ? '' : `; backup ${backupId} is kept`}`,
    { code: 'MIGRATION_CHECK_FAILED', details: { problems, applied, backupId } },
  )
}
