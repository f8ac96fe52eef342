import { type SqlClient, errorMessage } from '@varve/core'
import type { QueryTrackingSettings } from './options.ts'
import { parametersOf, shapeOf, typeOf } from './statementShape.ts'

/** The part of a plan that is looked at. @see https://www.postgresql.org/docs/18/sql-explain.html, FORMAT JSON */
interface PlanNode {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Plan Rows'?: number
  readonly Filter?: string
  readonly 'Index Cond'?: string
  readonly 'Recheck Cond'?: string
  readonly Plans?: readonly PlanNode[]
}

interface Table {
  /** The table read, as its plan names it. */
  readonly name: string
  /** The partitioned table it is a part of. */
  readonly parent: string | null
  /** Columns the parent is partitioned by. */
  readonly keys: readonly string[] | null
  /** Partitions of the parent. */
  readonly siblings: number
  readonly rows: number
  readonly columns: readonly string[]
}

const TABLES = `
SELECT c.relname AS name, p.relname AS parent,
       greatest(c.reltuples, 0)::float8 AS rows,
       (SELECT array_agg(a.attname::text) FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0) AS columns,
       (SELECT array_agg(a.attname::text) FROM pg_partitioned_table t
          JOIN pg_attribute a ON a.attrelid = t.partrelid AND a.attnum = ANY(t.partattrs::int2[])
         WHERE t.partrelid = p.oid) AS keys,
       (SELECT count(*)::int FROM pg_inherits s WHERE s.inhparent = p.oid) AS siblings
  FROM pg_class c
  LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
  LEFT JOIN pg_class p ON p.oid = i.inhparent
 WHERE c.relname = ANY($1) AND pg_table_is_visible(c.oid)`

/**
 * What the plan of a read suggests, one sentence each. The plan is the one for any parameters; nothing is run.
 *
 * @param text - the statement with its placeholders
 * @returns a reason instead of advice when it cannot be explained
 */
export async function planAdvice(
  sql: SqlClient,
  text: string,
  settings: QueryTrackingSettings,
): Promise<readonly string[]> {
  const shape = shapeOf(text)
  // What follows a semicolon would be run, not explained.
  if (typeOf(shape) !== 'select' || shape.includes(';'))
    return ['Its plan is not looked at: not a single read.']
  try {
    return await sql.tx(async (tx) => {
      await tx.exec("SET TRANSACTION READ ONLY; SET LOCAL plan_cache_mode = 'force_generic_plan'")
      // An earlier attempt on this connection may have failed half-way.
      const left = await tx.query("SELECT 1 FROM pg_prepared_statements WHERE name = 'varve_advice'")
      if (left.rows.length > 0) await tx.exec('DEALLOCATE varve_advice')
      // eslint-disable-next-line varve/sql-by-parameters -- a single read that the program itself has run before
      await tx.exec('PREPARE varve_advice AS ' + text)
      const nulls = Array.from({ length: parametersOf(text) }, () => 'NULL').join(', ')
      const explained = await tx.query<{ 'QUERY PLAN': readonly [{ readonly Plan: PlanNode }] }>(
        `EXPLAIN (FORMAT JSON) EXECUTE varve_advice${nulls === '' ? '' : `(${nulls})`}`,
      )
      await tx.exec('DEALLOCATE varve_advice')
      const plan = explained.rows[0]!['QUERY PLAN'][0].Plan
      const scans = [...nodesOf(plan)].filter((node) => node['Relation Name'] !== undefined)
      const names = [...new Set(scans.map((node) => node['Relation Name']!))]
      const tables = (await tx.query<Table>(TABLES, [names])).rows
      const sentences = [...unpruned(scans, tables), ...wholeTables(scans, tables, settings.largeTableRows)]
      return sentences.length > 0
        ? sentences
        : ['Its plan shows nothing to improve: the time goes into the rows it reads.']
    })
  } catch (error) {
    return [`Its plan could not be read: ${errorMessage(error)}`]
  }
}

function* nodesOf(node: PlanNode): Generator<PlanNode> {
  yield node
  for (const child of node.Plans ?? []) yield* nodesOf(child)
}

function conditionOf(node: PlanNode): string {
  return [node.Filter, node['Index Cond'], node['Recheck Cond']].filter(Boolean).join(' ')
}

function mentions(condition: string, column: string): boolean {
  return new RegExp(`(?<![\\w"])"?${column.replaceAll(/\W/g, '\\$&')}"?(?![\\w"])`).test(condition)
}

/** Partitioned tables of which every partition is read, because no condition names the column they are cut by. */
function* unpruned(scans: readonly PlanNode[], tables: readonly Table[]): Generator<string> {
  const parents = new Map<string, Table[]>()
  for (const table of tables) {
    if (table.parent === null || table.keys === null) continue
    parents.set(table.parent, [...(parents.get(table.parent) ?? []), table])
  }
  for (const [parent, read] of parents) {
    const { keys, siblings } = read[0]!
    if (siblings < 2 || read.length < siblings) continue
    const names = new Set(read.map((table) => table.name))
    const conditions = scans.filter((node) => names.has(node['Relation Name']!)).map(conditionOf)
    if (conditions.some((condition) => keys!.some((key) => mentions(condition, key)))) continue
    yield `It reads all ${siblings} partitions of ${parent}: give it a range of ${keys!.join(', ')}, so that Postgres skips the others.`
  }
}

/** Large tables read from end to end to find some of their rows. */
function* wholeTables(
  scans: readonly PlanNode[],
  tables: readonly Table[],
  largeTableRows: number,
): Generator<string> {
  const told = new Set<string>()
  for (const node of scans) {
    const table = tables.find(({ name }) => name === node['Relation Name'])
    if (node['Node Type'] !== 'Seq Scan' || node.Filter === undefined || table === undefined) continue
    const rows = Math.max(table.rows, node['Plan Rows'] ?? 0)
    const name = table.parent ?? table.name
    if (rows < largeTableRows || told.has(name)) continue
    told.add(name)
    const columns = table.columns.filter((column) => mentions(node.Filter!, column))
    yield `It reads all of ${name} (about ${Math.round(rows)} rows${table.parent === null ? '' : ' in one partition'}) to find some of them: an index on (${columns.join(', ')}) would help.`
  }
}
