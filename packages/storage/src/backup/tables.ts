import type { SqlTx } from '@varve/core'
import { type SqlText, orderBy } from './statements.ts'

/** A table that holds rows itself: an ordinary one or the leaf of a partitioned one. */
export interface TableShape {
  readonly schema: string
  readonly name: string
  readonly columns: readonly { readonly name: string; readonly type: string }[]
  /** Expressions that sort its rows alike everywhere. */
  readonly order: SqlText
  readonly partition: { readonly schema: string; readonly of: string; readonly bound: string } | null
}

/** Tables of some schemas by name, without those of extensions. Generated columns are left out. */
export async function listTables(tx: SqlTx, schemas: readonly string[]): Promise<TableShape[]> {
  const { rows } = await tx.query<{
    schema: string
    name: string
    parent_schema: string | null
    parent: string | null
    bound: string | null
    columns: readonly { name: string; type: string; key: number | null; text: boolean }[]
  }>(
    `SELECT n.nspname::text AS schema, c.relname::text AS name, pn.nspname::text AS parent_schema, p.relname::text AS parent,
       pg_get_expr(c.relpartbound, c.oid) AS bound, columns.list AS columns
     FROM pg_class c
     JOIN pg_namespace n ON n.oid = c.relnamespace
     LEFT JOIN pg_inherits i ON i.inhrelid = c.oid AND c.relispartition
     LEFT JOIN pg_class p ON p.oid = i.inhparent
     LEFT JOIN pg_namespace pn ON pn.oid = p.relnamespace
     CROSS JOIN LATERAL (
       SELECT jsonb_agg(jsonb_build_object('name', a.attname, 'type', format_type(a.atttypid, a.atttypmod),
         'key', array_position(k.indkey::int2[], a.attnum), 'text', a.attcollation <> 0) ORDER BY a.attnum) AS list
       FROM pg_attribute a LEFT JOIN pg_index k ON k.indrelid = c.oid AND k.indisprimary
       WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
     ) columns
     WHERE n.nspname = ANY($1::text[]) AND c.relkind = 'r' AND c.relpersistence <> 't' AND columns.list IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
     ORDER BY n.nspname, c.relname`,
    [schemas],
  )
  return rows.map(({ schema, name, parent_schema, parent, bound, columns }) => {
    const key = columns.filter((column) => column.key !== null).sort((a, b) => a.key! - b.key!)
    const order = orderBy(
      key,
      columns.map((column) => column.name),
    )
    return {
      schema,
      name,
      columns: columns.map((column) => ({ name: column.name, type: column.type })),
      order,
      partition:
        parent === null || parent_schema === null || bound === null
          ? null
          : { schema: parent_schema, of: parent, bound },
    }
  })
}

/** Those first that others refer to. Rows of a table that refers to itself go in together. */
export async function inReferenceOrder<Table extends { readonly schema: string; readonly name: string }>(
  tx: SqlTx,
  tables: readonly Table[],
): Promise<Table[]> {
  const { rows } = await tx.query<{ child: string; parent: string }>(
    `SELECT format('%I.%I', cn.nspname, c.relname) AS child, format('%I.%I', pn.nspname, p.relname) AS parent
     FROM pg_constraint f
     JOIN pg_class c ON c.oid = f.conrelid JOIN pg_namespace cn ON cn.oid = c.relnamespace
     JOIN pg_class p ON p.oid = f.confrelid JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE f.contype = 'f'`,
  )
  const { rows: names } = await tx.query<{ name: string }>(
    `SELECT format('%I.%I', s, t) AS name FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS u(s, t, at) ORDER BY at`,
    [tables.map((table) => table.schema), tables.map((table) => table.name)],
  )
  const byName = new Map(names.map(({ name }, index) => [name, tables[index]!]))
  const parents = Map.groupBy(rows, (row) => row.child)
  const order = new Set<Table>()
  const open = new Set<string>()
  const visit = (name: string): void => {
    const table = byName.get(name)
    if (table === undefined || order.has(table) || open.has(name)) return
    open.add(name)
    for (const { parent } of parents.get(name) ?? []) visit(parent)
    order.add(table)
  }
  for (const { name } of names) visit(name)
  return [...order]
}
