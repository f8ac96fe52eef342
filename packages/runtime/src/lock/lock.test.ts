import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { LockStore } from './LockStore.ts'
import { createLock } from './createLock.ts'
import { createMemoryLockStore } from './memoryLockStore.ts'

describe('a lock whose store fails', () => {
  /** A memory store that can be made to fail or hang. */
  const setUp = () => {
    const clock = createTestClock()
    const inner = createMemoryLockStore({ clock })
    const state = { mode: 'works' as 'works' | 'fails' | 'hangs', releases: 0 }
    const through = <T>(call: () => Promise<T>): Promise<T> => {
      if (state.mode === 'fails') return Promise.reject(new Error('connection refused'))
      return state.mode === 'hangs' ? new Promise(() => undefined) : call()
    }
    const store: LockStore = {
      tryAcquire: (...given) => through(() => inner.tryAcquire(...given)),
      renew: (...given) => through(() => inner.renew(...given)),
      release: (...given) => {
        state.releases++
        return through(() => inner.release(...given))
      },
    }
    return { clock, inner, state, store, lock: createLock({ store, clock }) }
  }

  it('survives an outage shorter than its time', async () => {
    const { clock, state, lock } = setUp()
    const handle = await lock.acquire('a')
    state.mode = 'fails'
    await clock.advance(25_000)
    state.mode = 'works'
    await clock.advance(60_000)
    expect(handle.signal.aborted).toBe(false)
    expect(await handle.release()).toBe(true)
    expect(clock.sleeping).toBe(0)
  })

  it.each(['fails', 'hangs'] as const)('is given up when the store %s for longer', async (mode) => {
    const { clock, state, lock } = setUp()
    const handle = await lock.acquire('a')
    state.mode = mode
    await clock.advance(29_999)
    expect(handle.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(handle.signal.reason).toMatchObject({ code: 'LOCK_LOST' })
    await expect(handle.check()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    expect(clock.sleeping).toBe(0)
  })

  it('says so inside its own limit, however long the store hangs', async () => {
    const { clock, state, lock } = setUp()
    state.mode = 'hangs'
    const acquiring = expect(lock.acquire('a', { waitMs: 60_000 })).rejects.toMatchObject({
      code: 'LOCK_STORE_UNAVAILABLE',
      retryable: true,
    })
    await clock.advance(5_000)
    await acquiring
  })

  it('gives back a lock whose answer came too late', async () => {
    const { clock, inner, store, state } = setUp()
    const answer = Promise.withResolvers<undefined>()
    const slow: LockStore = {
      ...store,
      tryAcquire: async (...given) => {
        const granted = await inner.tryAcquire(...given)
        await answer.promise
        return granted
      },
    }
    const acquiring = expect(createLock({ store: slow, clock }).acquire('a')).rejects.toMatchObject({
      code: 'LOCK_STORE_UNAVAILABLE',
    })
    await clock.advance(5_000)
    await acquiring
    answer.resolve(undefined)
    await clock.advance(0)
    expect(state.releases).toBe(1)
    expect((await inner.tryAcquire('a', 'next', 1_000)).granted).toBe(true)
  })

  it('ends its scope quietly when it cannot be given back', async () => {
    const { clock, state, lock } = setUp()
    await (async () => {
      await using _handle = await lock.acquire('a')
      state.mode = 'fails'
    })()
    expect(clock.sleeping).toBe(0)
    const handle = setUp()
    const kept = await handle.lock.acquire('b')
    handle.state.mode = 'fails'
    await expect(kept.release()).rejects.toMatchObject({ code: 'LOCK_STORE_UNAVAILABLE' })
  })

  it('wants to be renewed before it ends', () => {
    const store = createMemoryLockStore()
    expect(() => createLock({ store, ttlMs: 100, heartbeatMs: 100 })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
  })
})

describe('the memory lock store', () => {
  it('follows the rules in any order of events', async () => {
    const owner = fc.integer({ min: 0, max: 3 })
    const step = fc.oneof(
      fc.record({ kind: fc.constant('acquire' as const), owner, ttlMs: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ kind: fc.constant('renew' as const), owner, ttlMs: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ kind: fc.constant('release' as const), owner, ttlMs: fc.constant(0) }),
      fc.record({ kind: fc.constant('pass' as const), owner, ttlMs: fc.integer({ min: 1, max: 60 }) }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const clock = createTestClock()
        const store = createMemoryLockStore({ clock })
        // The rule itself: at most one holder, until released or until its time is up.
        let holder: { readonly id: string; endsAt: number; readonly token: bigint } | undefined
        let newest = 0n
        const runs = [0, 0, 0, 0]
        for (const { kind, owner: who, ttlMs } of steps) {
          if (holder !== undefined && holder.endsAt <= clock.now()) holder = undefined
          // A name for one acquisition: who let go comes back under another.
          const id = `${who}.${runs[who]!}`
          if (kind === 'pass') await clock.advance(ttlMs)
          else if (kind === 'acquire') {
            const answer = await store.tryAcquire('name', id, ttlMs)
            expect(answer.granted).toBe(holder === undefined || holder.id === id)
            if (!answer.granted) expect(answer.freeInMs).toBe(holder!.endsAt - clock.now())
            else if (holder === undefined) {
              expect(answer.token).toBeGreaterThan(newest)
              newest = answer.token
              holder = { id, endsAt: clock.now() + ttlMs, token: newest }
            } else expect(answer.token).toBe(holder.token)
          } else if (kind === 'renew') {
            const renewed = await store.renew('name', id, ttlMs)
            expect(renewed).toBe(holder?.id === id)
            if (renewed) holder!.endsAt = clock.now() + ttlMs
          } else {
            expect(await store.release('name', id)).toBe(holder?.id === id)
            if (holder?.id === id) holder = undefined
            runs[who]!++
          }
        }
      }),
    )
  })
})
