import {
  type Clock,
  type StateStore,
  VarveError,
  checkedOptions,
  secureRandom,
  systemClock,
} from '@varve/core'
import { assertJson } from '../json.ts'
import { type StateSettings, stateOptionsSchema } from '../options.ts'
import { makeCheckpoint, readCheckpoint } from './checkpoint.ts'
import { globMatcher } from './glob.ts'
import type { PutOptions, VersionedStateStore } from './VersionedStateStore.ts'

/** A document with the version that names this state of it. */
export interface VersionedValue {
  readonly value: unknown
  readonly version: number
}

/** Counters since the manager was made. */
export interface StateMetrics {
  readonly reads: number
  /** Reads that found something. */
  readonly hits: number
  readonly writes: number
  readonly deletes: number
  /** Writes refused because somebody else had changed the document. */
  readonly conflicts: number
  readonly checkpoints: number
  readonly restores: number
}

/** JSON documents by namespace and key; safe to change from many places and processes at once. */
export interface StateManager extends StateStore, AsyncDisposable {
  /** A document with its version; `undefined` when there is none. */
  read(namespace: string, key: string): Promise<VersionedValue | undefined>
  /**
   * Writes only over the version that was read; 0 stands for "nothing there".
   *
   * @returns the new version, or `undefined` when the document had been changed
   */
  compareAndSet(
    namespace: string,
    key: string,
    expectedVersion: number,
    value: unknown,
    options?: { readonly ttlMs?: number },
  ): Promise<number | undefined>
  /** Deletes every key that fits the pattern; returns how many. */
  removeMatching(namespace: string, pattern: string): Promise<number>
  /** Keeps a named copy of some namespaces, or of all, as of one moment; an older one of that name is replaced. */
  checkpoint(
    name: string,
    namespaces?: readonly string[],
  ): Promise<{ readonly checksum: string; readonly entries: number }>
  /**
   * Puts the namespaces of a check-point back to what they were: what was added since is gone.
   *
   * @throws `STATE_CHECKPOINT_UNKNOWN`, `STATE_CHECKPOINT_DAMAGED`; nothing is changed then
   */
  restore(name: string): Promise<{ readonly entries: number }>
  checkpoints(): Promise<string[]>
  metrics(): StateMetrics
  /** Closes the store. Closing twice is fine. */
  close(): Promise<void>
}

