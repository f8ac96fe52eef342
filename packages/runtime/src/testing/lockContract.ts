import type { Clock, Lock } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { LockSettings } from '../options.ts'

/** A lock under test with something it protects. */
export interface LockFixture {
  /** A lock as another process would make it. */
  createLock(options: LockSettings & { readonly clock?: Clock }): Lock
  /** Lets this much time pass at the store, milliseconds. */
  pass(ms: number): Promise<void>
  /** Writes what the lock protects, through the fence. */
  write(name: string, token: bigint, value: string): Promise<void>
  /** Writes it past the fence. */
  writeUnguarded(name: string, value: string): Promise<void>
  read(name: string): Promise<string | undefined>
  cleanUp(): Promise<void>
}

const QUICK = { ttlMs: 10_000, heartbeatMs: 1_000, waitMs: 0, pollMs: 5 }
const SHORT = { ttlMs: 60, heartbeatMs: 20, waitMs: 5_000, pollMs: 5 }

/** What every lock and its fence promise. */
export function describeLockContract(name: string, factory: () => Promise<LockFixture>): void {
  describe(`lock contract: ${name}`, () => {
    let fixture: LockFixture
    beforeAll(async () => {
      fixture = await factory()
    })
    afterAll(() => fixture.cleanUp())

    /** A process that stands still: it renews nothing, and for it no time passes. */
    const stoppedProcess = (): Lock => fixture.createLock({ ...SHORT, clock: createTestClock() })

    it('belongs to one at a time, and to the next once released', async () => {
      const [a, b] = [fixture.createLock(QUICK), fixture.createLock(QUICK)]
      const first = await a.acquire('one')
      await expect(b.acquire('one')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT', retryable: true })
      await expect(b.acquire('another')).resolves.toMatchObject({ name: 'another' })
      expect(await first.release()).toBe(true)
      const second = await b.acquire('one')
      expect(await second.release()).toBe(true)
    })

    it('gives every holder a larger token, after a release and after an expiry', async () => {
      const quick = fixture.createLock(QUICK)
      const tokens: bigint[] = []
      for (let turn = 0; turn < 3; turn++) {
        const handle = await quick.acquire('tokens')
        tokens.push(handle.token)
        await handle.release()
      }
      tokens.push((await stoppedProcess().acquire('tokens')).token)
      await using last = await fixture.createLock(SHORT).acquire('tokens')
      tokens.push(last.token)
      expect(tokens.every((token, place) => place === 0 || token > tokens[place - 1]!)).toBe(true)
    })

    it('is never released by somebody who lost it', async () => {
      const stopped = await stoppedProcess().acquire('stolen')
      await using holder = await fixture.createLock(QUICK).acquire('stolen', { waitMs: 5_000 })
      expect(await stopped.release()).toBe(false)
      expect(await stopped.release()).toBe(false)
      await expect(fixture.createLock(QUICK).acquire('stolen')).rejects.toMatchObject({
        code: 'LOCK_TIMEOUT',
      })
      await holder.check()
    })

    it('tells a holder that lost it', async () => {
      const stopped = await stoppedProcess().acquire('told')
      await using _holder = await fixture.createLock(QUICK).acquire('told', { waitMs: 5_000 })
      expect(stopped.signal.aborted).toBe(false)
      await expect(stopped.check()).rejects.toMatchObject({ code: 'LOCK_LOST' })
      expect(stopped.signal.reason).toMatchObject({ code: 'LOCK_LOST' })
      await expect(stopped.check()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    })

    it('lasts beyond its time while its holder lives', async () => {
      const handle = await fixture.createLock({ ...SHORT, ttlMs: 600, heartbeatMs: 50 }).acquire('kept')
      await fixture.pass(800)
      await expect(fixture.createLock(QUICK).acquire('kept')).rejects.toMatchObject({ code: 'LOCK_TIMEOUT' })
      expect(handle.signal.aborted).toBe(false)
      expect(await handle.release()).toBe(true)
      expect(handle.signal.aborted).toBe(false)
      await expect(handle.check()).rejects.toMatchObject({ code: 'LOCK_LOST' })
    })

    it('ends a wait with the reason of the signal, and takes nothing', async () => {
      const holder = await fixture.createLock(QUICK).acquire('waited')
      const controller = new AbortController()
      const waiting = fixture
        .createLock(QUICK)
        .acquire('waited', { waitMs: 60_000, signal: controller.signal })
      controller.abort(new Error('changed my mind'))
      await expect(waiting).rejects.toThrow('changed my mind')
      await holder.release()
      await using _next = await fixture.createLock(QUICK).acquire('waited')
    })

    it('lets a crowd in one by one, with tokens in that order', async () => {
      let inside = 0
      let most = 0
      const tokens: bigint[] = []
      const locks = Array.from({ length: 4 }, () => fixture.createLock({ ...QUICK, waitMs: 30_000 }))
      await Promise.all(
        Array.from({ length: 20 }, async (_, person) => {
          await using handle = await locks[person % locks.length]!.acquire('crowd')
          most = Math.max(most, ++inside)
          tokens.push(handle.token)
          await fixture.pass(1)
          inside--
        }),
      )
      expect(most).toBe(1)
      expect(tokens).toHaveLength(20)
      expect(tokens.every((token, place) => place === 0 || token > tokens[place - 1]!)).toBe(true)
    })

    it('refuses the write of a holder that woke up too late', async () => {
      const stopped = await stoppedProcess().acquire('fenced')
      await fixture.write('fenced', stopped.token, 'before')
      await using holder = await fixture.createLock(QUICK).acquire('fenced', { waitMs: 5_000 })
      await fixture.write('fenced', holder.token, 'of the new holder')
      await expect(fixture.write('fenced', stopped.token, 'of the dead')).rejects.toMatchObject({
        code: 'LOCK_FENCED',
      })
      expect(await fixture.read('fenced')).toBe('of the new holder')
      await fixture.write('fenced', holder.token, 'again')
      expect(await fixture.read('fenced')).toBe('again')
    })

    it('loses the new holder’s write without the fence (control)', async () => {
      const stopped = await stoppedProcess().acquire('naive')
      await using holder = await fixture.createLock(QUICK).acquire('naive', { waitMs: 5_000 })
      await fixture.write('naive', holder.token, 'of the new holder')
      // It believes in its lock: nothing has told it otherwise.
      expect(stopped.signal.aborted).toBe(false)
      await fixture.writeUnguarded('naive', 'of the dead')
      expect(await fixture.read('naive')).toBe('of the dead')
    })

    it('refuses a name it could not keep apart', async () => {
      await expect(fixture.createLock(QUICK).acquire('a b')).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    })
  })
}
