import { type Clock, VarveError, checkedOptions, errorMessage, publish, systemClock } from '@varve/core'
import { withDeadline } from '../deadline.ts'
import { type RestartPolicy, type TaskSettings, restartPolicySchema, taskOptionsSchema } from '../options.ts'

/** A background task as it is announced. */
export interface TaskDefinition {
  /** Unique among the tasks that run. */
  readonly name: string
  /** Shutdown group: `trading`, `data`, `system`, or one of your own. */
  readonly group: string
  /** Critical tasks stop first inside their group. @defaultValue `false` */
  readonly critical?: boolean
  /** Longest it may take to stop, milliseconds. @defaultValue the registry's `stopTimeoutMs` */
  readonly stopTimeoutMs?: number
  /** How it is started again after a failure; never when left out. */
  readonly restart?: RestartPolicy
}

export type TaskState = 'running' | 'restarting' | 'stopped' | 'failed'

export interface TaskStatus {
  readonly name: string
  readonly group: string
  readonly critical: boolean
  readonly stopTimeoutMs: number
  readonly state: TaskState
  /** When it got into this state, milliseconds since 1970. */
  readonly since: number
  /** Message of the latest failure. */
  readonly lastError: string | undefined
  /** How often it was started. */
  readonly runs: number
}

export interface TaskHandle {
  readonly name: string
  /** Resolves when the task has ended for good, however it ended: look at the status for how. */
  readonly ended: Promise<void>
  /** Aborts the task's signal and waits. @throws `TASK_STOP_TIMEOUT`; the task is then still running */
  stop(): Promise<void>
}

/** Knows every background task of a process. */
export interface TaskRegistry extends AsyncDisposable {
  /**
   * Starts a task. A failure is published on `varve:log` and never thrown at anybody; with a restart policy the task
   * is started again.
   *
   * @throws `TASK_NAME_TAKEN`, `TASKS_CLOSED`
   */
  run(definition: TaskDefinition, work: (signal: AbortSignal) => void | Promise<void>): TaskHandle
  /** Every task, in the order of their start; of the ended ones the latest. */
  list(): TaskStatus[]
  /** Stops one task; resolves at once when it does not run. @throws `TASK_STOP_TIMEOUT` */
  stop(name: string): Promise<void>
  /** Stops all of them, and starts no more. @throws `TASK_STOP_TIMEOUT` naming those that still run */
  close(): Promise<void>
}

/** Its data, with their defaults: {@link taskOptionsSchema}. */
export interface TaskRegistryOptions extends TaskSettings {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** Told of every failure after which the task stays down. */
  readonly onFailure?: (task: TaskStatus, error: unknown) => void
}

interface Entry {
  status: TaskStatus
  readonly abort: AbortController
  ended: Promise<void>
}

export function createTaskRegistry(options: TaskRegistryOptions = {}): TaskRegistry {
  const { clock = systemClock, onFailure, ...data } = options
  const settings = checkedOptions(taskOptionsSchema, data, 'the task registry')
  const entries = new Map<string, Entry>()
  let closing: Promise<void> | undefined

  const isActive = ({ status: { state } }: Entry): boolean => state === 'running' || state === 'restarting'
  const enter = (entry: Entry, state: TaskState, change: Partial<TaskStatus> = {}): void => {
    entry.status = { ...entry.status, ...change, state, since: clock.now() }
  }
  const forgetOld = (): void => {
    const ended = [...entries].filter(([, entry]) => !isActive(entry))
    ended
      .sort(([, a], [, b]) => a.status.since - b.status.since)
      .slice(0, Math.max(0, ended.length - settings.keepEnded))
      .forEach(([name]) => entries.delete(name))
  }

  const perform = async (
    entry: Entry,
    restart: RestartPolicy | undefined,
    work: (signal: AbortSignal) => void | Promise<void>,
  ): Promise<void> => {
    const policy =
      restart === undefined ? undefined : checkedOptions(restartPolicySchema, restart, 'a restart policy')
    const { signal } = entry.abort
    let delayMs = policy?.delayMs ?? 0
    for (let run = 1; ; run++) {
      enter(entry, 'running', { runs: run })
      try {
        await work(signal)
        enter(entry, 'stopped')
        return
      } catch (error) {
        // What a task throws because it was told to stop is its way of stopping.
        if (signal.aborted) {
          enter(entry, 'stopped')
          return
        }
        const again = policy !== undefined && run <= policy.restarts
        const lastError = errorMessage(error)
        enter(entry, again ? 'restarting' : 'failed', { lastError })
        publish('log', () => ({
          level: 'error',
          component: 'runtime',
          message: `task ${entry.status.name} failed: ${lastError}${again ? `; started again in ${delayMs} ms` : ''}`,
          task: entry.status.name,
          group: entry.status.group,
          error,
        }))
        if (!again) {
          onFailure?.(entry.status, error)
          return
        }
      }
      try {
        await clock.sleep(delayMs, { signal })
      } catch {
        enter(entry, 'stopped')
        return
      }
      delayMs = Math.min(policy?.maxDelayMs ?? delayMs, delayMs * 2)
    }
  }

  const stopEntry = async (entry: Entry): Promise<void> => {
    if (!isActive(entry)) return
    const { name, stopTimeoutMs } = entry.status
    entry.abort.abort(
      new VarveError(`task ${name} was told to stop`, { code: 'TASK_STOPPED', details: { task: name } }),
    )
    await withDeadline(
      { clock, timeoutMs: stopTimeoutMs, expired: () => stopTimeout([name]) },
      () => entry.ended,
    )
  }

  const close = (): Promise<void> => {
    closing ??= (async () => {
      const active = [...entries.values()].filter(isActive)
      const results = await Promise.allSettled(active.map(stopEntry))
      const left = active.filter((_, index) => results[index]?.status === 'rejected')
      if (left.length > 0) throw stopTimeout(left.map(({ status }) => status.name))
    })()
    return closing
  }

  return {
    run(definition, work) {
      const { name, group, critical = false, stopTimeoutMs = settings.stopTimeoutMs, restart } = definition
      if (closing !== undefined) {
        throw new VarveError(`task ${name} was not started: the registry is closed`, {
          code: 'TASKS_CLOSED',
          details: { task: name },
        })
      }
      const before = entries.get(name)
      if (before !== undefined && isActive(before)) {
        throw new VarveError(`a task named ${name} runs already; stop it first, or choose another name`, {
          code: 'TASK_NAME_TAKEN',
          details: { task: name },
        })
      }
      const entry: Entry = {
        status: {
          name,
          group,
          critical,
          stopTimeoutMs,
          state: 'running',
          since: clock.now(),
          lastError: undefined,
          runs: 0,
        },
        abort: new AbortController(),
        ended: Promise.resolve(),
      }
      entries.delete(name)
      entries.set(name, entry)
      entry.ended = perform(entry, restart, work).finally(forgetOld)
      return { name, ended: entry.ended, stop: () => stopEntry(entry) }
    },
    list: () => [...entries.values()].map(({ status }) => status),
    async stop(name) {
      const entry = entries.get(name)
      if (entry !== undefined) await stopEntry(entry)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function stopTimeout(names: readonly string[]): VarveError {
  return new VarveError(
    `${names.join(', ')} did not stop in time and still runs; let the task watch its signal, or raise its stopTimeoutMs`,
    { code: 'TASK_STOP_TIMEOUT', details: { tasks: names } },
  )
}
