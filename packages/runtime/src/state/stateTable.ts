import { type PutOptions, type StateEntry, type StateRecord, byKey } from './VersionedStateStore.ts'

interface Stored {
  readonly text: string
  readonly version: number
  /** Milliseconds since 1970; `null` for never. */
  readonly endsAt: number | null
}

/** A table as plain data, for a file. */
export interface StateTableData {
  readonly newestVersion: number
  readonly namespaces: readonly {
    readonly name: string
    readonly entries: readonly (readonly [key: string, stored: Stored])[]
  }[]
}

/** The documents themselves, in memory: what the memory store and the file store share. */
export interface StateTable {
  get(namespace: string, key: string): StateEntry | undefined
  put(namespace: string, key: string, text: string, options: PutOptions): number | undefined
  delete(namespace: string, key: string, expectedVersion: number | undefined): boolean
  entries(namespace: string): StateEntry[]
  replace(content: ReadonlyMap<string, readonly StateRecord[]>): void
  namespaces(): string[]
  /** A copy that can be changed without changing this one. */
  copy(): StateTable
  data(): StateTableData
}

/** @param now - milliseconds since 1970 */
export function createStateTable(
  now: () => number,
  data: StateTableData = { newestVersion: 0, namespaces: [] },
): StateTable {
  const spaces = new Map(data.namespaces.map(({ name, entries }) => [name, new Map(entries)]))
  let newestVersion = data.newestVersion

  const spaceOf = (namespace: string): Map<string, Stored> => {
    const found = spaces.get(namespace)
    if (found !== undefined) return found
    const made = new Map<string, Stored>()
    spaces.set(namespace, made)
    return made
  }
  const live = (namespace: string, key: string): Stored | undefined => {
    const space = spaces.get(namespace)
    const found = space?.get(key)
    if (found === undefined || found.endsAt === null || found.endsAt > now()) return found
    space?.delete(key)
    return undefined
  }
  const toEntry = (key: string, { text, version, endsAt }: Stored): StateEntry => ({
    key,
    text,
    version,
    remainingMs: endsAt === null ? undefined : endsAt - now(),
  })
  const toStored = (text: string, ttlMs: number | undefined): Stored => ({
    text,
    version: ++newestVersion,
    endsAt: ttlMs === undefined ? null : now() + ttlMs,
  })
  const entries = (namespace: string): StateEntry[] =>
    [...(spaces.get(namespace)?.keys() ?? [])]
      .flatMap((key) => {
        const found = live(namespace, key)
        return found === undefined ? [] : [toEntry(key, found)]
      })
      .sort(byKey)

  return {
    get(namespace, key) {
      const found = live(namespace, key)
      return found === undefined ? undefined : toEntry(key, found)
    },
    put(namespace, key, text, { expectedVersion, ttlMs }) {
      const found = live(namespace, key)
      if (expectedVersion !== undefined && (found?.version ?? 0) !== expectedVersion) return undefined
      const stored = toStored(text, ttlMs)
      spaceOf(namespace).set(key, stored)
      return stored.version
    },
    delete(namespace, key, expectedVersion) {
      const found = live(namespace, key)
      if (found === undefined || (expectedVersion ?? found.version) !== found.version) return false
      return spaceOf(namespace).delete(key)
    },
    entries,
    replace(content) {
      for (const [namespace, records] of content) {
        spaces.set(namespace, new Map(records.map(({ key, text, ttlMs }) => [key, toStored(text, ttlMs)])))
      }
    },
    namespaces: () => [...spaces.keys()].filter((name) => entries(name).length > 0).sort(),
    copy() {
      return createStateTable(now, this.data())
    },
    data: () => ({
      newestVersion,
      namespaces: [...spaces].map(([name, space]) => ({ name, entries: [...space] })),
    }),
  }
}
