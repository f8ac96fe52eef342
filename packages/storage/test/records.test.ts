import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DAY_MS, isVarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, WIRE, allRows, openRecordTest } from './recordsSupport.ts'
import { type TestStore, engines } from './support.ts'

const T0 = Date.UTC(2024, 2, 1)
const at = (days: number) => T0 + days * DAY_MS
const text = JSON.stringify

describe.each(engines)('records on %s', (engine) => {
  let test: TestStore
  let store: RecordStore
  const clock = createTestClock(at(10))

  beforeAll(async () => {
    test = await openRecordTest(engine)
    store = createRecordStore({ sql: test.sql, lake: test.lake, clock, pageRows: 3, rowGroupRows: 2 })
  })
  afterAll(() => test.close())

  const article = (id: string, title: string, day = 0) => ({
    symbol: 'AAPL',
    time: at(day),
    values: { article_id: id, title, symbols: ['AAPL', 'a "b", {c}'], extra: { b: [1, null], a: 'ü😀' } },
  })
  const titles = async (more: { knownAt?: number; symbols?: string[] } = {}) =>
    (await allRows(store, { dataset: 'news', ...more })).map((row) => row.values.title)

  it('keeps every version, and tells what was known when', async () => {
    const load = (title: string, day: number) =>
      store.load({ dataset: 'news', source: FEED, recordedAt: at(day), rows: [article('1', title)] })
    expect(await load('first', 1)).toMatchObject({ inserted: 1, updated: 0, unchanged: 0, failed: 0 })
    expect(await load('first', 2)).toMatchObject({ inserted: 0, updated: 0, unchanged: 1 })
    expect(await load('restated', 3)).toMatchObject({ inserted: 0, updated: 1, unchanged: 0 })
    expect(await load('older, late', 0)).toMatchObject({ updated: 1 })
    expect(await titles()).toEqual(['restated'])
    expect(await titles({ knownAt: at(1) })).toEqual(['first'])
    expect(await titles({ knownAt: at(0) })).toEqual(['older, late'])
    expect(await titles({ knownAt: at(0) - 1 })).toEqual([])
    const [row] = await allRows(store, { dataset: 'news' })
    expect(row).toMatchObject({ key: '1', recordedAt: at(3), deleted: false })
    expect(row!.values).toMatchObject({
      symbols: ['AAPL', 'a "b", {c}'],
      extra: { a: 'ü😀', b: [1, null] },
      url: null,
    })
  })

  it('hides what the provider withdrew, from then on', async () => {
    const rows = [{ symbol: 'AAPL', time: at(0), key: '1', deleted: true }]
    expect(await store.load({ dataset: 'news', source: FEED, recordedAt: at(5), rows })).toMatchObject({
      updated: 1,
    })
    expect(await titles()).toEqual([])
    expect(await titles({ knownAt: at(4) })).toEqual(['restated'])
    const versions = await allRows(store, { dataset: 'news', versions: 'all' })
    expect(versions.map((row) => [row.recordedAt, row.deleted, row.values.title])).toEqual([
      [at(0), false, 'older, late'],
      [at(1), false, 'first'],
      [at(3), false, 'restated'],
      [at(5), true, null],
    ])
  })

  it('records two answers of one instant one after the other, and now after all that is stored', async () => {
    const rows = [article('2', 'one', 1), article('2', 'two', 1), article('2', 'two', 1)]
    const batch = { dataset: 'news', source: FEED, recordedAt: at(6), rows } as const
    expect(await store.load(batch)).toMatchObject({ inserted: 1, updated: 1, unchanged: 1, duplicates: 1 })
    expect(await store.load(batch)).toMatchObject({ inserted: 0, updated: 0, unchanged: 3 })
    // The clock stands at day 10; a version recorded later is already there.
    await store.load({ ...batch, recordedAt: at(12), rows: [article('2', 'three', 1)] })
    expect(
      await store.load({ ...batch, recordedAt: undefined, rows: [article('2', 'now', 1)] }),
    ).toMatchObject({ updated: 1 })
    expect(await titles({ symbols: ['AAPL'] })).toEqual(['now'])
  })

  it('refuses rows it cannot hold exactly, and says why', async () => {
    const trade = (values: Record<string, unknown>) => ({ symbol: 'AAPL', time: at(1), values }) as never
    const { failed, errors, inserted } = await store.load({
      dataset: 'trades',
      source: FEED,
      rows: [
        trade({ price: '12.3456789', size: '1', sequence: 1 }),
        trade({ price: 12.5, size: '1', sequence: 2 }),
        trade({ price: '12.5', size: '1', sequence: 3, prize: 'x' }),
        trade({ price: '-1', size: '1', sequence: 4 }),
        trade({ size: '1', sequence: 5 }),
        trade({ price: '1', size: '1', sequence: 6, exchange: 'a\0b' }),
        trade({ price: '1000000000000', size: '1', sequence: 7 }),
        { symbol: 'not a symbol', time: at(1), values: { price: '1', size: '1', sequence: 8 } },
        { symbol: 'A', time: at(1) + 0.5, values: { price: '1', size: '1', sequence: 9 } },
        trade({ price: '12.345678', size: '0.000001', sequence: 10 }),
      ],
    })
    expect([failed, inserted]).toEqual([9, 1])
    expect(errors.map((error) => [error.index, error.rule, error.column])).toEqual([
      [0, 'too_many_decimals', 'price'],
      [1, 'wrong_type', 'price'],
      [2, 'unknown_column', 'prize'],
      [3, 'price_not_positive', undefined],
      [4, 'missing_column', 'price'],
      [5, 'text_not_storable', 'exchange'],
      [6, 'out_of_range', 'price'],
      [7, 'symbol_invalid', undefined],
      [8, 'time_invalid', undefined],
    ])
    const [row] = await allRows(store, { dataset: 'trades' })
    expect(row!.values).toMatchObject({ price: 12_345_678n, size: 1n, sequence: 10, suspicious: null })
  })

  it('holds figures far beyond a price, to the last digit', async () => {
    const figures = {
      assets: '-99999999999999999999.999999999999999999',
      eps_basic: '-0.060000000000000005',
      cash: '00.0',
      equity: '2143545000000.0',
    }
    const key = {
      doc_type: '10-K',
      end_date: '2014-12-31',
      period_focus: 'FY',
      fiscal_year: 2014,
      amend: false,
    }
    const rows = [{ symbol: 'JPM', time: at(0), values: { ...key, ...figures } }]
    await store.load({ dataset: 'filings', source: FEED, rows })
    await store.archive('filings', { before: () => at(100) })
    expect(await store.stats('filings')).toMatchObject({ hotRows: 0, coldRows: 1 })
    const [row] = await allRows(store, { dataset: 'filings' })
    expect(row!.values).toMatchObject({
      assets: figures.assets,
      eps_basic: figures.eps_basic,
      cash: '0',
      equity: '2143545000000',
      end_date: '2014-12-31',
      amend: false,
    })
    expect(await store.load({ dataset: 'filings', source: FEED, rows })).toMatchObject({ unchanged: 1 })
  })

  it('moves rows to the lake and back into one answer, whatever happened to them', async () => {
    const dataset = 'ratings'
    const rating = (symbol: string, day: number, firm: string, target: string) => ({
      symbol,
      time: at(day),
      values: { firm, target_price: target },
    })
    const rows = ['A', 'B', 'C'].flatMap((symbol) =>
      Array.from({ length: 9 }, (_, day) => rating(symbol, day, `f${day % 2}`, `${day + 1}.25`)),
    )
    await store.load({ dataset, source: FEED, recordedAt: at(9), rows })
    await store.load({ dataset, source: WIRE, recordedAt: at(9), rows: rows.slice(0, 2) })
    const before = text(await versionsOf(dataset))
    const plan = {
      archiveBefore: (symbol: string) => (symbol === 'C' ? null : at(5)),
      expireBefore: () => at(1),
      group: (symbol: string) => (symbol === 'A' ? 'layer 3' : 'layer 1'),
    }
    const dry = await store.retain(dataset, { ...plan, dryRun: true })
    expect(text(await versionsOf(dataset))).toBe(before)
    expect((await store.stats(dataset)).coldFiles).toBe(0)
    const done = await store.retain(dataset, plan)
    expect(
      done.groups.map(({ group, symbols, archivedRows, expiredRows }) => ({
        group,
        symbols,
        archivedRows,
        expiredRows,
      })),
    ).toEqual([
      { group: 'layer 1', symbols: 2, archivedRows: 4, expiredRows: 2 },
      { group: 'layer 3', symbols: 1, archivedRows: 5, expiredRows: 2 },
    ])
    expect(dry.groups.map((group) => [group.group, group.archivedRows, group.expiredRows])).toEqual(
      done.groups.map((group) => [group.group, group.archivedRows, group.expiredRows]),
    )
    expect(dry.groups[1]!.reason).toMatch(
      /5 rows would move to the lake: older than 2024-03-06.*2 rows would expire: older than 2024-03-02/,
    )
    expect(done.groups.every((group) => group.archivedBytes > 0)).toBe(true)
    const visible = await versionsOf(dataset)
    expect(visible).toEqual((JSON.parse(before) as string[]).filter((row) => !row.includes(`@${at(0)}`)))
    // A late correction of an archived row lands in Postgres and follows with the next run.
    expect(
      await store.load({
        dataset,
        source: FEED,
        recordedAt: at(10),
        rows: [rating('A', 2, 'f0', '3.250001'), rating('A', 3, 'f1', '4.25')],
      }),
    ).toMatchObject({ updated: 1, unchanged: 1 })
    const corrected = await versionsOf(dataset)
    expect(corrected.length).toBe(visible.length + 1)
    await store.archive(dataset, { before: () => at(5) })
    expect(await versionsOf(dataset)).toEqual(corrected)
    expect(await store.compact(dataset, { force: true })).toMatchObject({ filesBefore: 3, filesAfter: 2 })
    expect(await versionsOf(dataset)).toEqual(corrected)
    expect(await store.sweep({ graceMs: -400 * DAY_MS * 10 })).toMatchObject({ orphans: 0 })
    expect(await versionsOf(dataset)).toEqual(corrected)
    await store.expire(dataset, { before: () => at(3) })
    const left = await versionsOf(dataset)
    await store.compact(dataset, { force: true })
    expect(await versionsOf(dataset)).toEqual(left)
    expect(left.every((row) => Number(/@(\d+)/.exec(row)![1]) >= at(3))).toBe(true)
  })

  it('answers in pages of any size alike', async () => {
    const whole = await allRows(store, { dataset: 'ratings' })
    for (const batchRows of [1, 2, 5, 1000]) {
      const rows = []
      for await (const page of store.read({ dataset: 'ratings', batchRows })) {
        expect(page.rows.length).toBeLessThanOrEqual(batchRows)
        rows.push(...page.rows)
      }
      expect(rows).toEqual(whole)
    }
  })

  it('fails when the lake cannot be read, or answers in part and says so', async () => {
    const { rows } = await test.sql.query<{ path: string }>(
      "SELECT path FROM record_files WHERE dataset = 'ratings' AND removed_at IS NULL",
    )
    for (const { path } of rows) await writeFile(join(test.lakeDirectory, path), 'damaged')
    await expect(allRows(store, { dataset: 'ratings' })).rejects.toMatchObject({ code: 'LAKE_UNREADABLE' })
    const pages = []
    for await (const page of store.read({ dataset: 'ratings', onLakeFailure: 'partial' })) pages.push(page)
    expect(pages.some((page) => page.rows.length > 0)).toBe(true)
    expect(pages.every((page) => page.partial !== undefined)).toBe(true)
    const update = store.load({
      dataset: 'ratings',
      source: FEED,
      rows: [{ symbol: 'A', time: at(3), values: { firm: 'f1' } }],
    })
    await expect(update.catch((error: unknown) => isVarveError(error, 'LAKE_UNREADABLE'))).resolves.toBe(true)
  })

  it('removes what a rule picks from Postgres and the lake', async () => {
    const feature = (day: number, name: string) => ({
      symbol: 'A',
      time: at(day),
      values: { name, version: '1', value: `${day}.5` },
    })
    await store.load({
      dataset: 'features',
      source: FEED,
      rows: [0, 1, 8, 9].flatMap((day) => [feature(day, 'old'), feature(day, 'active')]),
    })
    await store.archive('features', { before: () => at(1) })
    const done = await store.purge('features', { before: at(9), matches: (row) => row.values.name === 'old' })
    expect(done).toEqual({ hotRows: 2, coldRows: 1 })
    expect(
      (await allRows(store, { dataset: 'features' })).map((row) => `${row.values.name}@${row.time}`),
    ).toEqual([`active@${at(0)}`, `active@${at(1)}`, `active@${at(8)}`, `active@${at(9)}`, `old@${at(9)}`])
  })

  it('keeps partitions for what is there and what is to come', async () => {
    await store.prepare('quotes')
    const names = async () =>
      (
        await test.sql.query<{ name: string }>(
          "SELECT inhrelid::regclass::text AS name FROM pg_inherits WHERE inhparent = 'records_quotes'::regclass ORDER BY 1",
        )
      ).rows.map((row) => row.name)
    expect(await names()).toEqual([
      'records_quotes_2024_03_11',
      'records_quotes_2024_03_12',
      'records_quotes_2024_03_13',
    ])
    await store.load({
      dataset: 'quotes',
      source: FEED,
      rows: [{ symbol: 'A', time: at(2), values: { sequence: 1, bid_price: '1.5' } }],
    })
    expect(await names()).toContain('records_quotes_2024_03_03')
    const { partitionsDropped } = await store.archive('quotes', { before: () => at(3) })
    expect(partitionsDropped).toBe(1)
    expect(await names()).not.toContain('records_quotes_2024_03_03')
    expect((await allRows(store, { dataset: 'quotes' })).map((row) => row.values.bid_price)).toEqual([
      1_500_000n,
    ])
  })

  async function versionsOf(dataset: 'ratings'): Promise<string[]> {
    const all = []
    for await (const page of store.read({ dataset, versions: 'all' })) {
      for (const row of page.rows)
        all.push(
          `${page.source.provider} ${row.symbol}@${row.time} ${row.key} ${row.recordedAt} ${row.values.target_price}`,
        )
    }
    return all
  }
})
