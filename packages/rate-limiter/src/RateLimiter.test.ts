import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { createRateLimiter } from './RateLimiter.ts'
import { rateLimitSchema } from './schema.ts'

const setUp = (windows = [{ limit: 2, windowMs: 1000 }], extra = {}) => {
  const clock = createTestClock()
  const limiter = createRateLimiter({ limits: { a: { windows, marginMs: 0 } }, clock, ...extra })
  return { clock, limiter }
}

describe('rate limiter', () => {
  it('gives at once what fits and the rest when the window frees', async () => {
    const { clock, limiter } = setUp()
    const at: number[] = []
    for (let call = 0; call < 5; call++) void limiter.acquire('a').then(() => at.push(clock.now()))
    await clock.advance(3000)
    expect(at).toEqual([0, 0, 1000, 1000, 2000])
    expect(clock.sleeping).toBe(0)
  })

  it('holds all windows at once and adds the margin', async () => {
    const clock = createTestClock()
    const limiter = createRateLimiter({
      limits: {
        a: {
          windows: [
            { limit: 1, windowMs: 10 },
            { limit: 2, windowMs: 1000 },
          ],
          marginMs: 5,
        },
      },
      clock,
    })
    const at: number[] = []
    for (let call = 0; call < 3; call++) void limiter.acquire('a').then(() => at.push(clock.now()))
    await clock.advance(5000)
    expect(at).toEqual([0, 15, 1005])
  })

  it('serves lower priority numbers first and keeps the order inside one', async () => {
    const { clock, limiter } = setUp([{ limit: 1, windowMs: 100 }])
    const served: string[] = []
    const ask = (name: string, priority: number) =>
      void limiter.acquire('a', { priority }).then(() => served.push(name))
    ask('first', 3)
    for (const [name, priority] of [
      ['c1', 3],
      ['a1', 0],
      ['b1', 1],
      ['a2', 0],
    ] as const)
      ask(name, priority)
    await clock.advance(1000)
    expect(served).toEqual(['first', 'a1', 'a2', 'b1', 'c1'])
  })

  it('ages waiters so that the lowest priority is served under constant pressure', async () => {
    const { clock, limiter } = setUp([{ limit: 1, windowMs: 100 }], { ageingMs: 500 })
    let lowServedAt = -1
    await limiter.acquire('a')
    void limiter.acquire('a', { priority: 3 }).then(() => (lowServedAt = clock.now()))
    for (let turn = 0; turn < 40; turn++) {
      void limiter.acquire('a', { priority: 0 })
      await clock.advance(100)
    }
    expect(lowServedAt).toBeGreaterThan(1000)
    expect(lowServedAt).toBeLessThanOrEqual(1700)
  })

  it('rejects with the reason of an aborted signal and lets the next one through', async () => {
    const { clock, limiter } = setUp([{ limit: 1, windowMs: 100 }])
    await limiter.acquire('a')
    const stop = new AbortController()
    const reason = new Error('no longer wanted')
    const first = limiter.acquire('a', { signal: stop.signal })
    const second = limiter.acquire('a')
    stop.abort(reason)
    await expect(first).rejects.toBe(reason)
    await clock.advance(100)
    await second
    await expect(limiter.acquire('a', { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
  })

  it('leaves no sleep behind when everybody has gone', async () => {
    const { clock, limiter } = setUp([{ limit: 1, windowMs: 100 }])
    await limiter.acquire('a')
    const stop = new AbortController()
    const waits = Array.from({ length: 10_000 }, () =>
      limiter.acquire('a', { signal: stop.signal }).catch(() => 'gone'),
    )
    stop.abort()
    expect(new Set(await Promise.all(waits))).toEqual(new Set(['gone']))
    expect(clock.sleeping).toBe(0)
    expect(limiter.status('a').queued).toBe(0)
  })

  it('refuses more waiters than maxQueue', async () => {
    const { limiter } = setUp([{ limit: 1, windowMs: 100 }], { maxQueue: 1 })
    await limiter.acquire('a')
    const waiting = limiter.acquire('a')
    await expect(limiter.acquire('a')).rejects.toMatchObject({ code: 'QUOTA_QUEUE_FULL', retryable: true })
    await limiter.close()
    await expect(waiting).rejects.toMatchObject({ code: 'QUOTA_CLOSED' })
  })

  it('pauses a key when the server said too many, without shortening a longer pause', async () => {
    const { clock, limiter } = setUp()
    limiter.penalize('a', 5000)
    limiter.penalize('a', 10)
    let at = -1
    void limiter.acquire('a').then(() => (at = clock.now()))
    expect(limiter.tryAcquire('a')).toEqual({ granted: false, waitMs: 5000 })
    await clock.advance(6000)
    expect(at).toBe(5000)
  })

  it('never overtakes waiting callers by tryAcquire', async () => {
    const { limiter } = setUp([{ limit: 2, windowMs: 100 }])
    expect(limiter.tryAcquire('a')).toEqual({ granted: true, waitMs: 0 })
    void limiter.acquire('a', { cost: 2 })
    expect(limiter.tryAcquire('a').granted).toBe(false)
  })

  it('counts the cost of a call and refuses one that could never fit', async () => {
    const { clock, limiter } = setUp([{ limit: 3, windowMs: 100 }])
    await limiter.acquire('a', { cost: 2 })
    let at = -1
    void limiter.acquire('a', { cost: 2 }).then(() => (at = clock.now()))
    await clock.advance(200)
    expect(at).toBe(100)
    await expect(limiter.acquire('a', { cost: 4 })).rejects.toMatchObject({ code: 'QUOTA_OPTIONS_INVALID' })
  })

  it('counts a reporting request until its end and for the window after', async () => {
    const { clock, limiter } = setUp([{ limit: 2, windowMs: 100 }])
    const slow = await limiter.begin('a')
    await limiter.acquire('a')
    let at = -1
    void limiter.begin('a').then(() => (at = clock.now()))
    await clock.advance(99)
    expect(at).toBe(-1)
    await clock.advance(1)
    expect(at).toBe(100)
    let next = -1
    void limiter.acquire('a').then(() => (next = clock.now()))
    expect(limiter.tryAcquire('a')).toEqual({ granted: false, waitMs: Infinity })
    await clock.advance(10_000)
    expect(next).toBe(-1)
    expect(clock.sleeping).toBe(0)
    slow.complete()
    slow.complete()
    await clock.advance(99)
    expect(next).toBe(-1)
    await clock.advance(1)
    expect(next).toBe(10_200)
    expect(limiter.status('a')).toMatchObject({ granted: 4, windows: [{ used: 2 }] })
  })

  it('refuses unknown keys by default and lets them through when told to', async () => {
    const { limiter } = setUp()
    await expect(limiter.acquire('b')).rejects.toMatchObject({ code: 'QUOTA_KEY_UNKNOWN' })
    await createRateLimiter({ limits: {}, unknownKey: 'allow' }).acquire('b')
  })

  it('reports use of every window', async () => {
    const { clock, limiter } = setUp()
    await limiter.acquire('a')
    await clock.advance(400)
    await limiter.acquire('a')
    expect(limiter.status('a')).toEqual({
      key: 'a',
      windows: [{ limit: 2, windowMs: 1000, used: 2, remaining: 0, resetMs: 600 }],
      queued: 0,
      pausedMs: 0,
      granted: 2,
    })
    await clock.advance(600)
    expect(limiter.status('a').windows[0]).toMatchObject({ used: 1, remaining: 1, resetMs: 400 })
  })

  it.each([
    [{ windows: [] }],
    [{ windows: [{ limit: 0, windowMs: 1 }] }],
    [{ windows: [{ limit: 1, windowMs: -1 }] }],
    [{ windows: [{ limit: 1, windowMs: 1 }], marginMs: -1 }],
  ])('refuses limits that mean nothing: %j', (limits) => {
    expect(() => createRateLimiter({ limits: { a: limits } })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
    expect(rateLimitSchema.safeParse({ limits: { a: limits } }).success).toBe(false)
  })
})
