import { type SqlClient, sqlName } from '@varve/core'
import type { VerifyResult } from '../BarStore.ts'
import type { CatalogedLakeFile, LakeProblem } from './checkFile.ts'
import { manifestProblems } from './checkManifest.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { TEMPORARY_SUFFIX } from './localLake.ts'

/** A file that no row of the catalog names. */
export interface LakeOrphan {
  readonly path: string
  readonly bytes: number
  /** `temporary`: left by a write that was cut short. `orphan`: written, never registered; a load may be about to. */
  readonly kind: 'orphan' | 'temporary'
}

/** What verification found. */
export interface LakeVerifyResult extends VerifyResult {
  readonly problems: readonly LakeProblem[]
  /** No fault: the next sweep removes them once they are old enough. */
  readonly orphans: readonly LakeOrphan[]
}

/** Where the catalog of one kind of file is kept. */
export interface LakeCatalog {
  /** Their folder, and their kind in the manifest. */
  readonly kind: 'bars' | 'records'
  readonly table: 'lake_files' | 'record_files'
  /** Column that says which bars or records; the footer repeats it as `varve.interval` or `varve.dataset`. */
  readonly name: 'interval' | 'dataset'
  /** Statement for the `symbol`, `rows`, `time_min` and `time_max` of the file `$1`. */
  readonly symbolsSql: string
  /** What is wrong with a file's content; `name` is its interval or dataset. */
  check(file: CatalogedLakeFile, name: string): Promise<Omit<LakeProblem, 'path'> | undefined>
}

interface FileRow {
  readonly id: bigint
  readonly path: string
  readonly bytes: bigint
  readonly rows: bigint
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
 * Reads every live file of a catalog in full, and compares files, catalog and manifest with each other.
 *
 * @throws `LAKE_UNREACHABLE`, `LAKE_ACCESS_DENIED` and the like; the signal's reason
 */
export async function verifyCatalog(
  { sql, lake }: { readonly sql: SqlClient; readonly lake: LakeFiles },
  catalog: LakeCatalog,
  signal: AbortSignal | undefined,
): Promise<LakeVerifyResult> {
  const { rows: files } = await sql.query<FileRow>(
    `SELECT f.id, f.path, f.bytes, f.rows, f.sha256, f.symbol_min, f.symbol_max, f.time_min, f.time_max,
       f.${sqlName(catalog.name)} AS name, o.provider, o.feed, o.adjustment
     FROM ${sqlName(catalog.table)} f JOIN sources o ON o.id = f.source_id WHERE f.removed_at IS NULL ORDER BY f.path`,
  )
  const problems: LakeProblem[] = []
  const seen = new Map<string, string>()
  let rows = 0
  for (const row of files) {
    signal?.throwIfAborted()
    const found = await problemsOf(row)
    if (found.length === 0) rows += Number(row.rows)
    problems.push(...found)
  }
  problems.push(...(await manifestProblems(sql, lake, catalog)))
  const orphans = await orphansOf(sql, lake, catalog, signal)
  return { files: files.length, rows, problems: await stillLive(sql, catalog, problems), orphans }

  async function problemsOf(row: FileRow): Promise<LakeProblem[]> {
    const file = await catalogedFile(sql, catalog, row)
    const found: LakeProblem[] = []
    if (file.series.size === 0) {
      const owner = catalog.kind === 'bars' ? 'series' : 'symbol'
      found.push({
        path: row.path,
        kind: 'unreferenced',
        problem: `no ${owner} of the catalog refers to it`,
      })
    }
    const twin = seen.get(row.sha256)
    if (twin === undefined) seen.set(row.sha256, row.path)
    else
      found.push({
        path: row.path,
        kind: 'duplicate',
        problem: `${twin} is registered with the same content`,
      })
    const problem = await catalog.check(file, row.name)
    // Of a file nothing refers to, the missing series are told once.
    if (problem !== undefined && !(problem.kind === 'catalog' && file.series.size === 0))
      found.push({ path: row.path, ...problem })
    return found
  }
}

/**
 * Several results as one, such as those of bars and of records. What both found, a damaged manifest, is told once.
 *
 * @returns files and rows added up; problems and orphans in the order given
 */
export function joinVerifyResults(...results: readonly LakeVerifyResult[]): LakeVerifyResult {
  const problems = new Map<string, LakeProblem>()
  for (const problem of results.flatMap((result) => result.problems))
    problems.set(JSON.stringify([problem.path, problem.kind, problem.problem]), problem)
  return {
    files: results.reduce((sum, result) => sum + result.files, 0),
    rows: results.reduce((sum, result) => sum + result.rows, 0),
    problems: [...problems.values()],
    orphans: results.flatMap((result) => result.orphans),
  }
}

async function catalogedFile(sql: SqlClient, catalog: LakeCatalog, row: FileRow): Promise<CatalogedLakeFile> {
  const { rows } = await sql.query<{ symbol: string; rows: number; time_min: Date; time_max: Date }>(
    catalog.symbolsSql,
    [row.id],
  )
  return {
    path: row.path,
    bytes: Number(row.bytes),
    rows: Number(row.rows),
    sha256: row.sha256,
    symbolMin: row.symbol_min,
    symbolMax: row.symbol_max,
    timeMin: row.time_min.getTime(),
    timeMax: row.time_max.getTime(),
    labels: new Map([
      [`varve.${catalog.name}`, row.name],
      ['varve.provider', row.provider],
      ['varve.feed', row.feed],
      ['varve.adjustment', row.adjustment],
    ]),
    series: new Map(
      rows.map((entry) => [
        entry.symbol,
        { rows: entry.rows, timeMin: entry.time_min.getTime(), timeMax: entry.time_max.getTime() },
      ]),
    ),
  }
}

async function orphansOf(
  sql: SqlClient,
  lake: LakeFiles,
  catalog: LakeCatalog,
  signal: AbortSignal | undefined,
): Promise<LakeOrphan[]> {
  const found: { path: string; bytes: number }[] = []
  for await (const file of lake.list(catalog.kind)) {
    signal?.throwIfAborted()
    found.push({ path: file.path, bytes: file.bytes })
  }
  // Asked after the listing, so that a file registered meanwhile is no orphan.
  const { rows } = await sql.query<{ path: string }>(`SELECT path FROM ${sqlName(catalog.table)}`)
  const known = new Set(rows.map((row) => row.path))
  return found
    .filter((file) => !known.has(file.path))
    .map((file) => ({ ...file, kind: file.path.endsWith(TEMPORARY_SUFFIX) ? 'temporary' : 'orphan' }))
}

/** Leaves out files that were replaced while they were looked at: a sweep may have deleted them since. */
async function stillLive(
  sql: SqlClient,
  catalog: LakeCatalog,
  problems: readonly LakeProblem[],
): Promise<LakeProblem[]> {
  if (problems.length === 0) return []
  const { rows } = await sql.query<{ path: string }>(
    `SELECT path FROM ${sqlName(catalog.table)} WHERE removed_at IS NULL AND path = ANY($1::text[])`,
    [problems.map((problem) => problem.path)],
  )
  const live = new Set(rows.map((row) => row.path))
  return problems.filter((problem) => problem.kind === 'manifest' || live.has(problem.path))
}
