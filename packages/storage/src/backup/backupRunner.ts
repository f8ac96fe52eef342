import { VarveError, errorMessage, isVarveError, publish } from '@varve/core'
import { type BackupOptions, createBackup } from './createBackup.ts'
import type { BackupManifest } from './manifest.ts'
import type { BackupJob } from './options.ts'
import { pruneBackups } from './pruneBackups.ts'

/** What all jobs share; kind, contents, compression and encryption are the job's. */
export type BackupRunnerOptions = Omit<BackupOptions, 'kind' | 'contents' | 'job' | 'compression' | 'signal'>

/**
 * Runs a job: makes its backup, then removes its old ones. When these cannot be removed now, they are at the next run.
 *
 * @returns a function for `createBackupJobs`; it rejects with `BACKUP_KEY_MISSING` for a job that encrypts without a
 * key, and with what `createBackup` rejects with
 */
export function createBackupRunner(
  options: BackupRunnerOptions,
): (job: BackupJob, run: { readonly signal: AbortSignal }) => Promise<BackupManifest> {
  const { keys, ...rest } = options
  return async ({ id: job, kind, contents, compression, encryption, retention }, { signal }) => {
    if (encryption && keys === undefined) {
      throw new VarveError(
        `the backup job "${job}" encrypts and there is no key; configure one, or set encryption: false for the job`,
        { code: 'BACKUP_KEY_MISSING', details: { job } },
      )
    }
    const manifest = await createBackup({
      ...rest,
      ...(encryption ? { keys } : {}),
      kind,
      contents,
      compression,
      job,
      signal,
    })
    try {
      await pruneBackups({ ...rest, ...retention, job })
    } catch (error) {
      // The backup is made; that is what counts. Another one under way, or a killed one's mark, holds removal off.
      publish('log', () => ({
        level: isVarveError(error, 'BACKUP_BUSY') ? 'info' : 'warn',
        component: 'storage',
        message: `old backups of "${job}" were not removed: ${errorMessage(error)}`,
      }))
    }
    return manifest
  }
}
