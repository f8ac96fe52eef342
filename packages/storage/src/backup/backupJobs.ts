import {
  type Clock,
  type StateStore,
  VarveError,
  checkedOptions,
  errorMessage,
  isVarveError,
  publish,
  systemClock,
} from '@varve/core'
import { z } from 'zod'
import { nextRun } from './cron.ts'
import type { BackupManifest } from './manifest.ts'
import { type BackupJob, type BackupJobsSettings, backupJobsOptionsSchema } from './options.ts'

const recordSchema = z.strictObject({
  /** Of the backup; of a run that failed, `null`. */
  id: z.nullable(z.string()),
  job: z.string(),
  startedAt: z.iso.datetime(),
  seconds: z.number(),
  status: z.enum(['succeeded', 'failed']),
  /** Folder of the backup in its destination. */
  path: z.nullable(z.string()),
  /** Bytes stored anew. */
  bytes: z.nullable(z.int()),
  error: z.nullable(z.string()),
})
/** One run of a job. */
export type BackupRecord = z.output<typeof recordSchema>

const stateSchema = z.strictObject({
  /** By job: the moment from which the next run is counted, milliseconds since 1970-01-01T00:00Z. */
  countedFrom: z.record(z.string(), z.int()),
  /** Newest first. */
  records: z.array(recordSchema),
})
type JobsState = z.output<typeof stateSchema>

const NAMESPACE = 'backups'
const KEY = 'jobs'

