import { VarveError } from '@varve/core'
import { z } from 'zod'
import type { LakeFiles } from '../lake/LakeFiles.ts'

/**
 * Who is at work in a destination. A backup and a removal exclude each other: each writes its mark first and looks
 * for the other's then, so that of two at least one sees the other. Backups do not mind each other.
 */
const MARKS = 'marks'

const markSchema = z.strictObject({ kind: z.enum(['backup', 'prune']), at: z.int() })
type MarkKind = z.output<typeof markSchema>['kind']

/** Writes or renews a mark. */
export async function mark(destination: LakeFiles, kind: MarkKind, id: string, now: number): Promise<void> {
  await destination.write(markPath(kind, id), Buffer.from(JSON.stringify({ kind, at: now })))
}

/** Removes a mark. */
export async function unmark(destination: LakeFiles, kind: MarkKind, id: string): Promise<void> {
  await destination.delete(markPath(kind, id))
}

/** Whether another is at work; marks older than `staleMs` are those of the killed, and are removed. */
export async function isMarked(
  destination: LakeFiles,
  kind: MarkKind,
  now: number,
  staleMs: number,
): Promise<boolean> {
  let found = false
  for await (const file of destination.list(MARKS)) {
    if (!file.path.startsWith(`${MARKS}/${kind}-`) || !file.path.endsWith('.json')) continue
    const at = await markedAt(destination, file.path)
    if (at !== undefined && now - at < staleMs) found = true
    else await destination.delete(file.path)
  }
  return found
}

/** @throws `BACKUP_BUSY` */
export function busy(destination: LakeFiles, what: string): VarveError {
  return new VarveError(`${what} is under way in ${destination.location}; try again when it has ended`, {
    code: 'BACKUP_BUSY',
    retryable: true,
    details: { location: destination.location },
  })
}

function markPath(kind: MarkKind, id: string): string {
  return `${MARKS}/${kind}-${id}.json`
}

async function markedAt(destination: LakeFiles, path: string): Promise<number | undefined> {
  const size = await destination.size(path)
  if (size === undefined) return undefined
  try {
    const text = Buffer.from(await destination.read(path, 0, size)).toString('utf8')
    const parsed = markSchema.safeParse(JSON.parse(text))
    return parsed.success ? parsed.data.at : undefined
  } catch {
    return undefined // removed by its owner meanwhile
  }
}
