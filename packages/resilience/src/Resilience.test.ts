import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import type { ResilienceOptions } from './Resilience.ts'
import { createResilience } from './Resilience.ts'

const failure = (details: Record<string, unknown> = {}, retryable = true) =>
  new VarveError('down', { code: 'DOWN', retryable, details })
const setUp = (options: Partial<ResilienceOptions> = {}) => {
  const clock = createTestClock(1_000_000)
  return { clock, calls: createResilience({ name: 'svc', clock, random: () => 0.999999, ...options }) }
}

describe('retry', () => {
  it('tries again after growing pauses with full jitter and gives up after three attempts', async () => {
    const { clock, calls } = setUp({ breaker: null })
    const at: number[] = []
    const call = calls.execute(() => {
      at.push(clock.now() - 1_000_000)
      return Promise.reject(failure())
    })
    const outcome = expect(call).rejects.toMatchObject({ code: 'DOWN' })
    await clock.advance(20_000)
    await outcome
    expect(at).toEqual([0, 999, 2998])
    expect(clock.sleeping).toBe(0)
  })

  it('does not try again what is not retryable, nor errors it does not know', async () => {
    const { calls } = setUp({ breaker: null })
    let count = 0
    const once = (error: Error) => calls.execute(() => (count++, Promise.reject(error)))
    await expect(once(failure({}, false))).rejects.toMatchObject({ code: 'DOWN' })
    await expect(once(new TypeError('bug'))).rejects.toThrow('bug')
    expect(count).toBe(2)
  })

  it('takes retryAfterMs as a floor and gives up at once when it lies beyond the deadline', async () => {
    const { clock, calls } = setUp({ breaker: null, deadlineMs: 30_000 })
    const at: number[] = []
    const call = calls.execute(({ attempt }) => {
      at.push(clock.now() - 1_000_000)
      return attempt === 1 ? Promise.reject(failure({ retryAfterMs: 5000 })) : Promise.resolve('ok')
    })
    await clock.advance(5000)
    expect(await call).toBe('ok')
    expect(at).toEqual([0, 5000])
    await expect(
      calls.execute(() => Promise.reject(failure({ retryAfterMs: 60_000 }))),
    ).rejects.toMatchObject({
      code: 'DOWN',
    })
  })
})

describe('deadline', () => {
  it('ends a call that hangs, aborting its attempt, and leaves no timer', async () => {
    const { clock, calls } = setUp({ deadlineMs: 500 })
    let seen: AbortSignal | undefined
    const call = calls.execute(({ signal, deadlineAt }) => {
      seen = signal
      expect(deadlineAt).toBe(1_000_500)
      return new Promise(() => undefined)
    })
    const outcome = expect(call).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', retryable: true })
    await clock.advance(500)
    await outcome
    expect(seen?.aborted).toBe(true)
    expect(clock.sleeping).toBe(0)
    expect(await calls.execute(() => Promise.resolve(1))).toBe(1)
    expect(clock.sleeping).toBe(0)
  })

  it('throws the reason of the caller’s signal, in an attempt and in a pause', async () => {
    const { clock, calls } = setUp()
    const reason = new Error('enough')
    for (const work of [() => new Promise(() => undefined), () => Promise.reject(failure())]) {
      const stop = new AbortController()
      const call = calls.execute(work, { signal: stop.signal })
      const outcome = expect(call).rejects.toBe(reason)
      await clock.advance(1)
      stop.abort(reason)
      await outcome
    }
    expect(clock.sleeping).toBe(0)
  })
})

