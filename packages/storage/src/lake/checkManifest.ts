import { type SqlClient, isVarveError, sqlName } from '@varve/core'
import type { LakeCatalog } from './checkCatalog.ts'
import type { LakeProblem } from './checkFile.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { MANIFEST_PATH, readManifest } from './manifest.ts'
import type { LakeManifest, ManifestFile } from './manifestFormat.ts'

interface CatalogRow {
  readonly path: string
  readonly rows: bigint
  readonly bytes: bigint
  readonly sha256: string
  readonly symbol_min: string
  readonly symbol_max: string
  readonly time_min: Date
  readonly time_max: Date
  readonly name: string
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
}

/**
 * What the latest manifest says of a catalog's files that is not so. A manifest is a picture of the past: only what
 * contradicts the catalog of today is wrong. Without a manifest nothing is.
 *
 * @throws the errors of the lake and of the database
 */
export async function manifestProblems(
  sql: SqlClient,
  lake: LakeFiles,
  catalog: Pick<LakeCatalog, 'kind' | 'table' | 'name'>,
): Promise<LakeProblem[]> {
  if ((await lake.size(MANIFEST_PATH)) === undefined) return []
  let manifest: LakeManifest
  try {
    manifest = await readManifest(lake)
  } catch (error) {
    if (!isVarveError(error, 'LAKE_MANIFEST_INVALID')) throw error
    return [{ path: MANIFEST_PATH, kind: 'manifest', problem: error.message }]
  }
  const { rows } = await sql.query<CatalogRow>(
    `SELECT f.path, f.rows, f.bytes, f.sha256, f.symbol_min, f.symbol_max, f.time_min, f.time_max,
       f.${sqlName(catalog.name)} AS name, o.provider, o.feed, o.adjustment
     FROM ${sqlName(catalog.table)} f JOIN sources o ON o.id = f.source_id`,
  )
  const known = new Map(rows.map((row) => [row.path, row]))
  const problems: LakeProblem[] = []
  for (const file of manifest.files) {
    if (file.kind !== catalog.kind) continue
    const row = known.get(file.path)
    if (row === undefined) {
      // The row of a replaced file goes only after the file itself.
      if ((await lake.size(file.path)) !== undefined) {
        problems.push({
          path: file.path,
          kind: 'manifest',
          problem: 'the manifest names it, the catalog no longer does',
        })
      }
      continue
    }
    const problem = differenceOf(file, row)
    if (problem !== undefined) problems.push({ path: file.path, kind: 'manifest', problem })
  }
  return problems
}

function differenceOf(file: ManifestFile, row: CatalogRow): string | undefined {
  if (Number(row.rows) !== file.rows || Number(row.bytes) !== file.bytes || row.sha256 !== file.sha256)
    return `the manifest says ${file.rows} rows in ${file.bytes} bytes with SHA-256 ${file.sha256}, the catalog ${row.rows} in ${row.bytes} with ${row.sha256}`
  const manifest = describe(
    file.interval ?? file.dataset ?? '',
    file,
    [file.symbolMin, file.symbolMax],
    [Date.parse(file.timeMin), Date.parse(file.timeMax)],
  )
  const catalog = describe(
    row.name,
    row,
    [row.symbol_min, row.symbol_max],
    [row.time_min.getTime(), row.time_max.getTime()],
  )
  return manifest === catalog ? undefined : `the manifest says ${manifest}, the catalog ${catalog}`
}

function describe(
  name: string,
  { provider, feed, adjustment }: { provider: string; feed: string; adjustment: string },
  symbols: readonly [string, string],
  times: readonly [number, number],
): string {
  const days = times.map((time) => new Date(time).toISOString())
  return `${name} of ${provider}/${feed}/${adjustment}, ${symbols.join(' to ')}, ${days.join(' to ')}`
}
