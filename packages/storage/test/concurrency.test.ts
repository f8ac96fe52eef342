import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarBatch, barAt, isVarveError } from '@varve/core'
import { type BarStore, createBarStore } from '../src/index.ts'
import { DAY, type TestStore, batchOf, day, engines, openTestStore, seededRandom } from './support.ts'

const SYMBOLS = ['A', 'B', 'C', 'D', 'E', 'F']
const DAYS = 80

describe.each(engines)('loads, retention, compaction and reads at once on %s', (engine) => {
  let test: TestStore
  let store: BarStore

  beforeAll(async () => {
    test = await openTestStore(engine)
    store = createBarStore({
      sql: test.sql,
      lake: test.lake,
      minDeltaRows: 4,
      maxFileRows: 90,
      rowGroupRows: 20,
      chunkSymbols: 2,
      compactSpareFiles: 0,
    })
  })
  afterAll(() => test.close())

  const load = async (batch: BarBatch) => {
    for (let attempt = 0; ; attempt++) {
      const staged = await store.stage(batch, { hotFrom: () => day(120), initialWatermark: day(130) })
      try {
        await test.sql.tx((tx) => store.commit(tx, staged))
        return attempt
      } catch (error) {
        if (!isVarveError(error, 'STORAGE_STAGE_STALE')) throw error
      }
    }
  }

  it('two loaders of the same symbols lose no row, while bars move under them', async () => {
    const rows = SYMBOLS.flatMap((symbol) =>
      Array.from({ length: DAYS }, (_, index) => [symbol, day(100 + index), 100 + index] as const),
    )
    let loading = true
    let retries = 0
    let restored = 0
    const loader = async (seed: number) => {
      const random = seededRandom(seed)
      const own = rows.filter(() => random() < 0.7)
      const mixed = own
        .map((row) => ({ row, key: random() }))
        .sort((a, b) => a.key - b.key)
        .map(({ row }) => row)
      for (let start = 0; start < mixed.length; start += 25)
        retries += await load(batchOf(mixed.slice(start, start + 25)))
      return own
    }
    const mover = async () => {
      const random = seededRandom(9)
      for (let to = 130; loading; to = Math.min(100 + DAYS, to + 3)) {
        const deep = SYMBOLS.filter(() => random() < 0.4)
        const done = await store.retain({
          interval: '1d',
          asOf: day(to),
          archiveTo: day(to),
          hotFrom: (symbol) => day(to - (deep.includes(symbol) ? 40 : 4)),
          coldFrom: () => null,
        })
        restored += done.hotRestored
        await store.compact('1d').catch((error: unknown) => {
          if (!isVarveError(error, 'LAKE_COMPACT_CONFLICT')) throw error
        })
      }
    }
    const reader = async () => {
      let most = 0
      while (loading) {
        let count = 0
        for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity })) {
          const seen = new Set<string>()
          for (let row = 0; row < batch.length; row++) {
            const { symbol, time, open } = barAt(batch, row)
            seen.add(`${symbol}|${time}`)
            if (Number(open) * DAY !== time) throw new Error(`${symbol} at ${time / DAY} has ${open}`)
          }
          if (seen.size !== batch.length) throw new Error('a row twice')
          count += batch.length
        }
        if (count < most) throw new Error(`${count} rows after ${most}`)
        most = count
      }
    }
    const work = Promise.all([loader(1), loader(2), loader(3)]).finally(() => {
      loading = false
    })
    const [own] = await Promise.all([work, mover(), reader()])
    const expected = new Set(own.flat().map(([symbol, time]) => `${symbol}|${time}`))
    const found = new Set<string>()
    for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity })) {
      for (let row = 0; row < batch.length; row++)
        found.add(`${batch.symbols[batch.symbolIndex[row]!]}|${batch.time[row]}`)
    }
    expect([...found].sort()).toEqual([...expected].sort())
    // Without the check of revisions nobody would ever have had to stage again.
    expect(retries).toBeGreaterThan(0)
    expect(restored).toBeGreaterThan(0)
  })
})
