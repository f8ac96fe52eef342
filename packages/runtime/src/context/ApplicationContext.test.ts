import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contextOptionsSchema } from '../options.ts'
import { component, createApplicationContext } from './ApplicationContext.ts'
import { planOrder } from './plan.ts'

/** Components that write down what happens to them. */
function recorder() {
  const log: string[] = []
  const part = (name: string, dependsOn: readonly string[] = [], start?: () => Promise<void>) =>
    component({
      dependsOn,
      async start() {
        log.push(`start ${name}`)
        await start?.()
        log.push(`up ${name}`)
        return { name }
      },
      stop(instance) {
        log.push(`stop ${instance.name}`)
      },
    })
  return { log, part }
}
const never = (): Promise<never> => new Promise<never>(() => undefined)

describe('application context', () => {
  it('starts what is needed first, side by side where nothing is, and stops in reverse', async () => {
    const { log, part } = recorder()
    const context = createApplicationContext({
      components: {
        api: part('api', ['database', 'bus']),
        database: part('database'),
        bus: part('bus'),
      },
    })
    await context.start()
    expect(log).toEqual(['start database', 'start bus', 'up database', 'up bus', 'start api', 'up api'])
    expect(context.get('api')).toEqual({ name: 'api' })
    log.length = 0
    await context.close()
    await context.close()
    expect(log).toEqual(['stop api', 'stop bus', 'stop database'])
    expect(context.status().map(({ state }) => state)).toEqual(['stopped', 'stopped', 'stopped'])
  })

  it('hands a component what it depends on, and nothing else', async () => {
    await using context = createApplicationContext({
      components: {
        size: component({ start: () => 20 }),
        double: component({ dependsOn: ['size'], start: ({ get }) => get<number>('size') * 2 }),
      },
    })
    expect(() => context.get('double')).toThrow(expect.objectContaining({ code: 'CONTEXT_NOT_STARTED' }))
    await context.start()
    const double: number = context.get('double')
    expect(double).toBe(40)

    await using greedy = createApplicationContext({
      components: {
        size: component({ start: () => 20 }),
        double: component({ start: ({ get }) => get<number>('size') }),
      },
    })
    await expect(greedy.start()).rejects.toMatchObject({
      code: 'CONTEXT_START_FAILED',
      cause: { code: 'CONTEXT_NOT_STARTED' },
    })
  })

  it('starts what a profile names, with all that needs', async () => {
    const { log, part } = recorder()
    await using context = createApplicationContext({
      components: { a: part('a'), b: part('b', ['a']), c: part('c') },
      profiles: { small: { components: ['b'], startTimeoutMs: 10 } },
      profile: 'small',
    })
    await context.start()
    expect(log.filter((line) => line.startsWith('up'))).toEqual(['up a', 'up b'])
    expect(() => context.get('c')).toThrow('not part of the profile')
  })

  it('knows the three profiles and what they may take', () => {
    const { profiles } = contextOptionsSchema.parse({})
    expect(Object.entries(profiles).map(([name, { startTimeoutMs }]) => [name, startTimeoutMs])).toEqual([
      ['default', 60_000],
      ['backfill', 60_000],
      ['scanner', 30_000],
      ['trading', 45_000],
    ])
    expect(profiles.trading?.components).toEqual(expect.arrayContaining([...profiles.scanner!.components!]))
  })

  it('refuses what can never start before anything starts', () => {
    const { log, part } = recorder()
    expect(() =>
      createApplicationContext({
        components: { a: part('a', ['b']), b: part('b', ['c']), c: part('c', ['a']) },
      }),
    ).toThrow(
      expect.objectContaining({ code: 'CONTEXT_DEPENDENCY_CYCLE', details: { cycle: ['a', 'b', 'c', 'a'] } }),
    )
    expect(() =>
      createApplicationContext({ components: { a: part('a', ['x']), b: part('b', ['y']) } }),
    ).toThrow(
      expect.objectContaining({
        code: 'CONTEXT_COMPONENT_MISSING',
        details: {
          missing: [
            { name: 'x', wantedBy: 'a' },
            { name: 'y', wantedBy: 'b' },
          ],
        },
      }),
    )
    expect(() => createApplicationContext({ components: {}, profile: 'no such' })).toThrow(
      expect.objectContaining({ code: 'CONTEXT_PROFILE_UNKNOWN' }),
    )
    expect(log).toEqual([])
  })

  it('stops what runs when one component fails, and names it', async () => {
    const { log, part } = recorder()
    const context = createApplicationContext({
      components: {
        a: part('a'),
        b: part('b', ['a']),
        bad: part('bad', ['b'], () => Promise.reject(new Error('no route'))),
        after: part('after', ['bad']),
      },
    })
    await expect(context.start()).rejects.toMatchObject({
      code: 'CONTEXT_START_FAILED',
      message: expect.stringContaining('bad did not start: no route'),
      details: { component: 'bad', phase: 'start' },
      cause: { message: 'no route' },
    })
    expect(log.slice(-2)).toEqual(['stop b', 'stop a'])
    expect(log).not.toContain('start after')
    await context.close()
  })

  it('gives up after the time of the profile, and stops a start that comes too late', async () => {
    const clock = createTestClock()
    const { log, part } = recorder()
    const slow = Promise.withResolvers<undefined>()
    const context = createApplicationContext({
      components: { a: part('a'), slow: part('slow', ['a'], () => slow.promise.then(() => undefined)) },
      profile: 'scanner',
      profiles: { scanner: { startTimeoutMs: 30_000 } },
      abortGraceMs: 100,
      clock,
    })
    const starting = expect(context.start()).rejects.toMatchObject({
      code: 'CONTEXT_START_TIMEOUT',
      retryable: true,
      details: { components: ['slow'] },
    })
    await clock.advance(29_999)
    expect(log).toEqual(['start a', 'up a', 'start slow'])
    await clock.advance(200)
    await starting
    expect(log).toEqual(['start a', 'up a', 'start slow', 'stop a'])
    slow.resolve(undefined)
    await clock.advance(0)
    expect(log.slice(-2)).toEqual(['up slow', 'stop slow'])
    expect(clock.sleeping).toBe(0)
  })

  it('tells components still starting, and waits a moment for them', async () => {
    const clock = createTestClock()
    const { log, part } = recorder()
    const context = createApplicationContext({
      components: {
        polite: component({
          start: (_context, { signal }) =>
            new Promise<never>((_resolve, reject) => {
              signal.addEventListener('abort', () => {
                log.push('polite gave up')
                reject(new Error('gave up'))
              })
            }),
        }),
        bad: part('bad', [], () => Promise.reject(new Error('broken'))),
      },
      clock,
    })
    await expect(context.start()).rejects.toMatchObject({ details: { component: 'bad' } })
    expect(log).toContain('polite gave up')
    expect(clock.sleeping).toBe(0)
  })

  it('passes on the reason of the caller’s signal, after stopping everything', async () => {
    const { log, part } = recorder()
    const clock = createTestClock()
    const controller = new AbortController()
    const context = createApplicationContext({
      components: { a: part('a'), hangs: part('hangs', ['a'], never) },
      clock,
      abortGraceMs: 100,
    })
    const starting = expect(context.start({ signal: controller.signal })).rejects.toThrow('changed my mind')
    await clock.advance(1)
    controller.abort(new Error('changed my mind'))
    await clock.advance(100)
    await starting
    expect(log).toEqual(['start a', 'up a', 'start hangs', 'stop a'])
  })

  it('stops everything although some fail or hang, and lists them', async () => {
    const clock = createTestClock()
    const { log, part } = recorder()
    const context = createApplicationContext({
      components: {
        first: part('first'),
        throws: component({
          dependsOn: ['first'],
          start: () => 1,
          stop: () => Promise.reject(new Error('stuck')),
        }),
        hangs: component({ dependsOn: ['throws'], start: () => 1, stop: never }),
      },
      stopTimeoutMs: 500,
      clock,
    })
    await context.start()
    const closing = expect(context.close()).rejects.toMatchObject({
      code: 'CONTEXT_STOP_FAILED',
      details: {
        failures: [
          { component: 'hangs', phase: 'stop', message: 'did not stop within 500 ms' },
          { component: 'throws', phase: 'stop', message: 'stuck' },
        ],
      },
    })
    await clock.advance(500)
    await closing
    expect(log.at(-1)).toBe('stop first')
  })

  it('disposes instances that know how, and can be closed while it starts', async () => {
    const log: string[] = []
    const gate = Promise.withResolvers<undefined>()
    const context = createApplicationContext({
      components: {
        file: component({ start: () => ({ [Symbol.dispose]: () => void log.push('file') }) }),
        server: component({
          dependsOn: ['file'],
          start: async () => {
            await gate.promise
            return { [Symbol.asyncDispose]: async () => void log.push('server') }
          },
        }),
      },
    })
    const starting = expect(context.start()).rejects.toMatchObject({ code: 'CONTEXT_CLOSED' })
    await new Promise(setImmediate)
    const closing = context.close()
    gate.resolve(undefined)
    await closing
    await starting
    expect(log).toEqual(['server', 'file'])
    await expect(context.start()).rejects.toMatchObject({ code: 'CONTEXT_CLOSED' })
  })

  it('orders any acyclic graph so that nothing starts before what it needs', () => {
    const graphs = fc
      .integer({ min: 1, max: 12 })
      .chain((size) =>
        fc.tuple(
          ...Array.from({ length: size }, (_, index) =>
            index === 0 ? fc.constant([]) : fc.uniqueArray(fc.integer({ min: 0, max: index - 1 })),
          ),
        ),
      )
    fc.assert(
      fc.property(graphs, fc.boolean(), (edges, turned) => {
        const entries = edges.map(
          (dependsOn, index) => [`c${index}`, { dependsOn: dependsOn.map((other) => `c${other}`) }] as const,
        )
        const order = planOrder(Object.fromEntries(turned ? entries.toReversed() : entries))
        expect(order.toSorted()).toEqual(entries.map(([name]) => name).sort())
        for (const [name, { dependsOn }] of entries) {
          for (const needed of dependsOn) expect(order.indexOf(needed)).toBeLessThan(order.indexOf(name))
        }
      }),
    )
  })
})
