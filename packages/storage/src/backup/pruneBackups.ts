import { type Clock, DAY_MS, checkedOptions, systemClock } from '@varve/core'
import { randomBytes } from 'node:crypto'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { TEMPORARY_SUFFIX } from '../lake/localLake.ts'
import { busy, isMarked, mark, unmark } from './destinationMarks.ts'
import { listBackups } from './listBackups.ts'
import { type BackupManifest, MANIFESTS, manifestPath, storedParts } from './manifest.ts'
import {
  type BackupRetention,
  type BackupSettings,
  backupOptionsSchema,
  backupRetentionSchema,
} from './options.ts'
import { LAKE, PARTS } from './partStore.ts'

/** Its data, with their defaults: {@link backupRetentionSchema} and {@link backupOptionsSchema}. */
export interface PruneOptions
  extends BackupRetention, Pick<BackupSettings, 'backupStaleMs' | 'pruneStaleMs'> {
  readonly destination: LakeFiles
  /** Removes backups of this job only; `null` those of none. @defaultValue backups of every job, each kept by itself */
  readonly job?: string | null
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export interface PruneResult {
  /** Ids of the backups removed. */
  readonly removed: readonly string[]
  /** Stored files that no backup refers to any more, or that a killed one left. */
  readonly files: number
  readonly bytes: number
}

/**
 * Removes backups that are old enough, then every stored file that no remaining backup refers to. The newest backup
 * of each job stays, whatever its age. While a manifest cannot be read no file is removed: it may refer to it.
 *
 * @throws `BACKUP_BUSY` while a backup or another removal is under way
 */
export async function pruneBackups(options: PruneOptions): Promise<PruneResult> {
  const { destination, clock = systemClock, job, ...data } = options
  const { keepDays, keepCount } = checkedOptions(
    backupRetentionSchema.loose(),
    data,
    'the removal of old backups',
  )
  const { backupStaleMs, pruneStaleMs } = checkedOptions(
    backupOptionsSchema,
    data,
    'the removal of old backups',
  )
  const id = randomBytes(8).toString('hex')
  if (await isMarked(destination, 'prune', clock.now(), pruneStaleMs)) {
    throw busy(destination, 'another removal of old backups')
  }
  await mark(destination, 'prune', id, clock.now())
  try {
    if (await isMarked(destination, 'backup', clock.now(), backupStaleMs)) throw busy(destination, 'a backup')
    const { backups, unreadable } = await listBackups(destination)
    const removed: string[] = []
    const kept: BackupManifest[] = []
    for (const [of, list] of Map.groupBy(backups, (backup) => backup.job)) {
      for (const [index, backup] of list.entries()) {
        const old = clock.now() - Date.parse(backup.finishedAt) > keepDays * DAY_MS
        if ((job !== undefined && of !== job) || index < keepCount || !old) {
          kept.push(backup)
          continue
        }
        // The manifest goes first: from here on there is no backup that lacks a file.
        await destination.delete(manifestPath(backup.id))
        removed.push(backup.id)
      }
    }
    if (unreadable.length > 0) return { removed, files: 0, bytes: 0 }
    return { removed, ...(await removeUnused(kept)) }
  } finally {
    await unmark(destination, 'prune', id).catch(() => undefined)
  }

  async function removeUnused(kept: readonly BackupManifest[]): Promise<{ files: number; bytes: number }> {
    const used = new Set<string>()
    for (const manifest of kept) for (const { stored } of storedParts(manifest)) used.add(stored)
    let files = 0
    let bytes = 0
    let renewedAt = clock.monotonicMs()
    for await (const file of destination.list()) {
      if (!isStored(file.path) || used.has(file.path)) continue
      // A sign of life, in time for those who wait for it to be missing.
      if (clock.monotonicMs() - renewedAt > pruneStaleMs / 2) {
        await mark(destination, 'prune', id, clock.now())
        renewedAt = clock.monotonicMs()
      }
      await destination.delete(file.path)
      files++
      bytes += file.bytes
    }
    return { files, bytes }
  }
}

/** Whether a path is one that backups store content under, or a draft of a manifest; nothing else that lies there. */
function isStored(path: string): boolean {
  if (path.startsWith(`${MANIFESTS}/`)) return path.endsWith(TEMPORARY_SUFFIX)
  const [folder] = path.split('/', 1)
  return new RegExp(`^(?:${PARTS}|${LAKE})(?:-[0-9a-f]{32})?$`).test(folder!)
}
