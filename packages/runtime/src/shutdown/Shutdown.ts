import { type Clock, checkedOptions, errorMessage, publish, systemClock } from '@varve/core'
import { type ShutdownSettings, shutdownOptionsSchema } from '../options.ts'
import type { TaskRegistry } from '../tasks/TaskRegistry.ts'

/** Something to end when the process ends. */
export interface ShutdownTask {
  readonly name: string
  /** One of the groups; an unknown one counts as the last. */
  readonly group: string
  /** Critical tasks stop first inside their group. @defaultValue `false` */
  readonly critical?: boolean
  /** Longest it may take, milliseconds. @defaultValue `taskTimeoutMs` */
  readonly timeoutMs?: number
  /** Ends it. The signal aborts when its time is up: what can be cut short should be. */
  stop(options: { readonly signal: AbortSignal }): void | Promise<void>
}

/** A task that is still there after the shutdown, or ended badly. */
export interface NotStopped {
  readonly name: string
  readonly group: string
  readonly why: 'timeout' | 'error' | 'forced'
  readonly message: string
}

export interface ShutdownResult {
  readonly reason: string
  /** Nothing was left. */
  readonly ok: boolean
  /** In the order they stopped. */
  readonly stopped: readonly string[]
  readonly notStopped: readonly NotStopped[]
  readonly durationMs: number
}

/** Ends a process in order: group after group, critical tasks first, everything inside a limit. */
export interface Shutdown {
  /** Adds a task; returns a function that takes it out again. */
  add(task: ShutdownTask): () => void
  /** Shuts down once; every call, at whatever moment, gets the same result. Never rejects. */
  run(reason: string): Promise<ShutdownResult>
  /** Stops waiting: `run` resolves with what has not stopped by now. */
  force(): void
  /** Aborts with the reason when the shutdown begins. */
  readonly signal: AbortSignal
}

/** Its data, with their defaults: {@link shutdownOptionsSchema}. */
export interface ShutdownOptions extends ShutdownSettings {
  /** Its running tasks stop with the others. */
  readonly tasks?: TaskRegistry
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

export function createShutdown(options: ShutdownOptions = {}): Shutdown {
  const { tasks: registry, clock = systemClock, ...data } = options
  const settings = checkedOptions(shutdownOptionsSchema, data, 'the shutdown')
  const added = new Set<ShutdownTask>()
  const begun = new AbortController()
  const forced = new AbortController()
  let running: Promise<ShutdownResult> | undefined

  const fromRegistry = (): ShutdownTask[] =>
    (registry?.list() ?? [])
      .filter(({ state }) => state === 'running' || state === 'restarting')
      .map(({ name, group, critical, stopTimeoutMs }) => ({
        name,
        group,
        critical,
        timeoutMs: stopTimeoutMs,
        stop: () => registry?.stop(name),
      }))

  const shutDown = async (reason: string): Promise<ShutdownResult> => {
    const from = clock.monotonicMs()
    const endsAt = from + settings.totalMs
    const stopped: string[] = []
    const notStopped: NotStopped[] = []
    const last = settings.groups.at(-1)!.name
    const known = new Set(settings.groups.map(({ name }) => name))
    // A task that came up twice, once by itself and once in the registry, stops once.
    const byName = new Map([...fromRegistry(), ...added].map((task) => [task.name, task]))
    const groupOf = (task: ShutdownTask): string => (known.has(task.group) ? task.group : last)

    const stopOne = async (task: ShutdownTask, group: string, leftMs: number): Promise<void> => {
      const outcome = await attempt(task, leftMs)
      if (outcome === undefined) stopped.push(task.name)
      else {
        notStopped.push({ name: task.name, group, ...outcome })
        publish('log', () => ({
          level: 'error',
          component: 'runtime',
          message: `${task.name} did not stop: ${outcome.message}`,
        }))
      }
    }

    for (const { name: group, timeoutMs } of settings.groups) {
      const members = [...byName.values()].filter((task) => groupOf(task) === group)
      const groupEndsAt = Math.min(clock.monotonicMs() + timeoutMs, endsAt)
      for (const critical of [true, false]) {
        const wave = members.filter((task) => (task.critical ?? false) === critical)
        await Promise.all(wave.map((task) => stopOne(task, group, groupEndsAt - clock.monotonicMs())))
      }
    }
    return {
      reason,
      ok: notStopped.length === 0,
      stopped,
      notStopped,
      durationMs: clock.monotonicMs() - from,
    }
  }

  /** What kept a task from stopping; nothing when it stopped. */
  const attempt = async (
    task: ShutdownTask,
    leftMs: number,
  ): Promise<{ readonly why: NotStopped['why']; readonly message: string } | undefined> => {
    if (forced.signal.aborted)
      return { why: 'forced', message: 'exit was forced before it was asked to stop' }
    const allowedMs = Math.min(task.timeoutMs ?? settings.taskTimeoutMs, leftMs)
    const abort = new AbortController()
    const timer = new AbortController()
    // Even without time left it is asked, so that what can end at once does.
    if (allowedMs <= 0) abort.abort(new Error('no time left'))
    const waitMs = allowedMs <= 0 ? settings.lastChanceMs : allowedMs
    const timeUp = clock.sleep(waitMs, { signal: timer.signal }).then(
      () => ({ why: 'timeout' as const, message: `still running after ${Math.round(waitMs)} ms` }),
      () => undefined,
    )
    // Taken away by hand: a listener bound to a second signal leaves an entry in a table of the engine's for ever.
    const hurried = Promise.withResolvers<{ readonly why: 'forced'; readonly message: string }>()
    const onForce = (): void =>
      hurried.resolve({ why: 'forced', message: 'exit was forced while it was stopping' })
    forced.signal.addEventListener('abort', onForce, { once: true })
    const ending = (async () => task.stop({ signal: abort.signal }))().then(
      () => undefined,
      (error: unknown) => ({ why: 'error' as const, message: errorMessage(error) }),
    )
    const outcome = await Promise.race([ending, timeUp, hurried.promise])
    timer.abort()
    forced.signal.removeEventListener('abort', onForce)
    if (outcome !== undefined && outcome.why !== 'error') abort.abort(new Error(outcome.message))
    return outcome
  }

  return {
    add(task) {
      added.add(task)
      return () => void added.delete(task)
    },
    run(reason) {
      if (running === undefined) {
        // Set before anything is told, so that whoever asks again from inside gets this very promise.
        const begin = Promise.withResolvers<undefined>()
        running = begin.promise.then(() => shutDown(reason))
        begun.abort(new Error(reason))
        begin.resolve(undefined)
      }
      return running
    },
    force: () => forced.abort(),
    signal: begun.signal,
  }
}

/** What is left, one line each; an empty text when nothing is. */
export function formatNotStopped(result: ShutdownResult): string {
  return result.notStopped
    .map(({ name, group, message }) => `did not stop: ${name} (${group}): ${message}`)
    .join('\n')
}
