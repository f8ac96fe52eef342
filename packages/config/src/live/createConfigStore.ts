import { checkedOptions, errorMessage, isVarveError, publish, systemClock } from '@varve/core'
import { differences, isBelow, type ConfigChange, type PathChange } from './changes.ts'
import { freezeTree } from './compose.ts'
import {
  configStoreOptionsSchema,
  type ConfigProblemReport,
  type ConfigStore,
  type ConfigStoreOptions,
  type Ending,
  type LoadedValues,
  type ReloadResult,
} from './ConfigStore.ts'
import {
  configClosed,
  configNotLoaded,
  filesUnsettled,
  incompatible,
  reloadRefused,
  restartRequired,
} from './errors.ts'
import { changesOf, composed, merged, type OverrideLayer } from './overrideLayers.ts'
import { ending, Watchers } from './watchers.ts'

/**
 * A configuration that can be read at any time and replaced while the process runs. Creating it reads nothing.
 *
 * @throws `OPTION_INVALID`
 */
export function createConfigStore<Loaded extends LoadedValues>(
  options: ConfigStoreOptions<Loaded>,
): ConfigStore<Loaded> {
  type Values = Loaded['values']
  const { load, initial, fingerprint, mayReload, validate, restartOnly = [], clock = systemClock } = options
  const { pollMs, settleMs, loadAttempts } = checkedOptions(
    configStoreOptionsSchema,
    { pollMs: options.pollMs, settleMs: options.settleMs, loadAttempts: options.loadAttempts },
    'createConfigStore',
  )
  const stop = new AbortController()
  const signals = new Set<Ending>()
  let base = initial
  let current: Values | undefined = initial === undefined ? undefined : freezeTree(initial.values)
  let generation = initial === undefined ? 0 : 1
  let layers: readonly OverrideLayer[] = []
  /** Fingerprint of the files the values in force were read from. */
  let readFrom: string | undefined
  let trouble: { readonly key: string; readonly report: ConfigProblemReport } | undefined
  let line: Promise<unknown> = Promise.resolve()
  let nextReload: Promise<ReloadResult> | undefined
  let polling: Promise<void> | undefined
  let starting: Promise<void> | undefined

  const watchers = new Watchers<Values>((error) => report(error, 'watcher'))

  function report(error: unknown, reason: string): ConfigProblemReport {
    const code = isVarveError(error) ? error.code : 'CONFIG_LOAD_FAILED'
    const problem = Object.freeze({ code, message: errorMessage(error), reason, at: clock.now(), error })
    // Whoever listens decides what becomes of it; otherwise it is at least a log line.
    if (options.onProblem === undefined)
      publish('log', () => ({ level: 'error', component: 'config', message: problem.message, code, reason }))
    else tellOperator(() => options.onProblem?.(problem))
    return problem
  }

  /** A callback that throws must not turn a refused reload into something else. */
  function tellOperator(call: () => void): void {
    try {
      call()
    } catch (error) {
      publish('log', () => ({ level: 'error', component: 'config', message: errorMessage(error) }))
    }
  }

  /** The same fault of the same content is told once, however many polls meet it. */
  function remember(error: unknown, reason: string, content: string | undefined): void {
    // A refusal is about the moment, not about what stands in the files.
    const about = isVarveError(error, 'CONFIG_RELOAD_REFUSED') ? undefined : content
    const key = JSON.stringify([isVarveError(error) ? error.code : '', errorMessage(error), about])
    if (trouble?.key !== key) trouble = { key, report: report(error, reason) }
  }

  function recovered(): void {
    if (trouble === undefined) return
    const { report: last } = trouble
    trouble = undefined
    if (options.onRecovered === undefined)
      publish('log', () => ({
        level: 'info',
        component: 'config',
        message: 'the configuration loads again',
        code: last.code,
      }))
    else tellOperator(() => options.onRecovered?.(last))
  }

  /** One change at a time: a load waits for the one before it. */
  function inTurn<Result>(work: () => Promise<Result>): Promise<Result> {
    const turn = line.then(work, work)
    line = turn.catch(() => undefined)
    return turn
  }

  /** Files that changed while they were read are read again: old and new must not meet in one snapshot. */
  async function readSteadily<Result>(
    read: () => Promise<Result>,
    seen?: (content: string | undefined) => void,
  ): Promise<{ readonly result: Result; readonly content: string | undefined }> {
    for (let attempt = 1; attempt <= loadAttempts; attempt++) {
      const before = await fingerprint?.()
      seen?.(before)
      const outcome = await read().then(
        (result) => ({ result }),
        (error: unknown) => ({ error }),
      )
      if ((await fingerprint?.()) !== before) continue
      if ('error' in outcome) throw outcome.error
      return { result: outcome.result, content: before }
    }
    throw filesUnsettled(loadAttempts)
  }

  function assertOpen(): void {
    if (stop.signal.aborted) throw configClosed()
  }

  function assertAllowed(what: string): void {
    const why = mayReload?.()
    if (why !== undefined) throw reloadRefused(what, why)
  }

  function assertFits(what: string, changes: readonly PathChange[], next: Values, previous: Values): void {
    const fixed = changes
      .map(({ path }) => path.join('.'))
      .filter((key) => restartOnly.some((prefix) => isBelow(key, prefix) || isBelow(prefix, key)))
    if (fixed.length > 0) throw restartRequired(what, fixed)
    const why = validate?.(next, previous)
    if (why !== undefined) throw incompatible(what, why)
  }

  function inForce(): Values {
    if (current === undefined) throw configNotLoaded()
    return current
  }

  /** The only place where `current` changes: a single assignment, then the watchers. */
  function swap(next: Values, changes: readonly PathChange[]): readonly ConfigChange[] {
    if (changes.length === 0) return []
    current = next
    generation++
    return watchers.tell(changes, next)
  }

  async function readLayers(content: (found: string | undefined) => void) {
    return readSteadily(async () => {
      const loaded = await load()
      let below = loaded
      const parts: { layer: OverrideLayer; changes: readonly PathChange[] }[] = []
      for (const [index, layer] of layers.entries()) {
        const top = await load(merged(layers.slice(0, index + 1)))
        parts.push({ layer, changes: changesOf(layer.overrides, below.values, top.values) })
        below = top
      }
      freezeTree(loaded.values)
      for (const part of parts) for (const { to } of part.changes) freezeTree(to)
      return { loaded, parts }
    }, content)
  }

  async function reloadNow(reason: string): Promise<ReloadResult> {
    assertOpen()
    const what = 'reload'
    let content: string | undefined
    try {
      assertAllowed(what)
      const { result, content: steady } = await readLayers((found) => (content = found))
      assertOpen()
      // A scope may have ended while the files were read.
      const kept = result.parts.filter(({ layer }) => layers.includes(layer))
      const next = composed(
        result.loaded.values,
        kept.map(({ layer, changes }) => ({ ...layer, changes })),
      )
      const changes = current === undefined ? [] : differences(current, next)
      if (current !== undefined && changes.length > 0) {
        assertFits(what, changes, next, current)
        assertAllowed(what) // the engine may have started meanwhile
      }
      base = result.loaded
      for (const { layer, changes: renewed } of kept) layer.changes = renewed
      readFrom = steady
      if (current === undefined) {
        current = next
        generation = 1
      }
      const told = swap(next, changes)
      if (told.length > 0)
        publish('log', () => ({
          level: 'info',
          component: 'config',
          message: 'configuration reloaded',
          reason,
          changed: told.map(({ key }) => key),
        }))
      recovered()
      return { generation, changes: told }
    } catch (error) {
      // What stops the first load stops the start; the caller has it. Nothing was in force to fall back on.
      if (current !== undefined && !stop.signal.aborted) remember(error, reason, content)
      throw error
    }
  }

  function reload(reason = 'asked'): Promise<ReloadResult> {
    if (stop.signal.aborted) return Promise.reject(configClosed())
    nextReload ??= inTurn(() => {
      nextReload = undefined // from here on files may have been read: later calls need a later load
      return reloadNow(reason)
    })
    return nextReload
  }

  async function check(): Promise<void> {
    if (stop.signal.aborted) return
    try {
      if (fingerprint !== undefined) {
        const found = await fingerprint()
        if (found === readFrom && trouble === undefined) return
        if (found !== readFrom && settleMs > 0) {
          await clock.sleep(settleMs, { signal: stop.signal })
          if ((await fingerprint()) !== found) return // still being written: the next poll sees it
        }
      }
    } catch (error) {
      if (!stop.signal.aborted) remember(error, 'poll', undefined)
      return
    }
    await reload('poll').catch(() => undefined) // told by onProblem
  }

  async function pollUntilClosed(): Promise<void> {
    for (;;) {
      try {
        await clock.sleep(pollMs, { signal: stop.signal })
      } catch {
        return
      }
      await check()
    }
  }

  function open(overrides: Readonly<Record<string, string>>): Promise<Ending> {
    const what = `override of ${Object.keys(overrides).join(', ')}`
    return inTurn(async () => {
      assertOpen()
      inForce()
      assertAllowed(what)
      const under = merged(layers)
      const { result: changes } = await readSteadily(async () => {
        const below = await load(under)
        const top = await load({ ...under, ...overrides })
        return changesOf(overrides, below.values, top.values)
      })
      assertOpen()
      for (const { to } of changes) freezeTree(to)
      const layer: OverrideLayer = { overrides: { ...overrides }, changes }
      const previous = inForce()
      const next = composed((base as Loaded).values, [...layers, layer])
      const all = differences(previous, next)
      assertFits(what, all, next, previous)
      assertAllowed(what)
      layers = [...layers, layer]
      swap(next, all)
      return ending(() => {
        layers = layers.filter((other) => other !== layer)
        const restored = composed((base as Loaded).values, layers)
        swap(restored, differences(inForce(), restored))
      })
    })
  }

  function override(overrides: Readonly<Record<string, string>>): Promise<Ending>
  function override<Result>(
    overrides: Readonly<Record<string, string>>,
    work: (values: Values) => Result | Promise<Result>,
  ): Promise<Result>
  async function override<Result>(
    overrides: Readonly<Record<string, string>>,
    work?: (values: Values) => Result | Promise<Result>,
  ): Promise<Ending | Result> {
    const scope = await open(overrides)
    if (work === undefined) return scope
    try {
      return await work(inForce())
    } finally {
      scope.end()
    }
  }

  const store: ConfigStore<Loaded> = {
    get current() {
      return inForce()
    },
    get loaded() {
      if (base === undefined) throw configNotLoaded()
      return base
    },
    get generation() {
      return generation
    },
    get overrides() {
      return layers.length
    },
    async start() {
      assertOpen()
      starting ??= (async () => {
        if (current === undefined) await reload('start')
        polling ??= pollUntilClosed()
      })()
      const mine = starting
      await mine.catch((error: unknown) => {
        if (starting === mine) starting = undefined // can be tried again
        throw error
      })
    },
    check,
    reload,
    watch: (prefixes, handler) => watchers.add(prefixes, handler),
    override,
    reloadOn(source, signal = 'SIGHUP') {
      const listener = () => void reload(signal).catch(() => undefined) // told by onProblem
      source.on(signal, listener)
      const hook = ending(() => {
        source.off(signal, listener)
        signals.delete(hook)
      })
      signals.add(hook)
      return hook
    },
    async close() {
      stop.abort(configClosed())
      for (const hook of signals) hook.end()
      await polling
      await line
    },
    [Symbol.asyncDispose]: () => store.close(),
  }
  return store
}
