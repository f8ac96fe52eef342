import {
  type Clock,
  type SqlTx,
  VarveError,
  canonicalJson,
  errorMessage,
  sha256Hex,
  systemClock,
} from '@varve/core'
import type { LakeFiles } from './LakeFiles.ts'
import { MANIFEST_NOTE, type LakeManifest, lakeManifestSchema } from './manifestFormat.ts'
import { loadManifestFiles, manifestSchemas } from './manifestRows.ts'

/** Where the latest manifest lies in a lake. */
export const MANIFEST_PATH = 'manifest.json'

export interface ExportManifestOptions {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export interface ExportedManifest {
  readonly manifest: LakeManifest
  /** Paths written: the dated copy, which stays, and the latest, which the next export replaces. */
  readonly paths: readonly [dated: string, latest: string]
}

/**
 * Writes down what the lake holds, so that it can be read without the database: `manifest.json`, and a copy named after
 * its date. The list comes from one statement: a move or compaction under way is in it wholly or not at all.
 *
 * Files a later compaction replaces are deleted after the grace of a sweep; export again after compacting.
 *
 * @throws the errors of the lake and of the database
 */
export async function exportManifest(
  sql: SqlTx,
  lake: LakeFiles,
  options: ExportManifestOptions = {},
): Promise<ExportedManifest> {
  const { clock = systemClock } = options
  const { files, watermarks, unfolded } = await loadManifestFiles(sql)
  const createdAt = new Date(clock.now()).toISOString()
  const content = {
    format: 1 as const,
    createdAt,
    note: MANIFEST_NOTE,
    schemas: manifestSchemas(files),
    totals: {
      files: files.length,
      rows: files.reduce((sum, file) => sum + file.rows, 0),
      bytes: files.reduce((sum, file) => sum + file.bytes, 0),
    },
    watermarks,
    unfolded,
    files,
  }
  const sections = sectionsOf(content)
  const manifest: LakeManifest = { ...content, sections, sha256: checksumOf({ ...content, sections }) }
  const text = new TextEncoder().encode(`${JSON.stringify(manifest, null, 1)}\n`)
  const dated = `manifests/${createdAt.replaceAll(':', '-')}-${manifest.sha256.slice(0, 8)}.json`
  // The copy first: whoever finds the new latest finds its copy too.
  await lake.write(dated, text)
  await lake.write(MANIFEST_PATH, text)
  return { manifest, paths: [dated, MANIFEST_PATH] }
}

/**
 * Reads a manifest and makes sure that it is whole and unchanged.
 *
 * @param path - @defaultValue the latest
 * @throws `LAKE_MANIFEST_INVALID` naming the part that is wrong, also when there is no manifest
 */
export async function readManifest(lake: LakeFiles, path: string = MANIFEST_PATH): Promise<LakeManifest> {
  const size = await lake.size(path)
  if (size === undefined) throw invalid(lake, path, ['there is no such file'])
  const text = new TextDecoder().decode(await lake.read(path, 0, size))
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch (error) {
    throw invalid(
      lake,
      path,
      [`it is no whole JSON document of ${size} bytes: ${errorMessage(error)}`],
      error,
    )
  }
  const checked = lakeManifestSchema.safeParse(parsed)
  if (!checked.success) {
    throw invalid(
      lake,
      path,
      checked.error.issues.map(
        (issue) => `${issue.path.map(String).join('.') || 'document'}: ${issue.message}`,
      ),
    )
  }
  const manifest = checked.data
  const { sha256, ...rest } = manifest
  if (checksumOf(rest) !== sha256) throw invalid(lake, path, whatChanged(manifest))
  return manifest
}

type Content = Omit<LakeManifest, 'sections' | 'sha256'>

function sectionsOf(content: Content): LakeManifest['sections'] {
  const { files, watermarks, unfolded, schemas, totals } = content
  return {
    files: checksumOf(files),
    watermarks: checksumOf(watermarks),
    unfolded: checksumOf(unfolded),
    schemas: checksumOf(schemas),
    totals: checksumOf(totals),
  }
}

function checksumOf(value: unknown): string {
  return sha256Hex(canonicalJson(value))
}

/** Narrows down which part of a manifest is not what was written. */
function whatChanged(manifest: LakeManifest): string[] {
  const now = sectionsOf(manifest)
  const changed = Object.entries(manifest.sections)
    .filter(([name, checksum]) => now[name as keyof typeof now] !== checksum)
    .map(([name]) => `"${name}" has changed since it was written`)
  const misnamed = manifest.files.flatMap((file, index) =>
    file.path.endsWith(`/${file.sha256}.parquet`) ? [] : [`files.${index}: its path and its sha256 disagree`],
  )
  const all = [...changed, ...misnamed]
  return all.length > 0 ? all : ['"sha256", "format", "createdAt" or "note" has changed since it was written']
}

function invalid(lake: LakeFiles, path: string, faults: readonly string[], cause?: unknown): VarveError {
  return new VarveError(
    `${path} in ${lake.location} is no valid manifest: ${faults.slice(0, 5).join('; ')}; export it again or read a dated copy`,
    {
      code: 'LAKE_MANIFEST_INVALID',
      cause,
      details: { path, location: lake.location, faults: faults.slice(0, 20) },
    },
  )
}
