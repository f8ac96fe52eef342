import { type SqlTx, sqlName } from '@varve/core'

/** A table that lists lake files. */
export interface LakeCatalog {
  /** Table; one that does not exist lists nothing. */
  readonly table: string
  readonly pathColumn: string
  readonly bytesColumn: string
  readonly sha256Column: string
  /** Column that is not null once a file was replaced. */
  readonly removedColumn?: string
}

/** Tables of this package that list lake files. */
export const lakeCatalogs: readonly LakeCatalog[] = ['lake_files', 'record_files'].map((table) => ({
  table,
  pathColumn: 'path',
  bytesColumn: 'bytes',
  sha256Column: 'sha256',
  removedColumn: 'removed_at',
}))

/** A lake file as a catalog describes it. */
export interface CatalogFile {
  readonly catalog: string
  readonly path: string
  readonly bytes: number
  readonly sha256: string
}

/** All files in use at the transaction's snapshot, by path; one listed twice is named once. */
export async function filesInUse(tx: SqlTx, catalogs: readonly LakeCatalog[]): Promise<CatalogFile[]> {
  const files = new Map<string, CatalogFile>()
  for (const { table, pathColumn, bytesColumn, sha256Column, removedColumn } of catalogs) {
    const { rows: found } = await tx.query<{ there: boolean }>(
      'SELECT to_regclass($1) IS NOT NULL AS there',
      [sqlName(table)],
    )
    if (found[0]?.there !== true) continue
    const { rows } = await tx.query<{ path: string; bytes: bigint; sha256: string }>(
      `SELECT ${sqlName(pathColumn)} AS path, ${sqlName(bytesColumn)}::bigint AS bytes, ${sqlName(sha256Column)} AS sha256
       FROM ${sqlName(table)} ${removedColumn === undefined ? '' : `WHERE ${sqlName(removedColumn)} IS NULL`} ORDER BY 1`,
    )
    for (const { path, bytes, sha256 } of rows) {
      files.set(path, { catalog: table, path, bytes: Number(bytes), sha256 })
    }
  }
  return [...files.values()]
}