describe('circuit breaker', () => {
  const breaker = { failures: 5, windowMs: 10_000, openMs: 60_000, probes: 2, successes: 3 }
  const fail = (calls: ReturnType<typeof createResilience>, details = {}) =>
    calls.execute(() => Promise.reject(failure(details))).catch((error: VarveError) => error.code)

  it('opens after five failures in the window, refuses, probes and closes after three successes', async () => {
    const { clock, calls } = setUp({ attempts: 1, breaker })
    const changes: unknown[] = []
    const listen = (message: unknown) => changes.push(message)
    subscribe(channelNames.breaker, listen)
    for (let call = 0; call < 5; call++) expect(await fail(calls)).toBe('DOWN')
    expect(calls.state).toBe('open')
    let reached = 0
    await expect(calls.execute(() => Promise.resolve(reached++))).rejects.toMatchObject({
      code: 'CIRCUIT_OPEN',
      details: { retryAfterMs: 60_000 },
    })
    expect(reached).toBe(0)
    await clock.advance(60_000)
    expect(calls.state).toBe('half-open')
    const gate = Promise.withResolvers<number>()
    const many = Array.from({ length: 100 }, () =>
      calls.execute(() => (reached++, gate.promise)).catch((error: VarveError) => error.code),
    )
    await clock.advance(1)
    expect(reached).toBe(2)
    gate.resolve(1)
    const answers = await Promise.all(many)
    expect(answers.filter((answer) => answer === 'CIRCUIT_OPEN')).toHaveLength(98)
    expect(calls.state).toBe('half-open')
    await calls.execute(() => Promise.resolve(1))
    expect(calls.state).toBe('closed')
    unsubscribe(channelNames.breaker, listen)
    expect(changes.map((change) => (change as { to: string }).to)).toEqual(['open', 'half-open', 'closed'])
    expect(await fail(calls)).toBe('DOWN')
    expect(calls.state).toBe('closed')
  })

  it('forgets failures outside the window', async () => {
    const { clock, calls } = setUp({ attempts: 1, breaker })
    for (let call = 0; call < 20; call++) {
      await fail(calls)
      await clock.advance(2600)
    }
    expect(calls.state).toBe('closed')
    for (let call = 0; call < 5; call++) await fail(calls)
    expect(calls.state).toBe('open')
  })

  it('forgets failures further back than the window of calls', async () => {
    const { calls } = setUp({ attempts: 1, breaker: { ...breaker, windowCalls: 100 } })
    for (let call = 0; call < 1000; call++) {
      if (call % 30 === 0) await fail(calls)
      else await calls.execute(() => Promise.resolve(1))
    }
    expect(calls.state).toBe('closed')
    for (let call = 0; call < 100 && calls.state === 'closed'; call++) {
      if (call % 15 === 0) await fail(calls)
      else await calls.execute(() => Promise.resolve(1))
    }
    expect(calls.state).toBe('open')
  })

  it('opens again at the first failed probe', async () => {
    const { clock, calls } = setUp({ attempts: 1, breaker })
    for (let call = 0; call < 5; call++) await fail(calls)
    await clock.advance(60_000)
    expect(await fail(calls)).toBe('DOWN')
    expect(await fail(calls)).toBe('CIRCUIT_OPEN')
  })

  it('leaves out errors that say nothing about health, and frees their probe', async () => {
    const { clock, calls } = setUp({ attempts: 1, breaker })
    for (let call = 0; call < 50; call++) await fail(calls, { countsForBreaker: false })
    expect(calls.state).toBe('closed')
    for (let call = 0; call < 5; call++) await fail(calls)
    await clock.advance(60_000)
    for (let call = 0; call < 10; call++) expect(await fail(calls, { countsForBreaker: false })).toBe('DOWN')
    expect(calls.state).toBe('half-open')
  })

  it('opens at once for an error that says so', async () => {
    const { calls } = setUp({ attempts: 1, breaker })
    await fail(calls, { opensBreaker: true })
    expect(await fail(calls)).toBe('CIRCUIT_OPEN')
  })

  it('ignores the late end of a call begun before the circuit opened', async () => {
    const { clock, calls } = setUp({ attempts: 1, breaker, deadlineMs: 1e9 })
    const slow = Promise.withResolvers<never>()
    const late = calls.execute(() => slow.promise).catch(() => 'late')
    for (let call = 0; call < 5; call++) await fail(calls)
    await clock.advance(60_000)
    await calls.execute(() => Promise.resolve(1))
    slow.reject(failure())
    await late
    expect(calls.state).toBe('half-open')
  })
})

it('refuses options that mean nothing', () => {
  for (const options of [
    { attempts: 0 },
    { deadlineMs: 0 },
    { breaker: { failures: 0 } },
    { initialBackoffMs: -1 },
  ]) {
    expect(() => createResilience({ name: 'x', ...options })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }),
    )
  }
})
