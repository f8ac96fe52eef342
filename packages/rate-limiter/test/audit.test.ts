import { systemClock } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { createRateLimiter } from '../src/index.ts'
import { auditSlidingLog } from '../src/testing/index.ts'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

const windows = fc.array(
  fc.record({ limit: fc.integer({ min: 1, max: 12 }), windowMs: fc.integer({ min: 1, max: 400 }) }),
  { minLength: 1, maxLength: 3 },
)
const arrivals = fc.array(
  fc.record({
    gapMs: fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 90 })),
    priority: fc.integer({ min: 0, max: 3 }),
  }),
  { minLength: 1, maxLength: 60 },
)

/** Refills continuously and starts full: the limiter most services use, and not what providers enforce. */
function tokenBucket(limit: number, windowMs: number) {
  let tokens = limit
  let last = 0
  return (now: number): boolean => {
    tokens = Math.min(limit, tokens + ((now - last) * limit) / windowMs)
    last = now
    if (tokens < 1) return false
    tokens--
    return true
  }
}

describe('strict sliding log audit', () => {
  it('finds no violation for any windows and arrivals, and everybody is served', async () => {
    await fc.assert(
      fc.asyncProperty(windows, arrivals, async (limits, calls) => {
        const clock = createTestClock(1_000_000)
        const limiter = createRateLimiter({ limits: { a: { windows: limits, marginMs: 0 } }, clock })
        const granted: number[] = []
        for (const { gapMs, priority } of calls) {
          await clock.advance(gapMs)
          void limiter.acquire('a', { priority }).then(() => granted.push(clock.now()))
        }
        await clock.advance(60 * 400 * 3)
        expect(granted).toHaveLength(calls.length)
        expect(auditSlidingLog(granted, limits).violations).toBe(0)
        expect(clock.sleeping).toBe(0)
      }),
      { numRuns: 150 },
    )
  })

  it('stays clean when the network delays each request by up to the margin', async () => {
    const limits = [
      { limit: 10, windowMs: 100 },
      { limit: 30, windowMs: 500 },
    ]
    const clock = createTestClock()
    const limiter = createRateLimiter({ limits: { a: { windows: limits, marginMs: 45 } }, clock })
    const granted: number[] = []
    for (let call = 0; call < 400; call++) void limiter.acquire('a').then(() => granted.push(clock.now()))
    await clock.advance(20_000)
    expect(granted).toHaveLength(400)
    let state = 7
    const jitter = () => ((state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32) * 45
    for (let round = 0; round < 20; round++) {
      expect(
        auditSlidingLog(
          granted.map((time) => time + jitter()),
          limits,
        ).violations,
      ).toBe(0)
    }
    // Control: the same grants without a margin do break under the same jitter.
    const bare = createRateLimiter({ limits: { a: { windows: limits, marginMs: 0 } }, clock })
    const tight: number[] = []
    for (let call = 0; call < 400; call++) void bare.acquire('a').then(() => tight.push(clock.now()))
    await clock.advance(20_000)
    expect(
      auditSlidingLog(
        tight.map((time) => time + jitter()),
        limits,
      ).violations,
    ).toBeGreaterThan(0)
  })

  it('holds at the server for any delays on the way when requests report their end', async () => {
    const delays = fc.array(
      fc.record({ out: fc.integer({ min: 0, max: 300 }), back: fc.integer({ min: 0, max: 50 }) }),
      {
        minLength: 5,
        maxLength: 50,
      },
    )
    let plainViolations = 0
    await fc.assert(
      fc.asyncProperty(windows, delays, async (limits, calls) => {
        const arrivalsOf = async (reporting: boolean) => {
          const clock = createTestClock(1_000_000)
          const limiter = createRateLimiter({ limits: { a: { windows: limits, marginMs: 0 } }, clock })
          const arrived: number[] = []
          for (const { out, back } of calls) {
            void (async () => {
              const permit = reporting ? await limiter.begin('a') : await limiter.acquire('a')
              await clock.sleep(out)
              arrived.push(clock.now())
              await clock.sleep(back)
              permit?.complete()
            })()
          }
          await clock.advance(60_000)
          expect(arrived).toHaveLength(calls.length)
          return auditSlidingLog(arrived, limits).violations
        }
        expect(await arrivalsOf(true)).toBe(0)
        plainViolations += await arrivalsOf(false)
      }),
      { numRuns: 60 },
    )
    // Control: permits counted when given do break under such delays.
    expect(plainViolations).toBeGreaterThan(0)
  })

  it('catches a token bucket (control)', () => {
    const take = tokenBucket(100, 1000)
    const granted: number[] = []
    for (let now = 0; now < 5000; now += 5) if (take(now)) granted.push(now)
    expect(auditSlidingLog(granted, [{ limit: 100, windowMs: 1000 }]).violations).toBeGreaterThan(0)
  })

  it('holds on the real clock', async () => {
    const limits = [{ limit: 20, windowMs: 200 }]
    await using limiter = createRateLimiter({ limits: { a: { windows: limits, marginMs: 5 } } })
    const granted: number[] = []
    await Promise.all(
      Array.from({ length: 60 }, () =>
        limiter.acquire('a').then(() => granted.push(systemClock.monotonicMs())),
      ),
    )
    expect(auditSlidingLog(granted, limits).violations).toBe(0)
    expect(granted.at(-1)! - granted[0]!).toBeLessThan(1000)
  })
})
