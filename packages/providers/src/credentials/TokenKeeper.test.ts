import { inspect } from 'node:util'
import { Secret, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readJwtTimes } from './jwt.ts'
import { createTokenKeeper, type TokenKeeperOptions } from './TokenKeeper.ts'

const START = Date.UTC(2026, 2, 2)
const jwt = (claims: unknown) =>
  ['{"alg":"none"}', JSON.stringify(claims), 'signature']
    .map((part) => Buffer.from(part).toString('base64url'))
    .join('.')

/** A keeper whose refreshes give tokens of 1,000 s, and what the test may do to them. */
function setUp(options: Partial<TokenKeeperOptions> = {}) {
  const clock = createTestClock(START)
  const world = { calls: 0, running: 0, most: 0, fail: undefined as unknown, lifeMs: 1_000_000, takesMs: 0 }
  const failures: VarveError[] = []
  const keeper = createTokenKeeper({
    provider: 'broker',
    clock,
    onFailure: (error) => failures.push(error),
    refresh: async ({ signal }) => {
      world.calls++
      world.most = Math.max(world.most, ++world.running)
      try {
        if (world.takesMs > 0) await clock.sleep(world.takesMs, { signal })
        if (world.fail !== undefined) throw world.fail
        const exp = (clock.now() + world.lifeMs) / 1000
        return { token: new Secret(jwt({ exp, iat: clock.now() / 1000, n: world.calls })) }
      } finally {
        world.running--
      }
    },
    ...options,
  })
  const serial = (token: Secret) =>
    (JSON.parse(Buffer.from(token.reveal().split('.')[1]!, 'base64url').toString()) as { n: number }).n
  const get = async () => serial(await keeper.get())
  return { keeper, clock, world, failures, get, serial }
}

describe('the times of a token', () => {
  it('are read from its claims, whatever the rest', () => {
    expect(readJwtTimes(jwt({ exp: 1_700_000_000, iat: 1_699_999_000.5 }))).toEqual({
      expiresAt: 1_700_000_000_000,
      issuedAt: 1_699_999_000_500,
    })
  })

  it.each([['opaque'], ['a.b'], ['a.b.c'], ['a.W10.c'], [''], ['..']])('are unknown for %j', (token) => {
    expect(readJwtTimes(token)).toBeUndefined()
  })

  it('are never anything but a possible instant, whatever the claims', () => {
    fc.assert(
      fc.property(fc.anything(), fc.anything(), (exp, iat) => {
        let token: string
        try {
          token = jwt({ exp, iat })
        } catch {
          return
        }
        for (const instant of Object.values(readJwtTimes(token) ?? {}))
          expect(instant === undefined || !Number.isNaN(new Date(instant as number).getTime())).toBe(true)
      }),
      { seed: 4 },
    )
  })
})

