import { type Clock, errorMessage, isVarveError, publish } from '@varve/core'
import { type BackupJobs, createBackupJobs, createBackupRunner } from '@varve/storage'
import { backupKeys, openBackups, stateComponents } from './backups.ts'
import type { Application } from './openApplication.ts'

/** Backups by the schedule of the settings. */
export interface BackupSchedule {
  readonly jobs: BackupJobs
  /** Makes what is due until the signal aborts. One process of a database at a time does. */
  follow(signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** Prepares the schedule; nothing is made yet. */
export async function openBackupSchedule(
  app: Application,
  options: { readonly clock: Clock; readonly configDirectory?: string | null },
): Promise<BackupSchedule> {
  const { settings, locations } = app
  const { sql } = app.context
  const destination = openBackups(settings, locations.dataDir)
  const jobs = createBackupJobs({
    ...settings.backup,
    clock: options.clock,
    store: app.state,
    run: createBackupRunner({
      ...settings.backup,
      sql,
      lake: app.lake,
      destination: destination.files,
      keys: backupKeys(settings),
      state: stateComponents(options.configDirectory),
    }),
  })
  return {
    jobs,
    async follow(signal) {
      while (!signal.aborted) {
        // A moment without the database must not be the end of all backups.
        await runDue(app, jobs, signal).catch((error: unknown) => {
          if (signal.aborted) return
          const message = `the schedule of backups could not be looked at, and is again soon: ${errorMessage(error)}`
          publish('alert', () => ({ key: 'backup schedule', severity: 'warning', message }))
        })
        await options.clock.sleep(settings.backup.checkEveryMs, { signal }).catch(() => undefined)
      }
    },
    async close() {
      await jobs.close()
      await destination.close()
    },
  }
}

async function runDue(app: Application, jobs: BackupJobs, signal: AbortSignal): Promise<void> {
  const held = await app.lock.acquire('backups', { waitMs: 0, signal }).catch((error: unknown) => {
    if (isVarveError(error, 'LOCK_TIMEOUT')) return undefined
    throw error
  })
  if (held === undefined) return
  try {
    await jobs.runDue()
  } finally {
    await held.release()
  }
}
