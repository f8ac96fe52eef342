import type { SqlTx } from '@varve/core'
import { fullName, orphans, quoteName, quoteNames, rowCount, sumOfValues } from './statements.ts'
import { type TableShape, listTables } from './tables.ts'

/** What the rows of a table are, and so what a migration may do to them. */
export type DataKind = 'market' | 'news' | 'feature' | 'user' | 'config' | 'cache'

/** What must hold for a kind of data across a migration. */
export interface MigrationStrategy {
  /** `equal`: as many rows as before; `kept`: none is lost; `any`: no matter. */
  readonly rows: 'equal' | 'kept' | 'any'
  /** Whether the columns that stay hold the same values. */
  readonly values: boolean
}

/**
 * By kind: prices, users' data and configuration come through unchanged; news may be added to but not changed;
 * features may be computed anew as long as none is lost; a cache may be emptied.
 */
export const migrationStrategies: Readonly<Record<DataKind, MigrationStrategy>> = {
  market: { rows: 'equal', values: true },
  news: { rows: 'kept', values: false },
  feature: { rows: 'kept', values: false },
  user: { rows: 'equal', values: true },
  config: { rows: 'equal', values: true },
  cache: { rows: 'any', values: false },
}

/** A column that refers to another table without a constraint. */
export interface LogicalReference {
  readonly table: string
  readonly column: string
  readonly to: string
  readonly toColumn: string
}

/** References of this package's tables that carry no constraint. */
export const logicalReferences: readonly LogicalReference[] = [
  { table: 'bars', column: 'series_id', to: 'series', toColumn: 'id' },
]

/** Something a migration should not have done. */
export interface MigrationProblem {
  readonly table: string
  readonly check: 'rows' | 'values' | 'schema' | 'types' | 'references'
  readonly problem: string
}

export interface TableState {
  readonly shape: TableShape
  readonly rows: bigint
}

/** Tables as they are before a migration. */
export async function tableStates(tx: SqlTx, schemas: readonly string[]): Promise<TableState[]> {
  const states: TableState[] = []
  for (const shape of await listTables(tx, schemas)) {
    if (shape.name === 'varve_migrations') continue
    const { rows } = await tx.query<{ count: bigint }>(rowCount(fullName(shape)))
    states.push({ shape, rows: rows[0]!.count })
  }
  return states
}

/**
 * A number that is the same when some columns of a table hold the same values, in whatever order the rows lie.
 * Computed by the server. For noticing accidents: somebody who wants two tables to look alike can make them.
 */
export async function valueSum(tx: SqlTx, table: TableShape, columns: readonly string[]): Promise<string> {
  const { rows } = await tx.query<{ sum: string }>(sumOfValues(quoteNames(columns), fullName(table)))
  return rows[0]!.sum
}

/** Columns whose values are compared: all of a table whose kind asks for it. */
export function comparedColumns(state: TableState, strategy: MigrationStrategy): string[] {
  return strategy.values ? state.shape.columns.map((column) => column.name) : []
}

export interface CompareOptions {
  readonly before: readonly TableState[]
  /** By table: the sum over its columns before. */
  readonly sums: ReadonlyMap<string, string>
  readonly after: readonly TableState[]
  readonly strategyOf: (table: TableShape) => MigrationStrategy
  /** Tables and columns (`table.column`) that the migrations are meant to remove or change. */
  readonly expected: ReadonlySet<string>
}

/** What became of every table: rows, values, schema and types. */
export async function compareTables(tx: SqlTx, options: CompareOptions): Promise<MigrationProblem[]> {
  const { before, sums, after, strategyOf, expected } = options
  const now = new Map<string, TableState>(after.map((state) => [fullName(state.shape), state]))
  const problems: MigrationProblem[] = []
  for (const old of before) {
    const { shape } = old
    // A partition is expected to change as its table is.
    if (expected.has(shape.name) || (shape.partition !== null && expected.has(shape.partition.of))) continue
    const table = shape.name
    const current = now.get(fullName(shape))
    const strategy = strategyOf(shape)
    if (current === undefined) {
      if (old.rows > 0n && strategy.rows !== 'any') {
        problems.push({ table, check: 'schema', problem: `it is gone, with ${old.rows} rows` })
      }
      continue
    }
    if (
      strategy.rows === 'equal'
        ? current.rows !== old.rows
        : strategy.rows === 'kept' && current.rows < old.rows
    ) {
      problems.push({ table, check: 'rows', problem: `${current.rows} rows, ${old.rows} before` })
    }
    if (strategy.rows === 'any') continue
    let whole = true
    for (const column of shape.columns) {
      if (isExpected(shape, column.name)) {
        whole = false
        continue
      }
      const type = current.shape.columns.find(({ name }) => name === column.name)?.type
      if (type === column.type) continue
      whole = false
      problems.push(
        type === undefined
          ? { table, check: 'schema', problem: `column ${column.name} is gone` }
          : { table, check: 'types', problem: `column ${column.name} is ${type}, ${column.type} before` },
      )
    }
    const sum = sums.get(fullName(shape))
    if (!whole || sum === undefined) continue
    const columns = shape.columns.map(({ name }) => name)
    if ((await valueSum(tx, current.shape, columns)) !== sum) {
      problems.push({ table, check: 'values', problem: 'its values are not those before' })
    }
  }
  return problems

  function isExpected(shape: TableShape, column: string): boolean {
    return expected.has(`${shape.name}.${column}`) || expected.has(`${shape.partition?.of}.${column}`)
  }
}

/** Rows that refer to nothing, and constraints the database was told not to check. */
export async function brokenReferences(
  tx: SqlTx,
  references: readonly LogicalReference[],
): Promise<MigrationProblem[]> {
  const problems: MigrationProblem[] = []
  const { rows: unchecked } = await tx.query<{ table: string; name: string }>(
    `SELECT conrelid::regclass::text AS table, conname::text AS name FROM pg_constraint
     WHERE NOT convalidated AND contype IN ('f', 'c') AND connamespace = 'public'::regnamespace`,
  )
  for (const { table, name } of unchecked) {
    problems.push({ table, check: 'references', problem: `constraint ${name} was never checked` })
  }
  for (const { table, column, to, toColumn } of references) {
    const { rows: there } = await tx.query<{ both: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AND to_regclass($2) IS NOT NULL AS both',
      [quoteName(table), quoteName(to)],
    )
    if (there[0]?.both !== true) continue
    const { rows } = await tx.query<{ count: bigint }>(
      orphans(quoteName(table), quoteName(column), quoteName(to), quoteName(toColumn)),
    )
    if (rows[0]!.count > 0n) {
      problems.push({
        table,
        check: 'references',
        problem: `${rows[0]!.count} rows whose ${column} is in no row of ${to}`,
      })
    }
  }
  return problems
}