describe('a token keeper', () => {
  it('gets a token once for a thousand callers at a time', async () => {
    const { keeper, world, clock } = setUp()
    world.takesMs = 50
    const callers = Array.from({ length: 1000 }, () => keeper.get())
    await clock.advance(50)
    const tokens = new Set((await Promise.all(callers)).map((token) => token.reveal()))
    expect([world.calls, tokens.size]).toEqual([1, 1])
  })

  it('renews in the background at 80 % of its life, and makes callers wait only when it has expired', async () => {
    const { keeper, world, clock, get } = setUp()
    expect(await get()).toBe(1)
    await clock.advance(799_999)
    expect(await get()).toBe(1)
    expect(world.calls).toBe(1)
    world.takesMs = 10
    await clock.advance(1)
    expect(await get()).toBe(1) // still good, and a refresh is under way
    await clock.advance(10)
    expect(await get()).toBe(2)
    await clock.advance(1_000_000)
    const waiting = keeper.get()
    await clock.advance(10)
    await waiting
    expect([world.calls, world.most]).toEqual([3, 1])
  })

  it('never hands out an expired token, for any calls at any time', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 0, max: 400_000 }), { maxLength: 25 }),
        fc.boolean(),
        async (pauses, monitored) => {
          const { keeper, world, clock } = setUp()
          if (monitored) keeper.start()
          for (const pause of pauses) {
            await clock.advance(pause)
            const token = await keeper.get()
            expect(readJwtTimes(token.reveal())!.expiresAt).toBeGreaterThan(clock.now())
          }
          expect(world.most).toBeLessThanOrEqual(1)
          await keeper.close()
        },
      ),
      { numRuns: 60, seed: 8 },
    )
  })

  it('renews by itself while nobody asks, also a token that lives shorter than the monitor sleeps', async () => {
    const { keeper, world, clock } = setUp()
    world.lifeMs = 100_000
    keeper.start()
    await clock.advance(0)
    await clock.advance(160_000)
    expect(world.calls).toBe(3)
    await keeper.close()
    await clock.advance(1_000_000)
    expect(world.calls).toBe(3)
    expect(clock.sleeping).toBe(0)
  })

  it('tries three times, then again 60 s later, and keeps handing out what is still valid', async () => {
    const { keeper, world, clock, get, failures } = setUp()
    keeper.start()
    await clock.advance(0)
    world.fail = new Error('503')
    await clock.advance(800_000)
    await clock.advance(3_000) // pauses of 1 s and 2 s
    expect(world.calls).toBe(1 + 3)
    expect(failures).toMatchObject([{ code: 'TOKEN_REFRESH_FAILED', retryable: true }])
    expect(await get()).toBe(1)
    await clock.advance(59_999)
    expect(world.calls).toBe(4)
    world.fail = undefined
    await clock.advance(1)
    expect(await get()).toBe(5)
    expect(keeper.status()).toMatchObject({ refreshes: 2, failures: 1 })
    await keeper.close()
  })

  it('does not try credentials again that were refused, and fails the next callers at once for a while', async () => {
    const { keeper, world, clock, get } = setUp()
    world.fail = new VarveError('no', { code: 'PROVIDER_AUTH' })
    await expect(keeper.get()).rejects.toMatchObject({
      code: 'TOKEN_REFRESH_FAILED',
      retryable: false,
      details: { attempts: 1, causeCode: 'PROVIDER_AUTH' },
    })
    await expect(keeper.get()).rejects.toMatchObject({ code: 'TOKEN_REFRESH_FAILED' })
    expect(world.calls).toBe(1)
    world.fail = undefined
    await clock.advance(5_000)
    expect(await get()).toBe(2)
  })

  it('gives up on an attempt that never ends, whether or not it heeds its signal', async () => {
    const { keeper, clock } = setUp({ refresh: () => new Promise(() => undefined), attempts: 2 })
    const waiting = expect(keeper.get()).rejects.toThrow(/in 2 attempts: no answer in 10000 ms/)
    await clock.advance(30_000)
    await waiting
  })

  it('refuses a new token that has expired already, and points at the clock', async () => {
    const { keeper, world } = setUp({ attempts: 1 })
    world.lifeMs = -1000
    await expect(keeper.get()).rejects.toThrow(/expired already; compare this machine's clock/)
  })

  it('ends one wait when its caller gives up, and not the refresh of the others', async () => {
    const { keeper, world, clock } = setUp()
    world.takesMs = 50
    const stop = new AbortController()
    const impatient = keeper.get({ signal: stop.signal })
    const patient = keeper.get()
    stop.abort(new Error('enough'))
    await expect(impatient).rejects.toThrow('enough')
    await clock.advance(50)
    await patient
    expect(world.calls).toBe(1)
    await expect(keeper.get({ signal: stop.signal })).rejects.toThrow('enough')
  })

  it('goes on with a token of an earlier run for what is left of its life', async () => {
    const token = new Secret(jwt({ exp: START / 1000 + 100, iat: START / 1000 - 900, n: 0 }))
    const { keeper, get, world } = setUp({ initial: { token } })
    expect(keeper.status()).toMatchObject({ expiresAt: START + 100_000, refreshAt: START - 100_000 })
    expect(await get()).toBe(0)
    expect(world.calls).toBe(1) // past 80 %: renewed at once, in the background
  })

  it('believes a stated end, and gives a token without one the configured life', async () => {
    const stated = setUp({ initial: { token: new Secret('opaque'), expiresAt: START + 10 } })
    expect(stated.keeper.status().expiresAt).toBe(START + 10)
    const unstated = setUp({ initial: { token: new Secret('opaque') }, opaqueLifeMs: 77 })
    expect(unstated.keeper.status().expiresAt).toBe(START + 77)
  })

  it('ends everything when it is closed, once or twice', async () => {
    const { keeper, world, clock } = setUp()
    world.takesMs = 50
    keeper.start()
    const waiting = expect(keeper.get()).rejects.toMatchObject({ code: 'TOKEN_KEEPER_CLOSED' })
    await clock.advance(10)
    await keeper.close()
    await keeper.close()
    await waiting
    expect([clock.sleeping, world.running]).toEqual([0, 0])
    await expect(keeper.get()).rejects.toMatchObject({ code: 'TOKEN_KEEPER_CLOSED' })
  })

  it('shows no token in any message', async () => {
    const old = new Secret(`opaque-canary`)
    const { keeper, failures } = setUp({
      attempts: 1,
      initial: { token: old, expiresAt: START - 1 },
      refresh: () => Promise.reject(new Error(`bad opaque-canary and ${jwt({ sub: 'canary' })}`)),
    })
    await keeper.get().catch(() => undefined)
    expect(failures[0]?.message).toContain('bad [token] and [token]')
    expect(inspect(failures, { depth: 9, showHidden: true })).not.toContain('canary')
  })
})
