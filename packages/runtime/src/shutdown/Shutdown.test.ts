import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { createTaskRegistry } from '../tasks/TaskRegistry.ts'
import { createShutdown } from './Shutdown.ts'

const never = (): Promise<never> => new Promise<never>(() => undefined)

describe('shutdown', () => {
  it('stops trading, data, system, then the rest, critical tasks first', async () => {
    const clock = createTestClock()
    const shutdown = createShutdown({ clock })
    const order: string[] = []
    const add = (name: string, group: string, critical = false): void => {
      shutdown.add({ name, group, critical, stop: () => clock.sleep(1).then(() => void order.push(name)) })
    }
    add('cache', 'of my own')
    add('metrics', 'system')
    add('writer', 'data')
    add('database', 'data', true)
    add('quotes', 'trading')
    add('orders', 'trading', true)
    shutdown.add({ name: 'gone', group: 'data', stop: never })()
    const result = shutdown.run('test')
    await clock.advance(100)
    expect(order).toEqual(['orders', 'quotes', 'database', 'writer', 'metrics', 'cache'])
    expect(await result).toMatchObject({
      reason: 'test',
      ok: true,
      stopped: order,
      notStopped: [],
      durationMs: 6,
    })
  })

  it('runs once, however often and from wherever it is asked', async () => {
    let stops = 0
    const shutdown = createShutdown()
    const inner: Promise<unknown>[] = []
    shutdown.signal.addEventListener('abort', () => inner.push(shutdown.run('from the signal')))
    shutdown.add({
      name: 'a',
      group: 'data',
      stop() {
        stops++
        inner.push(shutdown.run('from a task'))
      },
    })
    const calls = [shutdown.run('first'), shutdown.run('same instant')]
    const [result] = await Promise.all(calls)
    await shutdown.run('later')
    expect(stops).toBe(1)
    expect(result?.reason).toBe('first')
    expect(await Promise.all([...calls, ...inner])).toEqual([result, result, result, result])
  })

  it('goes on without a task that hangs or fails, and names it', async () => {
    const clock = createTestClock()
    const shutdown = createShutdown({ clock })
    let told = false
    shutdown.add({
      name: 'hangs',
      group: 'data',
      timeoutMs: 200,
      stop: ({ signal }) => {
        signal.addEventListener('abort', () => (told = true))
        return never()
      },
    })
    shutdown.add({
      name: 'fails',
      group: 'data',
      stop: () => {
        throw new Error('disk full')
      },
    })
    shutdown.add({ name: 'good', group: 'system', stop: () => undefined })
    const result = shutdown.run('test')
    await clock.advance(200)
    expect(await result).toMatchObject({
      ok: false,
      stopped: ['good'],
      notStopped: [
        { name: 'fails', group: 'data', why: 'error', message: 'disk full' },
        { name: 'hangs', group: 'data', why: 'timeout' },
      ],
      durationMs: 200,
    })
    expect(told).toBe(true)
    expect(clock.sleeping).toBe(0)
  })

  it('keeps to the time of a task, of a group and of the whole', async () => {
    const clock = createTestClock()
    const shutdown = createShutdown({ clock })
    for (const [name, group, critical] of [
      ['t1', 'trading', true],
      ['t2', 'trading', false],
      ['d1', 'data', true],
      ['s1', 'system', true],
      ['r1', 'rest', true],
    ] as const) {
      shutdown.add({ name, group, critical, stop: never })
    }
    let asked = false
    shutdown.add({ name: 'quick', group: 'rest', stop: () => void (asked = true) })
    const result = shutdown.run('test')
    await clock.advance(100_000)
    const { durationMs, notStopped, stopped } = await result
    // 30 s of t1, 15 s left of trading's 45 for t2, 15 s left of the whole for d1, then last chances of 1 s.
    expect(notStopped.map(({ name, message }) => `${name} ${message}`)).toEqual([
      't1 still running after 30000 ms',
      't2 still running after 15000 ms',
      'd1 still running after 15000 ms',
      's1 still running after 1000 ms',
      'r1 still running after 1000 ms',
    ])
    expect(durationMs).toBe(62_000)
    expect(asked).toBe(true)
    expect(stopped).toEqual(['quick'])
  })

  it('ends at once when forced, naming the rest', async () => {
    const clock = createTestClock()
    const shutdown = createShutdown({ clock })
    shutdown.add({ name: 'slow', group: 'trading', stop: never })
    shutdown.add({ name: 'waiting', group: 'data', stop: never })
    const result = shutdown.run('test')
    await clock.advance(10)
    shutdown.force()
    expect((await result).notStopped).toMatchObject([
      { name: 'slow', why: 'forced' },
      { name: 'waiting', why: 'forced' },
    ])
    expect(clock.sleeping).toBe(0)
  })

  it('stops the tasks of a registry with the others', async () => {
    const clock = createTestClock()
    const tasks = createTaskRegistry({ clock })
    const shutdown = createShutdown({ clock, tasks })
    tasks.run(
      { name: 'poller', group: 'data' },
      (signal) => new Promise((resolve) => signal.addEventListener('abort', () => resolve())),
    )
    tasks.run({ name: 'deaf', group: 'data', critical: true, stopTimeoutMs: 100 }, never)
    const result = shutdown.run('test')
    await clock.advance(100)
    expect(await result).toMatchObject({ stopped: ['poller'], notStopped: [{ name: 'deaf' }] })
  })
})
