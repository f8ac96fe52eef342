import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarBatch, BarBatchBuilder, type Layer, dayOf } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { rmSync } from 'node:fs'
import { createAdjustedReader } from '../src/adjust/index.ts'
import { type BarStore, createBarStore } from '../src/index.ts'
import { REPOSITORY_READ_CHANNEL, createBarRepository } from '../src/repositories/index.ts'
import { createBarRouter, createHeldBounds, routedReader } from '../src/routing/index.ts'
import { SIP, type TestStore, day, engines, openTestStore } from './support.ts'

async function symbolsOf(read: AsyncIterable<{ readonly bars: BarBatch }>): Promise<string[]> {
  const found: string[] = []
  for await (const item of read) {
    for (let row = 0; row < item.bars.length; row++)
      found.push(item.bars.symbols[item.bars.symbolIndex[row]!]!)
  }
  return found
}

describe.each(engines)('over a real store on %s', (engine) => {
  let test: TestStore
  let store: BarStore
  const W = day(100)
  beforeAll(async () => {
    test = await openTestStore(engine)
    store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1 })
    const builder = new BarBatchBuilder('1d', SIP)
    for (const symbol of ['A', 'B'])
      for (let at = 60; at < 110; at++) builder.add(symbol, day(at), 5n, 5n, 5n, 5n, 5n)
    const staged = await store.stage(builder.build(), {
      hotFrom: (symbol) => day(symbol === 'A' ? 80 : 100),
      initialWatermark: W,
    })
    await test.sql.tx((tx) => store.commit(tx, staged))
  })
  afterAll(() => test.close())

  const layers: Record<string, Layer> = { A: 3, B: 0 }
  const routerAt = (now: number) =>
    createBarRouter({
      reader: store,
      layerOf: (symbols) => Promise.resolve(symbols.map((symbol) => layers[symbol])),
      hotDays: (layer) => (layer === 3 ? 30 : 10),
      heldBounds: createHeldBounds(test.sql),
      clock: createTestClock(now),
    })
  const ask = async (symbols: string[], from: number, to: number, rest: object = {}) => {
    const read = await routerAt(day(110)).read({
      interval: '1d',
      symbols,
      from: day(from),
      to: day(to),
      ...rest,
    })
    return { rows: (await symbolsOf(read)).length, ...read.label }
  }

  it('reads by the layer of each symbol, every answer whole', async () => {
    expect(await createHeldBounds(test.sql)('1d', ['A'])).toEqual({ hotFrom: day(80), watermark: W })
    expect(await ask(['A'], 85, 110)).toMatchObject({ rows: 25, answered: 'hot', complete: true })
    expect(await ask(['A', 'B'], 85, 110)).toMatchObject({ rows: 50, answered: 'both', complete: true })
    expect(await ask(['B'], 85, 110)).toMatchObject({ rows: 25, answered: 'both', complete: true })
    expect(await ask(['B'], 60, 100)).toMatchObject({ rows: 40, answered: 'cold', complete: true })
    expect(await ask(['A'], 60, 110, { kind: 'analysis' })).toMatchObject({
      answered: 'hot',
      complete: false,
    })
    expect(await ask(['A'], 60, 110, { kind: 'bulk_export' })).toMatchObject({
      answered: 'cold',
      complete: false,
    })
    expect(await ask(['A'], 60, 110, { kind: 'admin' })).toMatchObject({
      rows: 50,
      answered: 'both',
      complete: true,
    })
  })

  it('serves adjusted reads, with a label of every read behind them', async () => {
    const labels: string[] = []
    const adjusted = createAdjustedReader({
      reader: routedReader(
        routerAt(day(110)),
        (label, { interval }) => void labels.push(`${interval} ${label.answered}`),
      ),
      loadActions: () =>
        Promise.resolve([{ kind: 'dividend', symbol: 'A', exDate: dayOf(105), cash: '0.000001' } as const]),
    })
    const asked = { interval: '1d', symbols: ['A'], from: day(85), to: day(110) } as const
    const found: bigint[] = []
    for await (const { bars: batch } of adjusted.read(asked, { asOf: dayOf(120) }))
      found.push(...batch.close.subarray(0, batch.length))
    expect(found).toEqual([...Array<bigint>(20).fill(4n), ...Array<bigint>(5).fill(5n)])
    expect(labels).toEqual(['1d both', '1d hot'])
  })

  it('gives a repository answers that are cached when whole, and tells of each', async () => {
    const kept = new Map<string, unknown>()
    const repository = createBarRepository({
      router: routerAt(day(110)),
      cache: {
        get: (key) => Promise.resolve(kept.get(key)),
        set: (key, value) => Promise.resolve(void kept.set(key, value)),
      },
    })
    const told: object[] = []
    const listen = (message: unknown) => void told.push(message as object)
    subscribe(REPOSITORY_READ_CHANNEL, listen)
    const asked = { interval: '1d', symbols: ['A'], from: day(60), to: day(110) } as const
    expect(await repository.collect(asked)).toMatchObject({ cached: false, label: { complete: true } })
    expect(await repository.collect({ ...asked, signal: new AbortController().signal })).toMatchObject({
      cached: true,
    })
    for (const kind of ['analysis', 'real_time'] as const) await repository.collect({ ...asked, kind })
    expect(await repository.collect({ ...asked, kind: 'analysis' })).toMatchObject({ cached: false })
    unsubscribe(REPOSITORY_READ_CHANNEL, listen)
    expect(kept.size).toBe(1)
    expect(told).toMatchObject([
      { repository: 'bars', answered: 'both', cached: false, failed: false },
      { cached: true },
      { kind: 'analysis', complete: false },
      { kind: 'real_time' },
      { kind: 'analysis' },
    ])
  })

  it('answers from Postgres while the lake is gone, where that is whole', async () => {
    rmSync(test.lakeDirectory, { recursive: true })
    expect(await ask(['A'], 85, 110, { tiers: 'both' })).toMatchObject({ rows: 25, complete: true })
    await expect(ask(['A'], 60, 110)).rejects.toMatchObject({ code: 'LAKE_UNREADABLE' })
    expect(await ask(['A'], 60, 110, { onIncomplete: 'partial' })).toMatchObject({
      rows: 30,
      asked: 'both',
      complete: false,
    })
    expect(await ask(['B'], 60, 100, { onIncomplete: 'partial' })).toMatchObject({
      rows: 0,
      answered: 'hot',
      complete: false,
    })
  })
})
