import { type Clock, systemClock } from '@varve/core'
import type { LockStore } from './LockStore.ts'

export interface MemoryLockStoreOptions {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** Locks of one process. They end with it; tokens keep growing across restarts, because they follow the clock. */
export function createMemoryLockStore(options: MemoryLockStoreOptions = {}): LockStore {
  const { clock = systemClock } = options
  const held = new Map<string, { readonly owner: string; readonly token: bigint; endsAt: number }>()
  let newest = 0n

  const current = (
    name: string,
  ): { readonly owner: string; readonly token: bigint; endsAt: number } | undefined => {
    const found = held.get(name)
    if (found === undefined || found.endsAt > clock.monotonicMs()) return found
    held.delete(name)
    return undefined
  }
  const own = (name: string, owner: string): { endsAt: number } | undefined => {
    const found = current(name)
    return found?.owner === owner ? found : undefined
  }

  return {
    tryAcquire(name, owner, ttlMs) {
      const now = clock.monotonicMs()
      const found = current(name)
      if (found?.owner === owner) return Promise.resolve({ granted: true, token: found.token })
      if (found !== undefined) return Promise.resolve({ granted: false, freeInMs: found.endsAt - now })
      const micros = BigInt(Math.floor(clock.now() * 1000))
      newest = micros > newest ? micros : newest + 1n
      held.set(name, { owner, token: newest, endsAt: now + ttlMs })
      return Promise.resolve({ granted: true, token: newest })
    },
    renew(name, owner, ttlMs) {
      const found = own(name, owner)
      if (found !== undefined) found.endsAt = clock.monotonicMs() + ttlMs
      return Promise.resolve(found !== undefined)
    },
    release(name, owner) {
      return Promise.resolve(own(name, owner) !== undefined && held.delete(name))
    },
  }
}
