import { INTERVALS } from '@varve/core'
import { type LakeVerifyResult, exportManifest, joinVerifyResults } from '@varve/storage'
import type { Application } from '../openApplication.ts'

/** Reads every file of the lake again, those of bars and those of records, and compares it with what was recorded. */
export async function verifyLake(
  app: Application,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LakeVerifyResult> {
  return joinVerifyResults(await app.context.bars.verify(options), await app.context.records.verify(options))
}

/** Writes `manifest.json` into the lake: every file with its hash, so that others read the lake without the database. */
export async function writeLakeManifest(app: Application): Promise<{
  readonly paths: readonly string[]
  readonly files: number
  readonly rows: number
  readonly bytes: number
  readonly sha256: string
}> {
  const { manifest, paths } = await exportManifest(app.context.sql, app.lake)
  return { paths, ...manifest.totals, sha256: manifest.sha256 }
}

export interface LakeCompaction {
  readonly interval: string
  readonly filesBefore: number
  readonly filesAfter: number
  readonly rows: number
  readonly bytes: number
}

/** Merges small files of bars, folds corrections in, drops what has expired, and deletes files nobody needs any more. */
export async function compactLake(
  app: Application,
  options: { readonly signal?: AbortSignal } = {},
): Promise<LakeCompaction[]> {
  const { bars } = app.context
  const results: LakeCompaction[] = []
  for (const interval of INTERVALS) {
    if ((await bars.watermark(interval)) === undefined) continue
    const { filesBefore, filesAfter, rows, bytes } = await bars.compact(interval, {
      force: true,
      signal: options.signal,
    })
    results.push({ interval, filesBefore, filesAfter, rows, bytes })
  }
  const { sweepGraceMs: graceMs } = app.settings.storage.lake
  await bars.sweep({ graceMs })
  await app.context.records.sweep({ graceMs })
  return results
}
