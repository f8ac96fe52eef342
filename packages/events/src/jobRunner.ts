import { type Clock, errorMessage, publish } from '@varve/core'
import { isWorthRetry, jobLostError, notCompletedError } from './jobErrors.ts'
import type { DrainOptions, Job, JobHandler, JobTally, WorkOptions } from './jobTypes.ts'
import { type WakeUp, createWakeUp } from './wakeUp.ts'

/** What the runner needs from the engine. */
export interface BatchHost {
  readonly clock: Clock
  readonly pollMs: number
  /** Shortest pause before looking again for a job that is due, milliseconds. */
  readonly shortestWaitMs: number
  fetch(queue: string, batchSize: number): Promise<Job[]>
  fail(
    queue: string,
    jobs: readonly Job[],
    error: unknown,
    retry: boolean,
  ): Promise<{ failed: number; retried: number }>
  release(queue: string, jobs: readonly Job[]): Promise<void>
  /** How many of these very attempts ended as completed. */
  countCompleted(queue: string, jobs: readonly Job[]): Promise<number>
  remaining(queue: string): Promise<{ waiting: number; active: number; dueMs: number }>
  listen(onNotified: (queue: string) => void): Promise<() => Promise<void>>
}

/** Takes batches of jobs and sees each through to one end: settled by its handler, failed, or given back. */
export interface JobRunner {
  process(queue: string, options: WorkOptions, handler: JobHandler): { stop(): Promise<void> }
  drain(queue: string, options: DrainOptions, handler: JobHandler): Promise<JobTally>
  /** Jobs under way, also those whose handler settled them in a transaction that is not over yet. */
  held(queue: string): Job[]
  /** The handler settled jobs itself: completed them, or failed them with this outcome. */
  settled(jobs: readonly Job[], failure?: { readonly failed: number; readonly retried: number }): void
  /** Somebody else has these jobs now: their handlers' signals abort. */
  lose(queue: string, jobs: readonly Job[]): void
  wake(queue: string): void
  stop(timeoutMs: number): Promise<void>
}

interface Batch {
  readonly queue: string
  readonly jobs: readonly Job[]
  /** Not settled by the handler yet. */
  readonly open: Map<string, Job>
  readonly abort: AbortController
  completed: number
  failed: number
  retried: number
}

type MutableTally = { -readonly [Key in keyof JobTally]: JobTally[Key] }

const nameOf = (job: Job): string => `${job.id}:${job.attempt}`