/** Its data, with their defaults: {@link stateOptionsSchema}. */
export interface StateManagerOptions extends StateSettings {
  readonly store: VersionedStateStore
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** Namespaces of users begin with a letter or digit, so this one is never theirs. */
const CHECKPOINTS = '.checkpoints'

/**
 * A state manager over a store. Methods throw `STATE_KEY_INVALID` and `STATE_NOT_JSON` for what cannot be stored;
 * `update` throws `STATE_CONFLICT` (retryable) after too many collisions.
 */
export function createStateManager(options: StateManagerOptions): StateManager {
  const { store, clock = systemClock, ...data } = options
  const settings = checkedOptions(stateOptionsSchema, data, 'the state manager')
  const count = { reads: 0, hits: 0, writes: 0, deletes: 0, conflicts: 0, checkpoints: 0, restores: 0 }
  /** The latest update of each document in this process; they go one after another instead of colliding. */
  const turns = new Map<string, Promise<unknown>>()

  const toText = (value: unknown): string => {
    assertJson(value)
    const text = JSON.stringify(value)
    const bytes = Buffer.byteLength(text)
    if (bytes > settings.valueBytes) {
      throw new VarveError(
        `a document of ${bytes} bytes is longer than the ${settings.valueBytes} allowed; split it, or raise valueBytes`,
        { code: 'STATE_TOO_LARGE', details: { bytes, valueBytes: settings.valueBytes } },
      )
    }
    return text
  }
  const read = async (namespace: string, key: string) => {
    checkNames(namespace, key)
    count.reads++
    const entry = await store.get(namespace, key)
    if (entry !== undefined) count.hits++
    return entry
  }
  const put = async (
    namespace: string,
    key: string,
    value: unknown,
    putOptions: PutOptions,
  ): Promise<number | undefined> => {
    checkNames(namespace, key)
    checkTtl(putOptions.ttlMs)
    const version = await store.put(namespace, key, toText(value), putOptions)
    if (version === undefined) count.conflicts++
    else count.writes++
    return version
  }
  const remove = async (namespace: string, key: string, expectedVersion?: number): Promise<boolean> => {
    checkNames(namespace, key)
    const gone = await store.delete(namespace, key, expectedVersion === undefined ? {} : { expectedVersion })
    if (gone) count.deletes++
    return gone
  }
  const keys = async (namespace: string, pattern = '*'): Promise<string[]> => {
    checkNames(namespace, 'any')
    const fits = globMatcher(pattern)
    const found = await store.snapshot([namespace])
    return (found.get(namespace) ?? []).map(({ key }) => key).filter(fits)
  }

  const updateOnce = async (
    namespace: string,
    key: string,
    change: (current: unknown) => unknown,
    ttlMs: number | undefined,
  ): Promise<{ readonly done: boolean; readonly value?: unknown }> => {
    const entry = await read(namespace, key)
    const value = await change(entry === undefined ? undefined : (JSON.parse(entry.text) as unknown))
    const expectedVersion = entry?.version ?? 0
    if (value === undefined) {
      const done = entry === undefined || (await remove(namespace, key, expectedVersion))
      if (!done) count.conflicts++
      return { done }
    }
    // Unless told otherwise an entry keeps the time it had left.
    const keep = ttlMs ?? entry?.remainingMs
    const version = await put(namespace, key, value, {
      expectedVersion,
      ...(keep === undefined ? {} : { ttlMs: Math.max(1, keep) }),
    })
    return { done: version !== undefined, value }
  }
  const update: StateManager['update'] = async (namespace, key, change, { ttlMs } = {}) => {
    let ceilingMs = settings.retryDelayMs
    for (let attempt = 0; attempt < settings.updateAttempts; attempt++) {
      const { done, value } = await updateOnce(namespace, key, change, ttlMs)
      if (done) return value
      await clock.sleep(ceilingMs * secureRandom())
      ceilingMs = Math.min(settings.maxRetryDelayMs, ceilingMs * 2)
    }
    throw new VarveError(
      `"${key}" in "${namespace}" was changed by others during all ${settings.updateAttempts} attempts; try again, or let fewer processes change it`,
      { code: 'STATE_CONFLICT', retryable: true, details: { namespace, key } },
    )
  }

  const close = (): Promise<void> => store.close()
  return {
    async load(namespace, key) {
      const entry = await read(namespace, key)
      return entry === undefined ? undefined : (JSON.parse(entry.text) as unknown)
    },
    async read(namespace, key) {
      const entry = await read(namespace, key)
      return entry === undefined
        ? undefined
        : { value: JSON.parse(entry.text) as unknown, version: entry.version }
    },
    async save(namespace, key, value, { ttlMs } = {}) {
      await put(namespace, key, value, ttlMs === undefined ? {} : { ttlMs })
    },
    compareAndSet: (namespace, key, expectedVersion, value, { ttlMs } = {}) =>
      put(namespace, key, value, { expectedVersion, ...(ttlMs === undefined ? {} : { ttlMs }) }),
    async update(namespace, key, change, updateOptions) {
      const turn = `${namespace} ${key}`
      const before = turns.get(turn) ?? Promise.resolve()
      const mine = before.then(
        () => update(namespace, key, change, updateOptions),
        () => update(namespace, key, change, updateOptions),
      )
      turns.set(turn, mine)
      try {
        return await mine
      } finally {
        if (turns.get(turn) === mine) turns.delete(turn)
      }
    },
    remove: (namespace, key) => remove(namespace, key),
    keys,
    async removeMatching(namespace, pattern) {
      let removed = 0
      for (const key of await keys(namespace, pattern)) if (await remove(namespace, key)) removed++
      return removed
    },
    async checkpoint(name, namespaces) {
      checkNames('any', name)
      for (const namespace of namespaces ?? []) checkNames(namespace, 'any')
      const chosen = namespaces ?? (await store.namespaces()).filter((found) => found !== CHECKPOINTS)
      const snapshot = await store.snapshot(chosen)
      const made = makeCheckpoint(snapshot, clock.now())
      await store.put(CHECKPOINTS, name, JSON.stringify(made))
      count.checkpoints++
      return { checksum: made.checksum, entries: [...snapshot.values()].flat().length }
    },
    async restore(name) {
      checkNames('any', name)
      const entry = await store.get(CHECKPOINTS, name)
      if (entry === undefined) {
        throw new VarveError(`there is no check-point "${name}"; see checkpoints() for those there are`, {
          code: 'STATE_CHECKPOINT_UNKNOWN',
          details: { checkpoint: name },
        })
      }
      const content = readCheckpoint(name, parseOrNothing(entry.text), clock.now())
      await store.replace(content)
      count.restores++
      return { entries: [...content.values()].flat().length }
    },
    async checkpoints() {
      return ((await store.snapshot([CHECKPOINTS])).get(CHECKPOINTS) ?? []).map(({ key }) => key)
    },
    metrics: () => ({ ...count }),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function parseOrNothing(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}

function checkNames(namespace: string, key: string): void {
  const fits = /^[A-Za-z0-9][\w.:-]{0,127}$/.test(namespace)
  if (fits && key.isWellFormed() && /^[^\u0000-\u001f\u007f]{1,512}$/u.test(key)) return
  throw new VarveError(
    'expected a namespace of letters, digits and _ . : - that begins with a letter or digit, and a key of 1 to 512 printable characters',
    { code: 'STATE_KEY_INVALID', details: { namespace, key } },
  )
}

function checkTtl(ttlMs: number | undefined): void {
  if (ttlMs === undefined || (Number.isFinite(ttlMs) && ttlMs > 0)) return
  throw new VarveError(`expected ttlMs above 0, was ${ttlMs}`, { code: 'OPTION_INVALID', details: { ttlMs } })
}
