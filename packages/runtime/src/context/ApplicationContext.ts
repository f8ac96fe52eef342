import {
  type Clock,
  VarveError,
  checkedOptions,
  errorMessage,
  isVarveError,
  publish,
  systemClock,
} from '@varve/core'
import { withDeadline } from '../deadline.ts'
import { type ContextSettings, contextOptionsSchema } from '../options.ts'
import { planOrder } from './plan.ts'

/** What a component sees while it starts. */
export interface StartContext {
  /** A component named in `dependsOn`. @throws `CONTEXT_NOT_STARTED` for any other */
  get<Instance>(name: string): Instance
}

/** A named part of an application: how it starts, what it needs, how it stops. */
export interface Component<Instance = unknown> {
  /** Names of components that must run before this one starts, and until it has stopped. */
  readonly dependsOn?: readonly string[]
  /** Makes the running instance. The signal aborts when the start as a whole has failed or run out of time. */
  start(context: StartContext, options: { readonly signal: AbortSignal }): Instance | Promise<Instance>
  /** Ends it. Without `stop`, an instance with `Symbol.asyncDispose` or `Symbol.dispose` is disposed. */
  stop?(instance: Instance, options: { readonly signal: AbortSignal }): void | Promise<void>
}

/** Lets the compiler infer the instance's type between `start` and `stop`. */
export function component<Instance>(definition: Component<Instance>): Component<Instance> {
  return definition
}

export type Components = Readonly<Record<string, Component>>
type InstanceOf<Definition extends Component> = Awaited<ReturnType<Definition['start']>>

export type ComponentState = 'waiting' | 'starting' | 'running' | 'failed' | 'stopping' | 'stopped'

export interface ComponentStatus {
  readonly name: string
  readonly state: ComponentState
  /** How long its start took, milliseconds; `undefined` before it ran. */
  readonly startMs: number | undefined
}

/** One component that did not do what it was asked to. */
export interface ComponentFailure {
  readonly component: string
  readonly phase: 'start' | 'stop'
  readonly message: string
}

/** Components that belong together: all of them run, or none. */
export interface ApplicationContext<Definitions extends Components> extends AsyncDisposable {
  /**
   * Starts everything; later calls get the first one's answer. When one component fails, time is up, or the signal
   * aborts, what already runs is stopped again, in reverse.
   *
   * @throws `CONTEXT_START_FAILED`, `CONTEXT_START_TIMEOUT`, `CONTEXT_CLOSED`, or the signal's reason
   */
  start(options?: { readonly signal?: AbortSignal }): Promise<void>
  /** A running component. @throws `CONTEXT_NOT_STARTED` */
  get<Name extends keyof Definitions & string>(name: Name): InstanceOf<Definitions[Name]>
  status(): ComponentStatus[]
  /**
   * Stops everything in the reverse of the order it came up; a failing component does not keep the others running.
   * Closing twice is fine.
   *
   * @throws `CONTEXT_STOP_FAILED` naming every component that did not stop
   */
  close(): Promise<void>
}

