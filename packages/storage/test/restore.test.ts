import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { barAt, isVarveError } from '@varve/core'
import { storeContext } from '../src/bars/options.ts'
import { restoreHot } from '../src/bars/restore.ts'
import { type BarRetentionPolicy, type BarStore, type LakeFiles, createBarStore } from '../src/index.ts'
import { type TestStore, batchOf, day, engines, openTestStore } from './support.ts'

const SYMBOLS = ['A', 'B', 'C']
const FIRST = 100
const LAST = 160

/** Hot from day `hot` for A, from day 155 for the others. */
function policyOf(hot: number, cold: number | null = null): BarRetentionPolicy {
  return {
    interval: '1d',
    asOf: day(LAST),
    archiveTo: day(155),
    hotFrom: (symbol) => day(symbol === 'A' ? hot : 155),
    coldFrom: () => (cold === null ? null : day(cold)),
  }
}

describe.each(engines)('a symbol that is to be kept hot for longer, on %s', (engine) => {
  let test: TestStore
  let store: BarStore
  /** What a read of the lake waits for, once. */
  let duringRead: (() => Promise<void>) | undefined

  beforeAll(async () => {
    test = await openTestStore(engine)
  })
  afterAll(() => test.close())

  beforeEach(async () => {
    await test.sql.exec(
      'TRUNCATE bars, bars_late, lake_file_series, lake_files, watermarks, series RESTART IDENTITY CASCADE',
    )
    const lake: LakeFiles = {
      ...test.lake,
      async read(...args) {
        const task = duringRead
        duringRead = undefined
        await task?.()
        return test.lake.read(...args)
      },
    }
    duringRead = undefined
    store = createBarStore({ sql: test.sql, lake, chunkSymbols: 2 })
    await load(
      SYMBOLS.flatMap((symbol) =>
        Array.from({ length: LAST - FIRST + 1 }, (_, index) => [symbol, day(FIRST + index), index] as const),
      ),
    )
    await store.retain(policyOf(155))
  })

  const load = async (rows: Parameters<typeof batchOf>[0], to = store) => {
    const staged = await to.stage(batchOf(rows), { hotFrom: () => day(150), initialWatermark: day(150) })
    await test.sql.tx((tx) => to.commit(tx, staged))
  }
  const prices = async (symbol: string, from = 0) => {
    const found = new Map<number, bigint>()
    for await (const batch of store.read({
      interval: '1d',
      symbols: [symbol],
      from: day(from),
      to: day(200),
    })) {
      for (let row = 0; row < batch.length; row++)
        found.set(barAt(batch, row).time / day(1), barAt(batch, row).open)
    }
    return found
  }
  /** Days of A in Postgres, whether reads look there or not. */
  const daysInPostgres = async () => {
    const { rows } = await test.sql.query<{ ts: Date; open: string }>(
      `SELECT b.ts, b.open::text FROM bars b JOIN series s ON s.id = b.series_id WHERE s.symbol = 'A' ORDER BY b.ts`,
    )
    return rows.map((row) => row.ts.getTime() / day(1))
  }

  it('is copied back with its corrections, once, and read without the lake', async () => {
    await load([['A', day(130), 7]])
    expect(await store.retain(policyOf(120))).toMatchObject({
      hotRestored: 35,
      hotDeleted: 0,
      archivedRows: 0,
    })
    expect(await daysInPostgres()).toEqual(Array.from({ length: 41 }, (_, index) => 120 + index))
    const restored = await prices('A')
    expect(restored.size).toBe(61)
    expect(restored.get(130)).toBe(7n)
    expect(await store.retain(policyOf(120))).toMatchObject({ hotRestored: 0, hotDeleted: 0 })
    // The lake still has its rows: what was promoted can go back at once.
    expect(await store.retain(policyOf(155))).toMatchObject({
      hotRestored: 0,
      hotDeleted: 35,
      archivedRows: 0,
    })
    expect(await prices('A')).toEqual(restored)
    await store.retain(policyOf(120))
    for await (const file of test.lake.list()) await test.lake.delete(file.path)
    expect((await prices('A', 120)).size).toBe(41)
    // The control: the others are not hot there, and their files are gone.
    await expect(prices('B', 120)).rejects.toMatchObject({ code: 'LAKE_UNREADABLE' })
  })

  it('takes corrections and new bars after that in both places', async () => {
    await store.retain(policyOf(120))
    await load([
      ['A', day(140), 9],
      ['A', day(119), 8],
    ])
    const after = await prices('A')
    expect([after.get(140), after.get(119)]).toEqual([9n, 8n])
    await store.retain(policyOf(155))
    expect(await prices('A')).toEqual(after)
  })

  it('does not bring back what has expired', async () => {
    await store.retain(policyOf(155, 140))
    expect(await store.retain(policyOf(120, 130))).toMatchObject({ hotRestored: 15, coldExpired: 0 })
    expect([...(await prices('A')).keys()][0]).toBe(140)
    // Loaded again on purpose it is there once.
    await load([['A', day(135), 5]])
    expect([...(await prices('A')).keys()].slice(0, 2)).toEqual([135, 136])
  })

  it('replaces rows a killed retention left in Postgres, which may be outdated', async () => {
    await store.retain(policyOf(120))
    // As if killed after the hot start rose and before its rows were deleted; then a correction of the lake came.
    await test.sql.exec(
      `UPDATE series SET hot_from = '${new Date(day(155)).toISOString()}', revision = revision + 1`,
    )
    await load([['A', day(130), 6]])
    expect(await daysInPostgres()).toHaveLength(41)
    const late = createBarStore({ sql: test.sql, lake: test.lake })
    // Deletion is another step: hold it off, so that the copy meets the leftovers.
    const context = storeContext({ sql: test.sql, lake: test.lake })
    expect(await restoreHot(context, policyOf(125), undefined)).toBe(30)
    expect((await prices('A')).get(130)).toBe(6n)
    await late.retain(policyOf(125))
    expect(await daysInPostgres()).toEqual(Array.from({ length: 36 }, (_, index) => 125 + index))
  })

  it('starts over when a load changes the series between copy and commit', async () => {
    const other = createBarStore({ sql: test.sql, lake: test.lake })
    duringRead = () => load([['A', day(130), 4]], other)
    expect(await store.retain(policyOf(120))).toMatchObject({ hotRestored: 35 })
    expect((await prices('A')).get(130)).toBe(4n)
  })

  it('holds loads off for its last try', async () => {
    const once = createBarStore({ sql: test.sql, lake: test.lake, archiveAttempts: 1 })
    expect(await once.retain(policyOf(120))).toMatchObject({ hotRestored: 35 })
    expect((await prices('A')).size).toBe(61)
  })

  it('changes nothing when the lake cannot be read', async () => {
    const files = []
    for await (const file of test.lake.list()) files.push(file.path)
    for (const path of files) await test.lake.delete(path)
    const fresh = createBarStore({ sql: test.sql, lake: test.lake })
    const failure = await fresh.retain(policyOf(120)).catch((error: unknown) => error)
    expect(isVarveError(failure, 'LAKE_UNREADABLE')).toBe(true)
    expect(await daysInPostgres()).toEqual([155, 156, 157, 158, 159, 160])
  })
})
