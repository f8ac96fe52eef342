import { isVarveError } from '@varve/core'
import type { VerifyResult } from '../BarStore.ts'
import { type CatalogedBarFile, type LakeProblem, checkBarFile } from '../lake/checkBarFile.ts'
import { TEMPORARY_SUFFIX } from '../lake/localLake.ts'
import { MANIFEST_PATH, readManifest } from '../lake/manifest.ts'
import type { StoreContext } from './options.ts'

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
  readonly interval: string
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
}

/** See `BarStore.verify`. */
export async function verifyLake(
  context: StoreContext,
  signal: AbortSignal | undefined,
): Promise<LakeVerifyResult> {
  const { sql, lake, verifyBlockBytes } = context
  const { rows: files } = await sql.query<FileRow>(
    `SELECT f.id, f.path, f.bytes, f.rows, f.sha256, f.symbol_min, f.symbol_max, f.time_min, f.time_max, f.interval,
       o.provider, o.feed, o.adjustment
     FROM lake_files f JOIN sources o ON o.id = f.source_id WHERE f.removed_at IS NULL ORDER BY f.path`,
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
  problems.push(...(await manifestProblems(context)))
  const orphans = await orphansOf(context, signal)
  return { files: files.length, rows, problems: await stillLive(context, problems), orphans }

  async function problemsOf(row: FileRow): Promise<LakeProblem[]> {
    const file = await catalogedFile(context, row)
    const found: LakeProblem[] = []
    if (file.series.size === 0) {
      found.push({ path: row.path, kind: 'unreferenced', problem: 'no series of the catalog refers to it' })
    }
    const twin = seen.get(row.sha256)
    if (twin === undefined) seen.set(row.sha256, row.path)
    else
      found.push({
        path: row.path,
        kind: 'duplicate',
        problem: `${twin} is registered with the same content`,
      })
    const problem = await checkBarFile(lake, file, verifyBlockBytes)
    // Of a file nothing refers to, the missing series are told once.
    if (problem !== undefined && !(problem.kind === 'catalog' && file.series.size === 0))
      found.push({ path: row.path, ...problem })
    return found
  }
}

async function catalogedFile(context: StoreContext, row: FileRow): Promise<CatalogedBarFile> {
  const { rows } = await context.sql.query<{ symbol: string; rows: number; time_min: Date; time_max: Date }>(
    `SELECT s.symbol, e.rows, e.time_min, e.time_max FROM lake_file_series e JOIN series s ON s.id = e.series_id
     WHERE e.file_id = $1`,
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
      ['varve.interval', row.interval],
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

/** A manifest is a picture of the past: only what contradicts the catalog of today is wrong. */
async function manifestProblems(context: StoreContext): Promise<LakeProblem[]> {
  const { sql, lake } = context
  if ((await lake.size(MANIFEST_PATH)) === undefined) return []
  let manifest
  try {
    manifest = await readManifest(lake)
  } catch (error) {
    if (!isVarveError(error, 'LAKE_MANIFEST_INVALID')) throw error
    return [{ path: MANIFEST_PATH, kind: 'manifest', problem: error.message }]
  }
  const { rows } = await sql.query<{ path: string; rows: bigint; bytes: bigint; sha256: string }>(
    'SELECT path, rows, bytes, sha256 FROM lake_files',
  )
  const catalog = new Map(rows.map((row) => [row.path, row]))
  const problems: LakeProblem[] = []
  for (const file of manifest.files) {
    if (file.kind !== 'bars') continue
    const row = catalog.get(file.path)
    if (row === undefined) {
      // The row of a replaced file goes only after the file itself.
      if ((await lake.size(file.path)) !== undefined) {
        problems.push({
          path: file.path,
          kind: 'manifest',
          problem: 'the manifest names it, the catalog no longer does',
        })
      }
    } else if (
      Number(row.rows) !== file.rows ||
      Number(row.bytes) !== file.bytes ||
      row.sha256 !== file.sha256
    ) {
      problems.push({
        path: file.path,
        kind: 'manifest',
        problem: `the manifest says ${file.rows} rows in ${file.bytes} bytes with SHA-256 ${file.sha256}, the catalog ${row.rows} in ${row.bytes} with ${row.sha256}`,
      })
    }
  }
  return problems
}

async function orphansOf(context: StoreContext, signal: AbortSignal | undefined): Promise<LakeOrphan[]> {
  const found: { path: string; bytes: number }[] = []
  for await (const file of context.lake.list('bars')) {
    signal?.throwIfAborted()
    found.push({ path: file.path, bytes: file.bytes })
  }
  // Asked after the listing, so that a file registered meanwhile is no orphan.
  const { rows } = await context.sql.query<{ path: string }>('SELECT path FROM lake_files')
  const known = new Set(rows.map((row) => row.path))
  return found
    .filter((file) => !known.has(file.path))
    .map((file) => ({ ...file, kind: file.path.endsWith(TEMPORARY_SUFFIX) ? 'temporary' : 'orphan' }))
}

/** Leaves out files that were replaced while they were looked at: a sweep may have deleted them since. */
async function stillLive(context: StoreContext, problems: readonly LakeProblem[]): Promise<LakeProblem[]> {
  if (problems.length === 0) return []
  const { rows } = await context.sql.query<{ path: string }>(
    'SELECT path FROM lake_files WHERE removed_at IS NULL AND path = ANY($1::text[])',
    [problems.map((problem) => problem.path)],
  )
  const live = new Set(rows.map((row) => row.path))
  return problems.filter((problem) => problem.kind === 'manifest' || live.has(problem.path))
}