/** Its data, with their defaults: {@link contextOptionsSchema}. */
export interface ApplicationContextOptions<Definitions extends Components> extends ContextSettings {
  readonly components: Definitions
  /** Name of one of `profiles`; without it every component starts. */
  readonly profile?: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/**
 * An application context. Nothing starts yet, but what could never start is refused here.
 *
 * @throws `CONTEXT_COMPONENT_MISSING`, `CONTEXT_DEPENDENCY_CYCLE`, `CONTEXT_PROFILE_UNKNOWN`, `OPTION_INVALID`
 */
export function createApplicationContext<const Definitions extends Components>(
  options: ApplicationContextOptions<Definitions>,
): ApplicationContext<Definitions> {
  const { components, profile, clock = systemClock, ...data } = options
  const settings = checkedOptions(contextOptionsSchema, data, 'the application context')
  const chosen = profile === undefined ? undefined : profileOf(profile, settings.profiles)
  const order = planOrder(components, chosen?.components)
  const startTimeoutMs = chosen?.startTimeoutMs ?? settings.startTimeoutMs

  const states = new Map<string, ComponentState>(order.map((name) => [name, 'waiting']))
  const startMs = new Map<string, number>()
  const instances = new Map<string, unknown>()
  const cameUp: string[] = []
  const starts = new Map<string, Promise<void>>()
  const failures: ComponentFailure[] = []
  const causes: unknown[] = []
  const abort = new AbortController()
  let unwinding = false
  let starting: Promise<void> | undefined
  let closing: Promise<void> | undefined

  const definitionOf = (name: string): Component => components[name]!
  const fail = (component: string, phase: 'start' | 'stop', error: unknown): void => {
    states.set(component, 'failed')
    failures.push({ component, phase, message: errorMessage(error) })
    causes.push(error)
    publish('log', () => ({
      level: 'error',
      component: 'runtime',
      message: `component ${component} failed to ${phase}: ${errorMessage(error)}`,
    }))
  }

  const startOne = (name: string): Promise<void> => {
    const known = starts.get(name)
    if (known !== undefined) return known
    const started = (async () => {
      const { dependsOn = [] } = definitionOf(name)
      await Promise.all(dependsOn.map(startOne))
      abort.signal.throwIfAborted()
      states.set(name, 'starting')
      const from = clock.monotonicMs()
      const context: StartContext = {
        get: <Instance>(wanted: string): Instance => {
          if (!dependsOn.includes(wanted)) throw notStarted(wanted, `${name} does not name it in dependsOn`)
          return instances.get(wanted) as Instance
        },
      }
      let instance: unknown
      try {
        instance = await definitionOf(name).start(context, { signal: abort.signal })
      } catch (error) {
        // What ends because everything is being ended is no fault of its own.
        if (abort.signal.aborted) states.set(name, 'stopped')
        else fail(name, 'start', error)
        throw error
      }
      startMs.set(name, clock.monotonicMs() - from)
      if (unwinding) {
        // Too late: the rest is gone already, so this one goes at once.
        await stopOne(name, instance)
        return
      }
      instances.set(name, instance)
      cameUp.push(name)
      states.set(name, 'running')
    })()
    // Everybody who waits hears of it; the promise itself must not count as unhandled.
    started.catch(() => undefined)
    starts.set(name, started)
    return started
  }

  const stopOne = async (name: string, instance: unknown): Promise<void> => {
    states.set(name, 'stopping')
    try {
      await withDeadline(
        {
          clock,
          timeoutMs: settings.stopTimeoutMs,
          expired: () => new Error(`did not stop within ${settings.stopTimeoutMs} ms`),
        },
        (signal) => stopInstance(definitionOf(name), instance, signal),
      )
      states.set(name, 'stopped')
    } catch (error) {
      fail(name, 'stop', error)
    }
  }

  const unwind = async (): Promise<void> => {
    const waiting = [...starts.values()]
    const patience = new AbortController()
    await Promise.race([
      Promise.allSettled(waiting),
      clock.sleep(settings.abortGraceMs, { signal: patience.signal }).catch(() => undefined),
    ])
    patience.abort()
    unwinding = true
    for (const name of cameUp.toReversed()) {
      await stopOne(name, instances.get(name))
      instances.delete(name)
    }
  }

  const startAll = async (signal: AbortSignal | undefined): Promise<void> => {
    const stillStarting = (): string[] => order.filter((name) => states.get(name) === 'starting')
    let late: string[] = []
    // One way to end for all: failure, time-out, the caller's signal, close().
    const any = signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal])
    try {
      await withDeadline(
        {
          clock,
          timeoutMs: startTimeoutMs,
          signal: any,
          expired: () => {
            late = stillStarting()
            return new VarveError(
              `start took longer than ${startTimeoutMs} ms; still starting: ${late.join(', ') || 'nothing'}. Look at these, or raise startTimeoutMs`,
              {
                code: 'CONTEXT_START_TIMEOUT',
                retryable: true,
                details: { startTimeoutMs, components: late },
              },
            )
          },
        },
        async () => {
          await Promise.all(order.map(startOne))
        },
      )
    } catch (error) {
      const [first] = failures
      if (!abort.signal.aborted) abort.abort(error)
      await unwind()
      if (first === undefined) throw error
      const [cause] = causes
      throw new VarveError(
        `component ${first.component} did not start: ${first.message}. Everything started before it was stopped again`,
        {
          code: 'CONTEXT_START_FAILED',
          retryable: isVarveError(cause) && cause.retryable,
          cause,
          details: { component: first.component, phase: first.phase, failures: [...failures] },
        },
      )
    }
  }

  const close = (): Promise<void> => {
    closing ??= (async () => {
      if (!abort.signal.aborted) abort.abort(closed())
      const before = failures.length
      const startFailed = await (starting ?? Promise.resolve()).then(
        () => false,
        () => true,
      )
      if (!startFailed) await unwind()
      const stops = failures.slice(startFailed ? 0 : before).filter(({ phase }) => phase === 'stop')
      if (stops.length === 0) return
      throw new VarveError(
        `${stops.length} of ${order.length} components did not stop: ${stops.map((stop) => `${stop.component} (${stop.message})`).join('; ')}`,
        {
          code: 'CONTEXT_STOP_FAILED',
          cause: new AggregateError(causes, 'components that failed'),
          details: { failures: stops },
        },
      )
    })()
    return closing
  }

  return {
    start({ signal } = {}) {
      if (starting === undefined && closing !== undefined) return Promise.reject(closed())
      starting ??= startAll(signal)
      return starting
    },
    get(name) {
      if (!instances.has(name))
        throw notStarted(name, `it is ${states.get(name) ?? 'not part of the profile'}`)
      return instances.get(name) as InstanceOf<Definitions[typeof name]>
    },
    status: () =>
      order.map((name) => ({ name, state: states.get(name) ?? 'waiting', startMs: startMs.get(name) })),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function profileOf<Profile>(name: string, profiles: Readonly<Record<string, Profile>>): Profile {
  const found = Object.hasOwn(profiles, name) ? profiles[name] : undefined
  if (found !== undefined) return found
  const known = Object.keys(profiles)
  throw new VarveError(`there is no profile "${name}"; choose one of ${known.join(', ')}`, {
    code: 'CONTEXT_PROFILE_UNKNOWN',
    details: { profile: name, known },
  })
}

async function stopInstance(definition: Component, instance: unknown, signal: AbortSignal): Promise<void> {
  if (definition.stop !== undefined) {
    await definition.stop(instance, { signal })
    return
  }
  if (instance === null || (typeof instance !== 'object' && typeof instance !== 'function')) return
  const disposable = instance as Partial<AsyncDisposable & Disposable>
  if (disposable[Symbol.asyncDispose] !== undefined) await disposable[Symbol.asyncDispose]?.()
  else disposable[Symbol.dispose]?.()
}

function notStarted(name: string, why: string): VarveError {
  return new VarveError(`component "${name}" is not there to be used: ${why}`, {
    code: 'CONTEXT_NOT_STARTED',
    details: { component: name },
  })
}

function closed(): VarveError {
  return new VarveError('the application context was closed; make a new one', { code: 'CONTEXT_CLOSED' })
}
