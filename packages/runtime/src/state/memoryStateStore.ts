import { type Clock, systemClock } from '@varve/core'
import { createStateTable } from './stateTable.ts'
import type { VersionedStateStore } from './VersionedStateStore.ts'

export interface MemoryStateStoreOptions {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** Documents of one process; they end with it. */
export function createMemoryStateStore(options: MemoryStateStoreOptions = {}): VersionedStateStore {
  const { clock = systemClock } = options
  const table = createStateTable(() => clock.now())
  const close = (): Promise<void> => Promise.resolve()
  return {
    get: async (namespace, key) => table.get(namespace, key),
    put: async (namespace, key, text, put = {}) => table.put(namespace, key, text, put),
    delete: async (namespace, key, { expectedVersion } = {}) => table.delete(namespace, key, expectedVersion),
    snapshot: async (namespaces) => new Map(namespaces.map((name) => [name, table.entries(name)])),
    replace: async (content) => table.replace(content),
    namespaces: async () => table.namespaces(),
    close,
    [Symbol.asyncDispose]: close,
  }
}