/** Its data, with their defaults: {@link backupJobsOptionsSchema}. */
export interface BackupJobsOptions extends BackupJobsSettings {
  /** Makes the job's backup and removes its old ones. */
  readonly run: (
    job: BackupJob,
    options: { readonly signal: AbortSignal },
  ) => Promise<Pick<BackupManifest, 'id' | 'written'>>
  /** Keeps records and what was run last. */
  readonly store: StateStore
  /** A run failed; somebody should know. It is logged and recorded already. */
  readonly onFailure?: (job: BackupJob, error: unknown) => void
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export interface BackupJobStatus {
  readonly id: string
  readonly enabled: boolean
  readonly schedule: string
  readonly running: boolean
  readonly lastRun: BackupRecord | undefined
  /** Milliseconds since 1970-01-01T00:00Z; `undefined` for a job that is off. A moment in the past is run next. */
  readonly nextRunAt: number | undefined
}

export interface BackupJobsStatus {
  readonly running: boolean
  readonly jobs: readonly BackupJobStatus[]
  /** Last runs of all jobs, newest first. */
  readonly last: readonly BackupRecord[]
}

/** Backups on a schedule. One process follows it at a time: hold a lock around it where there are several. */
export interface BackupJobs extends AsyncDisposable {
  /** Looks at the schedule every minute until `close`. */
  start(): void
  /** Runs what is due now, one after another; what was missed while nobody looked is run once. */
  runDue(): Promise<readonly BackupRecord[]>
  /** @throws `BACKUP_JOB_UNKNOWN`, `BACKUP_BUSY` when the job is running; a run that fails is recorded and thrown */
  runNow(id: string): Promise<BackupRecord>
  status(): Promise<BackupJobsStatus>
  /** Stops, aborts a backup under way and waits for it to end. */
  close(): Promise<void>
}

/** @throws `OPTION_INVALID` */
export function createBackupJobs(options: BackupJobsOptions): BackupJobs {
  const { run, store, onFailure, clock = systemClock, ...data } = options
  const { jobs, checkEveryMs, keptRecords, shownRecords } = checkedOptions(
    backupJobsOptionsSchema,
    data,
    'the backup jobs',
  )
  const abort = new AbortController()
  const underWay = new Map<string, Promise<BackupRecord>>()
  let loop: Promise<void> | undefined

  const load = (found: unknown): JobsState => {
    const parsed = stateSchema.safeParse(found)
    return parsed.success ? parsed.data : { countedFrom: {}, records: [] }
  }
  const change = (work: (state: JobsState) => JobsState) =>
    store.update(NAMESPACE, KEY, (found) => work(load(found)))

  /** A job seen for the first time counts from now: its past is not made up for. */
  const counted = async (): Promise<JobsState> => {
    const state = load(await store.load(NAMESPACE, KEY))
    const missing = jobs.filter(({ id }) => state.countedFrom[id] === undefined).map(({ id }) => id)
    if (missing.length === 0) return state
    const now = clock.now()
    return load(
      await change((current) => ({
        ...current,
        countedFrom: { ...Object.fromEntries(missing.map((id) => [id, now])), ...current.countedFrom },
      })),
    )
  }

  const nextOf = (job: BackupJob, state: JobsState): number | undefined =>
    job.enabled ? nextRun(job.schedule, state.countedFrom[job.id]!) : undefined

  const runJob = async (job: BackupJob): Promise<BackupRecord> => {
    const startedAt = clock.now()
    const begun = clock.monotonicMs()
    const record = (
      rest: Pick<BackupRecord, 'id' | 'status' | 'path' | 'bytes' | 'error'>,
    ): BackupRecord => ({
      job: job.id,
      startedAt: new Date(startedAt).toISOString(),
      seconds: (clock.monotonicMs() - begun) / 1000,
      ...rest,
    })
    // Counted before it runs: a backup that kills the process is not tried again at every start.
    await change((state) => ({ ...state, countedFrom: { ...state.countedFrom, [job.id]: startedAt } }))
    let outcome: BackupRecord
    let failure: { readonly error: unknown } | undefined
    try {
      const { id, written } = await run(job, { signal: abort.signal })
      outcome = record({ id, status: 'succeeded', path: `backups/${id}`, bytes: written.bytes, error: null })
    } catch (error) {
      failure = { error }
      const text = isVarveError(error) ? `${error.code}: ${error.message}` : errorMessage(error)
      outcome = record({ id: null, status: 'failed', path: null, bytes: null, error: text })
    }
    await change((state) => ({ ...state, records: [outcome, ...state.records].slice(0, keptRecords) }))
    if (failure === undefined) return outcome
    publish('alert', () => ({
      key: `backup:${job.id}`,
      severity: 'critical',
      message: `the backup "${job.id}" failed: ${outcome.error}`,
    }))
    onFailure?.(job, failure.error)
    throw failure.error
  }

  const runOnce = (job: BackupJob): Promise<BackupRecord> => {
    if (underWay.has(job.id)) {
      return Promise.reject(
        new VarveError(`the backup "${job.id}" is running; wait for it to end`, {
          code: 'BACKUP_BUSY',
          retryable: true,
          details: { job: job.id },
        }),
      )
    }
    const running = runJob(job).finally(() => underWay.delete(job.id))
    underWay.set(job.id, running)
    return running
  }

  const runDue = async (): Promise<BackupRecord[]> => {
    const state = await counted()
    const due = jobs
      .map((job) => ({ job, at: nextOf(job, state) }))
      .filter(({ job, at }) => at !== undefined && at <= clock.now() && !underWay.has(job.id))
      .sort((a, b) => a.at! - b.at!)
    const done: BackupRecord[] = []
    for (const { job } of due) {
      if (abort.signal.aborted) break
      try {
        done.push(await runOnce(job))
      } catch {
        // Recorded and reported; the other jobs do not suffer.
      }
    }
    return done
  }

  const close = async (): Promise<void> => {
    abort.abort(new VarveError('the backup was stopped', { code: 'BACKUP_STOPPED', retryable: true }))
    await loop
    await Promise.allSettled(underWay.values())
  }

  return {
    start() {
      loop ??= (async () => {
        while (!abort.signal.aborted) {
          await runDue().catch((error: unknown) => {
            publish('log', () => ({
              level: 'error',
              component: 'storage',
              message: `the backup schedule could not be looked at: ${errorMessage(error)}`,
            }))
          })
          await clock.sleep(checkEveryMs, { signal: abort.signal }).catch(() => undefined)
        }
      })()
    },
    runDue,
    async runNow(id) {
      const job = jobs.find((one) => one.id === id)
      if (job === undefined) {
        throw new VarveError(
          `there is no backup job "${id}"; there are ${jobs.map((one) => one.id).join(', ')}`,
          { code: 'BACKUP_JOB_UNKNOWN', details: { id } },
        )
      }
      return runOnce(job)
    },
    async status() {
      const state = await counted()
      return {
        running: loop !== undefined && !abort.signal.aborted,
        jobs: jobs.map((job) => ({
          id: job.id,
          enabled: job.enabled,
          schedule: job.schedule,
          running: underWay.has(job.id),
          lastRun: state.records.find((record) => record.job === job.id),
          nextRunAt: nextOf(job, state),
        })),
        last: state.records.slice(0, shownRecords),
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}
