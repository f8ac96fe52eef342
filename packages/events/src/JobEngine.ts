import { type Clock, VarveError, checkedOptions, errorMessage, publish, systemClock } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { type CommandResponse, PgBoss } from 'pg-boss'
import { bossDb, callBoss } from './bossDb.ts'
import {
  askedDelayMs,
  describeError,
  engineStoppedError,
  jobLostError,
  unknownQueueError,
} from './jobErrors.ts'
import { type BatchHost, createJobRunner } from './jobRunner.ts'
import { jobEngineOptionsSchema } from './options.ts'
import * as jobSql from './jobSql.ts'
import type { DeadLetter, Job, JobCounts, JobEngine, JobEngineOptions, JobQueueOptions } from './jobTypes.ts'

/** Channel notified when jobs were committed; the payload is the queue. */
export const JOBS_CHANNEL = 'varve_jobs'

/**
 * A job engine on pg-boss 12.35.0, over Postgres or embedded Postgres alike. Fetching and completing are fenced by
 * attempt: whoever lost a job cannot settle it, and its transaction rolls back.
 */
export function createJobEngine(options: JobEngineOptions): JobEngine {
  const { sql, queues, clock = systemClock, exclusive = false } = options
  const settings = checkedOptions(jobEngineOptionsSchema, options, 'the job engine')
  const { heartbeatSeconds, superviseSeconds, pollMs, stopTimeoutMs, keepCompletedMs, keepFailedMs } =
    settings
  const known = new Map(queues.map((queue) => [queue.name, queue]))
  if (known.size !== queues.length || queues.length === 0) {
    throw new VarveError('expected at least one queue, each name once', { code: 'OPTION_INVALID' })
  }
  let boss: PgBoss | undefined
  let starting: Promise<void> | undefined
  let stopping: Promise<void> | undefined
  let ended = new AbortController()
  let background: Promise<unknown>[] = []

  const queueOf = (name: string): JobQueueOptions => {
    const queue = known.get(name)
    if (queue === undefined) throw unknownQueueError(name, [...known.keys()])
    return queue
  }
  const running = (): PgBoss => {
    if (boss === undefined) throw engineStoppedError()
    return boss
  }

  const failJobs = async (
    name: string,
    jobs: readonly Job[],
    error: unknown,
    retry: boolean,
  ): Promise<{ failed: number; retried: number }> => {
    const { retryDelayMs, retryBackoff = true, retryDelayMaxMs = settings.retryDelayMaxMs } = queueOf(name)
    const { rows } = await sql.query<{ id: string; state: string }>(jobSql.FAIL, [
      name,
      ...jobSql.fenceOf(jobs),
      retry,
      JSON.stringify(describeError(error)),
      askedDelayMs(error),
      retryDelayMs,
      retryBackoff,
      retryDelayMaxMs,
    ])
    const retried = rows.filter((row) => row.state === 'retry').length
    return { failed: rows.length - retried, retried }
  }

  const host: BatchHost = {
    clock,
    pollMs,
    shortestWaitMs: settings.shortestWaitMs,
    async fetch(queue, batchSize) {
      const rows = await callBoss(() => running().fetch(queue, { batchSize, includeMetadata: true }))
      return rows.map((row) => ({
        id: row.id,
        queue,
        key: row.singletonKey ?? '',
        data: row.data,
        attempt: row.retryCount + 1,
        priority: row.priority,
      }))
    },
    fail: failJobs,
    async release(queue, jobs) {
      await sql.query(jobSql.RELEASE, [queue, ...jobSql.fenceOf(jobs)])
    },
    async countCompleted(queue, jobs) {
      const { rows } = await sql.query<{ count: number }>(jobSql.COUNT_COMPLETED, [
        queue,
        ...jobSql.fenceOf(jobs),
      ])
      return rows[0]!.count
    },
    async remaining(queue) {
      const { rows } = await sql.query<{ waiting: number; active: number; due_ms: number | null }>(
        jobSql.REMAINING,
        [queue],
      )
      const { waiting, active, due_ms: dueMs } = rows[0]!
      return { waiting, active, dueMs: dueMs ?? 0 }
    },
    listen: (onNotified) => sql.listen(JOBS_CHANNEL, onNotified),
  }
  const runner = createJobRunner(host)

  const recover = async (onStart: boolean): Promise<number> => {
    let recovered = 0
    for (const { name, retryLimit } of queues) {
      const { rows } = exclusive
        ? await sql.query(jobSql.RECLAIM_UNKNOWN, [
            name,
            retryLimit,
            settings.deathsAllowed,
            runner.held(name).map((job) => job.id),
            onStart ? 0 : heartbeatSeconds,
          ])
        : await sql.query(jobSql.RECLAIM_SILENT, [name, retryLimit, settings.deathsAllowed])
      if (rows.length > 0) {
        recovered += rows.length
        runner.wake(name)
        publish('log', () => ({
          level: 'warn',
          component: 'events',
          message: `${rows.length} jobs of queue ${name} taken back from workers that died or went silent`,
        }))
      }
    }
    return recovered
  }

  const beat = async (): Promise<void> => {
    for (const name of known.keys()) {
      const jobs = runner.held(name)
      if (jobs.length === 0) continue
      const { rows } = await sql.query<{ id: string }>(jobSql.BEAT, [name, ...jobSql.fenceOf(jobs)])
      const alive = new Set(rows.map((row) => row.id))
      runner.lose(
        name,
        jobs.filter((job) => !alive.has(job.id)),
      )
    }
  }

  const cleanUp = async (): Promise<void> => {
    for (const name of known.keys()) await sql.query(jobSql.CLEAN_UP, [name, keepCompletedMs, keepFailedMs])
  }

  const start = (): Promise<void> => {
    starting ??= (async () => {
      await stopping
      const instance = new PgBoss({
        db: bossDb(sql),
        backend: sql.engine,
        // Its own supervision would spend a job's retries on dead workers and its schedules are not used here.
        supervise: false,
        schedule: false,
      })
      instance.on('error', (error) => {
        publish('log', () => ({
          level: 'error',
          component: 'events',
          message: `pg-boss: ${errorMessage(error)}`,
        }))
      })
      await callBoss(() => instance.start())
      try {
        for (const { name } of queues) {
          await callBoss(() => instance.createQueue(name, { policy: 'exclusive' }))
          // Warms its queue cache: filled inside a caller's transaction it would wait for that very transaction.
          await callBoss(() => instance.findJobs(name, { id: '00000000-0000-0000-0000-000000000000' }))
        }
        await recover(true)
      } catch (error) {
        await instance.stop({ graceful: false, close: false })
        throw error
      }
      boss = instance
      ended = new AbortController()
      background = [every(clock, superviseSeconds * 1_000, ended.signal, () => recover(false))]
      background.push(every(clock, settings.cleanUpEveryMs, ended.signal, cleanUp))
      if (!exclusive) {
        background.push(
          every(clock, (heartbeatSeconds * 1_000) / settings.beatsPerHeartbeat, ended.signal, beat),
        )
      }
    })().catch((error: unknown) => {
      starting = undefined
      throw error
    })
    return starting
  }

  const stop = async (): Promise<void> => {
    if (starting === undefined) return
    stopping ??= (async () => {
      await starting?.catch(() => undefined)
      await runner.stop(stopTimeoutMs)
      ended.abort()
      await Promise.all(background)
      await boss?.stop({ graceful: false, close: false })
      boss = undefined
      starting = undefined
      stopping = undefined
    })()
    await stopping
  }

  return {
    start,
    stop,
    [Symbol.asyncDispose]: stop,

    async enqueue(tx, name, jobs) {
      const { retryLimit, expireMs = settings.expireMs } = queueOf(name)
      const instance = running()
      if (jobs.length === 0) return { enqueued: 0, coalesced: 0 }
      const byId = new Map(jobs.map((job) => [job.id ?? randomUUID(), job]))
      const ids = await callBoss(() =>
        instance.insert(
          name,
          [...byId].map(([id, job]) => ({
            id,
            data: job.data,
            priority: job.priority,
            singletonKey: job.key,
            retryLimit,
            expireInSeconds: Math.ceil(expireMs / 1_000),
            heartbeatSeconds,
          })),
          { db: bossDb(tx), returnId: true },
        ),
      )
      const enqueued = ids?.length ?? 0
      for (const id of ids ?? []) byId.delete(id)
      const coalesced = [...byId.values()].map(({ key, priority }) => ({ key, priority }))
      await tx.query(jobSql.RAISE_AND_NOTIFY, [name, JSON.stringify(coalesced), JOBS_CHANNEL])
      return { enqueued, coalesced: jobs.length - enqueued }
    },

    process(name, work, handler) {
      queueOf(name)
      running()
      return runner.process(name, work, handler)
    },

    async drain(name, work, handler) {
      queueOf(name)
      running()
      return runner.drain(name, work, handler)
    },

    async complete(tx, name, jobs, output) {
      queueOf(name)
      if (jobs.length === 0) return
      const response = (await callBoss(() =>
        running().complete(
          name,
          jobs.map((job) => ({ id: job.id, retryCount: job.attempt - 1 })),
          output ?? null,
          { db: bossDb(tx) },
        ),
      )) as CommandResponse & { readonly affected: number }
      if (response.affected !== jobs.length) throw jobLostError(name, jobs, response.affected)
      runner.settled(jobs)
    },

    async fail(name, jobs, error, { retry }) {
      queueOf(name)
      if (jobs.length === 0) return
      const tally = await failJobs(name, jobs, error, retry)
      runner.settled(jobs, tally)
    },

    recover: () => recover(false),

    async deadLetters(name, { limit = settings.deadLetterLimit } = {}) {
      queueOf(name)
      const { rows } = await sql.query<{
        id: string
        key: string | null
        data: unknown
        retry_count: number
        priority: number
        output: DeadLetter['error'] | null
        completed_on: Date
      }>(jobSql.DEAD_LETTERS, [name, limit])
      return rows.map((row) => ({
        id: row.id,
        queue: name,
        key: row.key ?? '',
        data: row.data,
        attempt: row.retry_count + 1,
        priority: row.priority,
        error: row.output ?? { message: 'unknown' },
        failedAt: row.completed_on.getTime(),
      }))
    },

    async redrive(name, ids) {
      const { retryLimit } = queueOf(name)
      const { rows } = await sql.query(jobSql.REDRIVE, [name, ids, retryLimit])
      if (rows.length > 0) runner.wake(name)
      return rows.length
    },

    async counts(name) {
      queueOf(name)
      const { rows } = await sql.query<{ state: keyof JobCounts; count: number }>(jobSql.COUNTS, [name])
      const counts = { created: 0, active: 0, retry: 0, completed: 0, failed: 0 }
      for (const { state, count } of rows) counts[state] = count
      return counts
    },
  }
}

/** Runs `work` every `ms` until the signal aborts; a failure is published and the next turn comes. */
async function every(
  clock: Clock,
  ms: number,
  signal: AbortSignal,
  work: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    try {
      await clock.sleep(ms, { signal })
    } catch {
      return
    }
    try {
      await work()
    } catch (error) {
      publish('log', () => ({
        level: 'error',
        component: 'events',
        message: `job engine: ${errorMessage(error)}`,
      }))
    }
  }
}
