import { INTERVALS } from '@varve/core'
import type { Application } from '../openApplication.ts'

/** Reads every file of the lake again and compares it with what was recorded when it was written. */
export function verifyLake(app: Application): ReturnType<Application['context']['bars']['verify']> {
  return app.context.bars.verify()
}

export interface LakeCompaction {
  readonly interval: string
  readonly filesBefore: number
  readonly filesAfter: number
  readonly rows: number
  readonly bytes: number
}

/** Merges small files, folds corrections in, drops what has expired, and deletes files nobody needs any more. */
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
  await bars.sweep({ graceMs: app.settings.storage.lake.sweepGraceMs })
  return results
}
