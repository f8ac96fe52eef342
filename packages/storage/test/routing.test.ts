import { describe, expect, it } from 'vitest'
import { type BarBatch, DAY_MS, LAYERS, type Layer, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import type { BarQuery, BarReadBatch } from '../src/index.ts'
import { createColdSlots } from '../src/routing/ColdSlots.ts'
import {
  QUERY_KINDS,
  type RouteDecision,
  type RoutePolicy,
  type RouteQuery,
  type TierBreaker,
  createTierExecutor,
  route,
  routingOptionsSchema,
} from '../src/routing/index.ts'
import { batchOf, day } from './support.ts'

const NOW = day(20_000)
const HOT_DAYS = [7, 14, 30, 90]
const defaults = routingOptionsSchema.parse({})
const policy: RoutePolicy = {
  hotDays: (layer) => (layer === undefined ? 30 : HOT_DAYS[layer]),
  repositories: defaults.repositories,
  kinds: defaults.kinds,
}
const query = (rest: Partial<RouteQuery>): RouteQuery => ({
  repository: 'bars',
  dataType: 'bars',
  interval: '1d',
  from: NOW - 5 * DAY_MS,
  to: NOW,
  layers: [2],
  held: { hotFrom: NOW - 30 * DAY_MS, watermark: NOW - 7 * DAY_MS },
  ...rest,
})

describe('where a query is read', () => {
  it('follows age by the hot days of the layer', () => {
    const ago = (from: number, to: number, layer: Layer) =>
      route(
        query({
          from: NOW - from * DAY_MS,
          to: NOW - to * DAY_MS,
          layers: [layer],
          held: { hotFrom: NOW - HOT_DAYS[layer]! * DAY_MS, watermark: NOW - 7 * DAY_MS },
        }),
        policy,
        NOW,
      ).tiers
    expect(ago(7, 0, 0)).toBe('hot')
    expect(ago(8, 0, 0)).toBe('both')
    expect(ago(20, 7, 0)).toBe('cold')
    expect(ago(90, 60, 3)).toBe('hot')
    expect(ago(91, 60, 3)).toBe('both')
    expect(ago(400, 90, 3)).toBe('cold')
  })

  it('never chooses by age a tier that does not hold the range, as after a promotion', () => {
    const promoted = query({
      from: NOW - 60 * DAY_MS,
      layers: [3],
      held: { hotFrom: NOW - 7 * DAY_MS, watermark: NOW - 7 * DAY_MS },
    })
    expect(route(promoted, policy, NOW)).toMatchObject({ tiers: 'both', rule: 'age', covers: true })
    const unarchived = query({
      from: 0,
      to: NOW - 40 * DAY_MS,
      held: { hotFrom: undefined, watermark: undefined },
    })
    expect(route(unarchived, policy, NOW)).toMatchObject({ tiers: 'both', rule: 'age' })
  })

  it('is overridden by kind, by repository, and by the caller, in rising order', () => {
    const long = { from: 0, to: NOW }
    expect(route(query({ ...long, kind: 'analysis' }), policy, NOW)).toMatchObject({
      tiers: 'hot',
      rule: 'kind',
      covers: false,
    })
    expect(route(query({ ...long, kind: 'bulk_export' }), policy, NOW)).toMatchObject({
      tiers: 'cold',
      rule: 'kind',
    })
    expect(route(query({ ...long, kind: 'admin', repository: 'news' }), policy, NOW)).toMatchObject({
      tiers: 'hot',
      rule: 'repository',
    })
    expect(
      route(query({ ...long, tiers: 'both', kind: 'analysis', repository: 'news' }), policy, NOW),
    ).toMatchObject({ tiers: 'both', rule: 'override' })
    expect(route(query({ ...long, repository: 'constructor' }), policy, NOW).rule).toBe('age')
    const byAge = { ...policy, kinds: routingOptionsSchema.parse({ kinds: { analysis: 'age' } }).kinds }
    expect(route(query({ ...long, kind: 'analysis' }), byAge, NOW)).toMatchObject({
      tiers: 'both',
      rule: 'age',
    })
  })

  it('is decided for every query by exactly one rule, always the same, and without holes by age', () => {
    const at = fc.integer({ min: 0, max: 200 }).map((days) => NOW - days * DAY_MS)
    const any = fc.record({
      repository: fc.constantFrom('bars', 'news', 'toString'),
      dataType: fc.constant('bars' as const),
      interval: fc.constantFrom('1d' as const, '1m' as const, null),
      from: at,
      to: at,
      kind: fc.option(fc.constantFrom(...QUERY_KINDS), { nil: undefined }),
      tiers: fc.option(fc.constantFrom('hot' as const, 'cold' as const, 'both' as const), { nil: undefined }),
      layers: fc.uniqueArray(fc.constantFrom(...LAYERS, undefined), { maxLength: 4 }),
      held: fc.record({
        hotFrom: fc.option(at, { nil: undefined }),
        watermark: fc.option(at, { nil: undefined }),
      }),
    })
    fc.assert(
      fc.property(any, (asked) => {
        const one = route(asked, policy, NOW)
        expect(route(structuredClone(asked), policy, NOW)).toEqual(one)
        const rule =
          asked.tiers !== undefined
            ? 'override'
            : asked.repository === 'news'
              ? 'repository'
              : asked.kind !== undefined
                ? 'kind'
                : 'age'
        expect(one.rule).toBe(rule)
        if (rule !== 'age') return
        expect(one.covers).toBe(true)
        if (asked.from >= asked.to) return
        if (one.tiers === 'hot') expect(asked.from).toBeGreaterThanOrEqual(asked.held.hotFrom!)
        if (one.tiers === 'cold') expect(asked.to).toBeLessThanOrEqual(asked.held.watermark!)
      }),
      { numRuns: 1000 },
    )
  })
})

const bars = (symbol: string, count = 1): BarBatch =>
  batchOf(Array.from({ length: count }, (_, index) => [symbol, day(index), 100] as const))
const RANGE: BarQuery = { interval: '1d', symbols: ['A', 'B'], from: day(0), to: day(10) }
const decision = (tiers: RouteDecision['tiers'], covers = true): RouteDecision => ({
  tiers,
  covers,
  rule: 'age',
  reason: 'so',
})
const lakeError = () => new VarveError('no such file', { code: 'LAKE_UNREADABLE' })
const databaseError = () => new VarveError('no connection', { code: 'DATABASE_UNREACHABLE', retryable: true })
const HOT_HOLDS_ALL = { hotFrom: day(0), watermark: day(0) }
const COLD_HOLDS_ALL = { hotFrom: day(10), watermark: day(10) }
const NEITHER = { hotFrom: day(5), watermark: day(5) }

/** A reader that does what `answer` says for the tiers asked. */
function reader(answer: (asked: BarQuery) => Iterable<BarReadBatch | Error>) {
  const queries: BarQuery[] = []
  return {
    queries,
    async *read(asked: BarQuery) {
      queries.push(asked)
      for (const item of answer(asked)) {
        await Promise.resolve()
        if (item instanceof Error) throw item
        yield item
      }
    },
  }
}

async function symbolsOf(read: AsyncIterable<{ readonly bars: BarBatch }>): Promise<string[]> {
  const found: string[] = []
  for await (const item of read) {
    for (let row = 0; row < item.bars.length; row++)
      found.push(item.bars.symbols[item.bars.symbolIndex[row]!]!)
  }
  return found
}

describe('carrying a decision out', () => {
  it('labels an answer, one without rows too', async () => {
    const executor = createTierExecutor({ reader: reader(() => []) })
    const read = executor.read(RANGE, decision('hot', false), { held: NEITHER })
    expect(await symbolsOf(read)).toEqual([])
    expect(read.label).toMatchObject({ asked: 'hot', answered: 'hot', complete: false })
    expect(read.label.why).toContain('other tiers may hold more')
  })

  it('falls back to Postgres when the lake fails, in full where Postgres holds the range', async () => {
    const source = reader(({ tiers }) => (tiers === 'hot' ? [bars('A'), bars('B')] : [lakeError()]))
    const executor = createTierExecutor({ reader: source })
    const read = executor.read(RANGE, decision('both'), { held: HOT_HOLDS_ALL })
    expect(await symbolsOf(read)).toEqual(['A', 'B'])
    expect(read.label).toMatchObject({ asked: 'both', answered: 'hot', complete: true })
    expect(read.label.why).toContain('no such file')
  })

  it('is an error where the fallback would lack rows, unless the caller takes what there is', async () => {
    const source = reader(({ tiers }) => (tiers === 'hot' ? [bars('A')] : [lakeError()]))
    const executor = createTierExecutor({ reader: source })
    await expect(symbolsOf(executor.read(RANGE, decision('cold'), { held: NEITHER }))).rejects.toThrow(
      'no such file',
    )
    const read = executor.read(RANGE, decision('cold'), { held: NEITHER, onIncomplete: 'partial' })
    expect(await symbolsOf(read)).toEqual(['A'])
    expect(read.label).toMatchObject({ asked: 'cold', answered: 'hot', complete: false })
    const never = createTierExecutor({ reader: source, fallbackToHot: false, onIncomplete: 'partial' })
    await expect(symbolsOf(never.read(RANGE, decision('cold'), { held: HOT_HOLDS_ALL }))).rejects.toThrow(
      'no such file',
    )
  })

  it('passes the label of a partial batch on', async () => {
    const partial = { missing: 'cold' as const, symbols: ['A'], cause: lakeError() }
    const source = reader(() => [{ ...bars('A'), partial }])
    const read = createTierExecutor({ reader: source, onIncomplete: 'partial' }).read(
      RANGE,
      decision('both'),
      { held: NEITHER },
    )
    expect(await symbolsOf(read)).toEqual(['A'])
    expect(source.queries[0]).toMatchObject({ onLakeFailure: 'partial', tiers: 'both' })
    expect(read.label).toMatchObject({ answered: 'both', complete: false })
  })

  it('falls back to the lake when Postgres fails, by a reader that does not need it', async () => {
    const source = reader(() => [databaseError()])
    const lake = reader(() => [bars('A')])
    const executor = createTierExecutor({ reader: source, coldReader: lake })
    const read = executor.read(RANGE, decision('hot'), { held: COLD_HOLDS_ALL })
    expect(await symbolsOf(read)).toEqual(['A'])
    expect(read.label).toMatchObject({ asked: 'hot', answered: 'cold', complete: true })
    const never = createTierExecutor({ reader: source, coldReader: lake, fallbackToCold: false })
    await expect(symbolsOf(never.read(RANGE, decision('hot'), { held: COLD_HOLDS_ALL }))).rejects.toThrow(
      'no connection',
    )
  })

  it('delivers no symbol twice when a tier fails in the middle', async () => {
    const source = reader(({ tiers }) =>
      tiers === 'hot'
        ? [
            batchOf([
              ['A', day(1), 1],
              ['B', day(1), 1],
            ]),
          ]
        : [bars('A', 3), lakeError()],
    )
    const read = createTierExecutor({ reader: source }).read(RANGE, decision('both'), { held: HOT_HOLDS_ALL })
    expect(await symbolsOf(read)).toEqual(['A', 'A', 'A', 'B'])
  })

  it('does not take a fault of the program, or the caller giving up, for an outage', async () => {
    const faulty = createTierExecutor({ reader: reader(() => [new TypeError('x is undefined')]) })
    await expect(symbolsOf(faulty.read(RANGE, decision('both'), { held: HOT_HOLDS_ALL }))).rejects.toThrow(
      TypeError,
    )
    const stop = new AbortController()
    stop.abort(new Error('given up'))
    const executor = createTierExecutor({ reader: reader(() => [bars('A')]) })
    await expect(
      symbolsOf(executor.read({ ...RANGE, signal: stop.signal }, decision('both'), { held: HOT_HOLDS_ALL })),
    ).rejects.toThrow('given up')
    expect(executor.coldSlots.taken).toBe(0)
  })

  it('says so when rows moved to the lake while Postgres was read', async () => {
    const executor = createTierExecutor({ reader: reader(() => [bars('A')]) })
    const read = executor.read(RANGE, decision('hot'), {
      held: HOT_HOLDS_ALL,
      heldAfterwards: () => Promise.resolve(NEITHER),
    })
    await symbolsOf(read)
    expect(read.label).toMatchObject({ complete: false })
  })

  it('leaves a tier alone while its breaker is open, and the other one not', async () => {
    const settled: string[] = []
    const breaker = (name: string, open: boolean): TierBreaker => ({
      enter: () => (open ? undefined : 1),
      settle: (_permit, outcome) => settled.push(`${name} ${outcome}`),
      retryAfterMs: () => 5000,
    })
    const source = reader(({ tiers }) => (tiers === 'both' ? [lakeError()] : [bars('A')]))
    const breakers = { hot: breaker('hot', false), cold: breaker('cold', true) }
    const executor = createTierExecutor({ reader: source, breakers })
    await symbolsOf(executor.read(RANGE, decision('hot'), { held: HOT_HOLDS_ALL }))
    expect(settled.splice(0)).toEqual(['hot success'])
    await expect(
      symbolsOf(executor.read(RANGE, decision('cold'), { held: COLD_HOLDS_ALL })),
    ).rejects.toMatchObject({
      code: 'TIER_UNAVAILABLE',
      details: { tier: 'cold' },
    })
    const read = executor.read(RANGE, decision('both'), { held: HOT_HOLDS_ALL })
    expect(await symbolsOf(read)).toEqual(['A'])
    expect(read.label).toMatchObject({ answered: 'hot', complete: true })
    // The lake was never asked.
    expect(source.queries.map(({ tiers }) => tiers)).toEqual(['hot', 'hot'])
    settled.splice(0)
    const failing = createTierExecutor({
      reader: source,
      breakers: { hot: breaker('hot', false), cold: breaker('cold', false) },
    })
    await symbolsOf(failing.read(RANGE, decision('both'), { held: HOT_HOLDS_ALL }))
    expect(settled).toEqual(['hot neutral', 'cold failure', 'hot success'])
  })
})

describe('limits of cold reads', () => {
  it('hands permits out in order and takes the impatient out of the line', async () => {
    const slots = createColdSlots(2)
    const first = await slots.take()
    await slots.take()
    const got: string[] = []
    const stop = new AbortController()
    const waits = [
      slots.take().then((release) => (got.push('a'), release)),
      slots.take(stop.signal).catch(() => got.push('gone')),
      slots.take().then((release) => (got.push('b'), release)),
    ]
    expect(slots.waiting).toBe(3)
    stop.abort(new Error('enough'))
    first()
    first()
    const next = (await waits[0]) as () => void
    expect(got).toEqual(expect.not.arrayContaining(['b']))
    next()
    await Promise.all(waits)
    expect(got.filter((name) => name !== 'gone')).toEqual(['a', 'b'])
    expect(slots).toMatchObject({ taken: 2, waiting: 0 })
  })

  it('lets five read at once, and Postgres reads pass', async () => {
    let running = 0
    let most = 0
    const gates: (() => void)[] = []
    const executor = createTierExecutor({
      reader: {
        async *read({ tiers }) {
          if (tiers === 'hot') return
          most = Math.max(most, ++running)
          await new Promise<void>((resolve) => gates.push(resolve))
          running--
          yield bars('A')
        },
      },
      clock: createTestClock(),
    })
    const held = COLD_HOLDS_ALL
    const all = Array.from({ length: 12 }, () => symbolsOf(executor.read(RANGE, decision('cold'), { held })))
    for (let turn = 0; turn < 50; turn++) await Promise.resolve()
    expect(executor.coldSlots).toMatchObject({ taken: 5, waiting: 7 })
    await symbolsOf(executor.read(RANGE, decision('hot'), { held: HOT_HOLDS_ALL }))
    while (gates.length > 0) {
      gates.shift()!()
      for (let turn = 0; turn < 50; turn++) await Promise.resolve()
    }
    await Promise.all(all)
    expect(most).toBe(5)
    expect(executor.coldSlots).toMatchObject({ taken: 0, waiting: 0 })
  })

  it('lets as many consumers as there are places begin another read inside their own', async () => {
    const executor = createTierExecutor({
      reader: reader(() => [bars('A')]),
      clock: createTestClock(),
      coldQueries: 2,
    })
    const cold = () => executor.read(RANGE, decision('cold'), { held: COLD_HOLDS_ALL })
    const nested = async () => {
      let rows = 0
      for await (const _outer of cold()) rows += (await symbolsOf(cold())).length
      return rows
    }
    expect(await Promise.all([nested(), nested(), nested()])).toEqual([1, 1, 1])
  })

  it('gives up on a lake that is silent for a minute, tells its reader, and frees the place', async () => {
    const clock = createTestClock()
    let told: AbortSignal | undefined
    const executor = createTierExecutor({
      reader: {
        async *read({ signal }) {
          told = signal
          yield bars('A')
          await new Promise(() => undefined)
        },
      },
      clock,
    })
    const answer = symbolsOf(executor.read(RANGE, decision('cold'), { held: COLD_HOLDS_ALL }))
    const failure = expect(answer).rejects.toMatchObject({ code: 'COLD_QUERY_TIMEOUT', retryable: true })
    await clock.advance(59_999)
    expect(told?.aborted).toBe(false)
    await clock.advance(1)
    await failure
    expect(told?.aborted).toBe(true)
    expect(executor.coldSlots.taken).toBe(0)
    expect(clock.sleeping).toBe(0)
  })
})
