import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarBatch, type BarSource, type Interval, barAt, systemClock } from '@varve/core'
import { type BarStore, createBarStore } from '../src/index.ts'
import { IEX, SIP, type TestStore, batchOf, day, engines, openTestStore } from './support.ts'

const PLAN = { hotFrom: () => day(100), initialWatermark: day(110) }

describe.each(engines)('bar store on %s', (engine) => {
  let test: TestStore
  let store: BarStore

  beforeAll(async () => {
    test = await openTestStore(engine)
    store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 3 })
  })
  afterAll(() => test.close())

  const load = async (batch: BarBatch, plan = PLAN) => {
    const staged = await store.stage(batch, plan)
    return test.sql.tx((tx) => store.commit(tx, staged))
  }
  const all = async (interval: Interval, source?: BarSource | string) => {
    const seen: string[] = []
    for await (const batch of store.read({ interval, from: -Infinity, to: Infinity, source })) {
      for (let row = 0; row < batch.length; row++) {
        const bar = barAt(batch, row)
        seen.push(`${bar.symbol}@${bar.time / 86_400_000}=${bar.open}`)
      }
    }
    return seen
  }

  it('splits a load between Postgres and the lake and reads it back exactly', async () => {
    const rows = ['A', 'B'].flatMap((symbol) =>
      [95, 99, 100, 105, 109, 110, 120].map((d) => [symbol, day(d), d * 10] as const),
    )
    expect(await load(batchOf(rows))).toEqual({
      inserted: 14,
      updated: 0,
      unchanged: 0,
      coldRows: 10,
      versionRows: 0,
      hotRows: 10,
    })
    expect(await all('1d')).toEqual(
      rows.map(([symbol, time, price]) => `${symbol}@${time / 86_400_000}=${price}`),
    )
    expect(await store.stats()).toMatchObject({ hotRows: 10, coldRows: 10, coldFiles: 1 })
  })

  it('writes nothing when the same batch comes again', async () => {
    const rows = ['A', 'B'].flatMap((symbol) =>
      [95, 99, 100, 105, 109, 110, 120].map((d) => [symbol, day(d), d * 10] as const),
    )
    expect(await load(batchOf(rows))).toEqual({
      inserted: 0,
      updated: 0,
      unchanged: 14,
      coldRows: 0,
      hotRows: 0,
      versionRows: 0,
    })
    expect(await store.stats()).toMatchObject({ hotRows: 10, coldRows: 10, coldFiles: 1 })
  })

  it('corrects hot, cold and doubly kept rows, and adds few cold rows without a file', async () => {
    const counts = await load(
      batchOf([
        ['A', day(95), 1],
        ['A', day(105), 2],
        ['A', day(120), 3],
        ['A', day(94), 4],
        ['A', day(121), 5],
      ]),
    )
    expect(counts).toEqual({ inserted: 2, updated: 3, unchanged: 0, versionRows: 3, coldRows: 3, hotRows: 3 })
    expect((await all('1d')).slice(0, 9)).toEqual([
      'A@94=4',
      'A@95=1',
      'A@99=990',
      'A@100=1000',
      'A@105=2',
      'A@109=1090',
      'A@110=1100',
      'A@120=3',
      'A@121=5',
    ])
    expect(await store.stats()).toMatchObject({ hotRows: 11, coldRows: 11, coldFiles: 1 })
  })

  it('retains: archives, flips, deletes and hides, and does nothing the second time', async () => {
    const before = await store.checksums()
    const policy = {
      interval: '1d' as const,
      asOf: day(121),
      archiveTo: day(120),
      hotFrom: () => day(120),
      coldFrom: () => null,
    }
    expect(await store.retain(policy)).toMatchObject({
      archivedRows: 2,
      hotDeleted: 8,
      coldExpired: 0,
      files: 1,
    })
    expect((await store.checksums()).bars).toBe(before.bars)
    expect(await store.retain(policy)).toEqual({
      archivedRows: 0,
      hotDeleted: 0,
      hotRestored: 0,
      coldExpired: 0,
      files: 0,
      bytes: 0,
    })
    expect(await store.stats()).toMatchObject({ hotRows: 3, coldRows: 13, coldFiles: 2 })
    expect(
      await store.retain({ ...policy, coldFrom: (symbol) => (symbol === 'A' ? day(100) : null) }),
    ).toMatchObject({ coldExpired: 3 })
    expect((await all('1d'))[0]).toBe('A@100=1000')
  })

  it('compacts into one file without changing what is read', async () => {
    const before = await all('1d')
    const sums = await store.checksums()
    expect(await store.compact('1d', { force: true })).toMatchObject({
      filesBefore: 2,
      filesAfter: 1,
      rows: 10,
      lateFolded: 3,
      expiredDropped: 3,
    })
    expect(await all('1d')).toEqual(before)
    expect(await store.checksums()).toEqual(sums)
    expect(await store.compact('1d')).toMatchObject({ filesBefore: 0 })
    expect(await store.sweep({ graceMs: -1000 })).toMatchObject({ replaced: 2, orphans: 0 })
    expect(await all('1d')).toEqual(before)
  })

  it('shows expired bars again when they are loaded on purpose', async () => {
    expect(await load(batchOf([['A', day(90), 9]]))).toMatchObject({ inserted: 1 })
    expect((await all('1d'))[0]).toBe('A@90=9')
  })

  it('never splices sources: one series answers, the one with the latest bar', async () => {
    await load(
      batchOf(
        [
          ['A', day(119), 77],
          ['A', day(130), 78],
        ],
        IEX,
      ),
    )
    expect((await all('1d')).filter((text) => text.startsWith('A'))).toEqual(['A@119=77', 'A@130=78'])
    expect((await all('1d', SIP))[0]).toBe('A@90=9')
    expect(await all('1d', 'alpaca')).toEqual(['A@119=77', 'A@130=78'])
  })

  it('summarizes series and times', async () => {
    const summary = await store.seriesSummary('1d', SIP)
    expect(
      summary.map((entry) => [entry.symbol, entry.first / 86_400_000, entry.last / 86_400_000, entry.rows]),
    ).toEqual([
      ['A', 90, 121, 7],
      ['B', 95, 120, 7],
    ])
    const times = await store.sessionsHeld('1d', ['B'])
    expect([...times[0]!.times].map((time) => time / 86_400_000)).toEqual([95, 99, 100, 105, 109, 110, 120])
  })

  it('refuses a stale stage and accepts the batch staged again', async () => {
    const batch = batchOf([['A', day(121), 50]])
    const stale = await store.stage(batch, PLAN)
    await load(batchOf([['A', day(121), 51]]))
    await expect(test.sql.tx((tx) => store.commit(tx, stale))).rejects.toMatchObject({
      code: 'STORAGE_STAGE_STALE',
      retryable: true,
    })
    expect(await load(batch)).toMatchObject({ updated: 1 })
  })

  it('takes a correction for news also where the clock is behind, and keeps what it replaced', async () => {
    const clock = { ...systemClock, now: () => day(1) }
    const behind = createBarStore({ sql: test.sql, lake: test.lake, clock })
    const staged = await behind.stage(batchOf([['A', day(121), 60]]), PLAN)
    expect(await test.sql.tx((tx) => behind.commit(tx, staged))).toMatchObject({ updated: 1, versionRows: 1 })
    expect(await all('1d', SIP)).toContain('A@121=60')
    // The same with a time of its own is history.
    const old = await behind.stage(batchOf([['A', day(121), 61]]), PLAN, { recordedAt: day(2) })
    expect(await test.sql.tx((tx) => behind.commit(tx, old))).toMatchObject({ updated: 0, versionRows: 1 })
    expect(await all('1d', SIP)).toContain('A@121=60')
  })

  it('names a lake file that cannot be read', async () => {
    const files = []
    for await (const file of test.lake.list()) files.push(file.path)
    const path = files[0]!
    const size = (await test.lake.size(path))!
    const content = await test.lake.read(path, 0, size)
    await test.lake.delete(path)
    const fresh = createBarStore({ sql: test.sql, lake: test.lake })
    const read = async () => {
      for await (const batch of fresh.read({ interval: '1d', from: 0, to: day(200) })) void batch
    }
    await expect(read()).rejects.toMatchObject({ code: 'LAKE_UNREADABLE', details: { path } })
    const damaged = content.slice()
    damaged[60] = damaged[60]! ^ 1
    await test.lake.write(path, damaged)
    await expect(read()).rejects.toMatchObject({ code: 'LAKE_UNREADABLE' })
    expect((await fresh.verify()).problems).toMatchObject([{ path }])
    await test.lake.write(path, content)
    await read()
    expect((await fresh.verify()).problems).toEqual([])
  })
})