export function createJobRunner(host: BatchHost): JobRunner {
  const { clock, pollMs, shortestWaitMs } = host
  const batches = new Set<Batch>()
  const loops = new Set<{ readonly stop: AbortController; readonly done: Promise<unknown> }>()
  const sleepers = new Map<string, Set<WakeUp>>()
  let listening: Promise<() => Promise<void>> | undefined

  const wake = (queue: string): void => {
    for (const sleeper of sleepers.get(queue) ?? []) sleeper.now()
  }

  const handle = async (
    queue: string,
    jobs: Job[],
    handler: JobHandler,
    outer: AbortSignal,
    tally: MutableTally,
  ): Promise<void> => {
    const batch: Batch = {
      queue,
      jobs,
      open: new Map(jobs.map((job) => [nameOf(job), job])),
      abort: new AbortController(),
      completed: 0,
      failed: 0,
      retried: 0,
    }
    const onAbort = (): void => {
      batch.abort.abort(outer.reason)
    }
    outer.addEventListener('abort', onAbort)
    if (outer.aborted) onAbort()
    batches.add(batch)
    const startedAt = clock.monotonicMs()
    try {
      try {
        batch.abort.signal.throwIfAborted()
        await handler(jobs, batch.abort.signal)
        const left = [...batch.open.values()]
        if (left.length > 0) await give(batch, left, notCompletedError(queue, left.length))
      } catch (error) {
        // What the handler completed may have been rolled back with its transaction. The fence sorts that out: a
        // job that is completed after all is not touched.
        if (outer.aborted) await host.release(queue, jobs)
        else await give(batch, jobs, error)
        batch.completed = await host.countCompleted(queue, jobs)
      }
    } catch (error) {
      // Not even failing them worked: they stay active, and are taken back when their heartbeat runs out.
      log(`jobs of queue ${queue} could not be settled: ${errorMessage(error)}`)
    } finally {
      outer.removeEventListener('abort', onAbort)
      batches.delete(batch)
      const { completed, failed, retried } = batch
      tally.completed += completed
      tally.failed += failed
      tally.retried += retried
      const durationMs = clock.monotonicMs() - startedAt
      publish('jobs', () => ({ queue, completed, failed, retried, durationMs }))
    }
  }

  const give = async (batch: Batch, jobs: readonly Job[], error: unknown): Promise<void> => {
    const { failed, retried } = await host.fail(
      batch.queue,
      jobs,
      error,
      isWorthRetry(error) || isLost(error),
    )
    batch.failed += failed
    batch.retried += retried
  }

  /** Keeps `concurrency` batches under way; returns when the signal aborts or `onIdle` says so. */
  const work = async (
    queue: string,
    { batchSize, concurrency }: WorkOptions,
    handler: JobHandler,
    signal: AbortSignal,
    abort: AbortSignal,
    onIdle: (sleeper: WakeUp) => Promise<boolean>,
  ): Promise<JobTally> => {
    const tally: MutableTally = { completed: 0, failed: 0, retried: 0 }
    const flying = new Set<Promise<void>>()
    const sleeper = createWakeUp(clock)
    const group = sleepers.get(queue) ?? new Set()
    sleepers.set(queue, group.add(sleeper))
    try {
      while (!signal.aborted) {
        if (flying.size >= concurrency) {
          await Promise.race(flying)
          continue
        }
        const jobs = await host.fetch(queue, batchSize)
        if (jobs.length > 0) {
          const flight = handle(queue, jobs, handler, abort, tally).finally(() => {
            flying.delete(flight)
            sleeper.now()
          })
          flying.add(flight)
        } else if (flying.size > 0) await sleeper.wait(pollMs, signal)
        else if (await onIdle(sleeper)) break
      }
    } finally {
      group.delete(sleeper)
      await Promise.all(flying)
    }
    return tally
  }

  const track = <T>(stop: AbortController, done: Promise<T>): Promise<T> => {
    const entry = { stop, done: done.catch(() => undefined) }
    loops.add(entry)
    return done.finally(() => loops.delete(entry))
  }

  let hardStop = new AbortController()

  return {
    process(queue, options, handler) {
      const stop = new AbortController()
      const run = async (): Promise<void> => {
        while (!stop.signal.aborted) {
          try {
            listening ??= host.listen(wake).catch((error: unknown) => {
              listening = undefined
              throw error
            })
            await listening
            await work(queue, options, handler, stop.signal, hardStop.signal, async (sleeper) => {
              await sleeper.wait(pollMs, stop.signal)
              return false
            })
          } catch (error) {
            log(`queue ${queue}: ${errorMessage(error)}`)
            await clock.sleep(pollMs, { signal: stop.signal }).catch(() => undefined)
          }
        }
      }
      const done = track(stop, run())
      return {
        async stop() {
          stop.abort()
          await done
        },
      }
    },

    async drain(queue, { signal, ...options }, handler) {
      signal?.throwIfAborted()
      const stop = new AbortController()
      const ending = AbortSignal.any([stop.signal, ...(signal === undefined ? [] : [signal])])
      const abort = AbortSignal.any([hardStop.signal, ...(signal === undefined ? [] : [signal])])
      const tally = await track(
        stop,
        work(queue, options, handler, ending, abort, async (sleeper) => {
          const { waiting, active, dueMs } = await host.remaining(queue)
          if (waiting === 0 && active === 0) return true
          const due = waiting > 0 ? Math.max(shortestWaitMs, dueMs) : pollMs
          await sleeper.wait(Math.min(due, pollMs), ending)
          return false
        }),
      )
      signal?.throwIfAborted()
      return tally
    },

    held(queue) {
      return [...batches].filter((batch) => batch.queue === queue).flatMap((batch) => batch.jobs)
    },

    settled(jobs, failure) {
      for (const batch of batches) {
        const mine = jobs.filter((job) => batch.open.delete(nameOf(job))).length
        if (mine === 0) continue
        if (failure === undefined) batch.completed += mine
        else {
          batch.failed += failure.failed
          batch.retried += failure.retried
        }
      }
    },

    lose(queue, jobs) {
      for (const batch of batches) {
        const gone = jobs.filter((job) => batch.open.has(nameOf(job)))
        if (gone.length > 0)
          batch.abort.abort(jobLostError(queue, [...batch.open.values()], batch.open.size - gone.length))
      }
    },

    wake,

    async stop(timeoutMs) {
      for (const { stop } of loops) stop.abort()
      const done = Promise.all([...loops].map((loop) => loop.done))
      const patience = new AbortController()
      const late = clock.sleep(timeoutMs, { signal: patience.signal }).then(
        () => {
          hardStop.abort(new DOMException('the job engine is stopping', 'AbortError'))
        },
        () => undefined,
      )
      await done
      patience.abort()
      await late
      await listening?.then((stopListening) => stopListening()).catch(() => undefined)
      listening = undefined
      hardStop = new AbortController()
    },
  }
}

function isLost(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'JOB_LOST'
}

function log(message: string): void {
  publish('log', () => ({ level: 'error', component: 'events', message }))
}
