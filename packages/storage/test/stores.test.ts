import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Listing } from '@varve/core'
import {
  type CoverageEntry,
  type DetectedGap,
  type QuarantineRow,
  createBarStore,
  createCompanyStore,
  createCoverageStore,
  createGapStore,
  createQuarantineStore,
} from '../src/index.ts'
import { IEX, SIP, type TestStore, engines, openTestStore } from './support.ts'

describe.each(engines)('stores on %s', (engine) => {
  let test: TestStore

  beforeAll(async () => {
    test = await openTestStore(engine)
  })
  afterAll(() => test.close())

  describe('companies', () => {
    const companies = createCompanyStore()
    const listing = (symbol: string, more: Partial<Listing> = {}): Listing => ({
      symbol,
      name: `${symbol} Inc`,
      exchange: 'XNYS',
      type: 'CS',
      active: true,
      marketCap: 3_000_000_000_000_123_456n,
      listedOn: '1980-12-12',
      delistedOn: null,
      ...more,
    })

    it('adds and changes listings, keeps what a source does not say, and touches nothing else', async () => {
      const first = ['BRK.B', 'KIMpL', 'A', 'a'].map((symbol) => listing(symbol))
      expect(await test.sql.tx((tx) => companies.upsertListings(tx, first))).toEqual({ added: 4, changed: 0 })
      expect(await test.sql.tx((tx) => companies.upsertListings(tx, first))).toEqual({ added: 0, changed: 0 })
      const next = [
        listing('A', { name: 'Agilent', marketCap: null, exchange: null }),
        listing('Z', { active: false, delistedOn: '2015-01-02' }),
      ]
      expect(await test.sql.tx((tx) => companies.upsertListings(tx, next))).toEqual({ added: 1, changed: 1 })
      expect(
        await test.sql.tx((tx) => companies.upsertListings(tx, [listing('Z', { active: false })])),
      ).toEqual({ added: 0, changed: 0 })
      const loaded = await companies.load(test.sql)
      expect(loaded.map((company) => company.symbol)).toEqual(['A', 'BRK.B', 'KIMpL', 'Z', 'a'])
      expect(loaded[0]).toMatchObject({
        name: 'Agilent',
        exchange: 'XNYS',
        marketCap: 3_000_000_000_000_123_456n,
        layer: null,
        active: true,
      })
      expect(loaded[3]).toMatchObject({ active: false, delistedOn: '2015-01-02' })
      await test.sql.tx((tx) => companies.upsertListings(tx, [listing('Z')]))
      expect((await companies.load(test.sql, ['Z', 'nobody']))[0]).toMatchObject({
        active: true,
        delistedOn: null,
      })
    })

    it('keeps market caps beyond the range of prices', async () => {
      const huge = 123_456_789_012_345_678_901_234n
      await test.sql.tx((tx) => companies.upsertListings(tx, [listing('a', { marketCap: huge })]))
      expect((await companies.load(test.sql, ['a']))[0]!.marketCap).toBe(huge)
    })

    it('writes layers as flags and stamps only flags that changed', async () => {
      const update = (symbol: string, layer: 0 | 1 | 2 | 3 | null, evaluatedOn: string) => ({
        symbol,
        layer,
        liquidityScore: 7.1234,
        layerSince: evaluatedOn,
        evaluatedOn,
        reasons: { price: true },
      })
      await test.sql.tx((tx) =>
        companies.applyUpdates(tx, [update('BRK.B', 2, '2015-06-01'), update('A', 0, '2015-06-01')]),
      )
      await test.sql.tx((tx) =>
        companies.applyUpdates(tx, [update('BRK.B', 1, '2015-06-02'), update('A', null, '2015-06-02')]),
      )
      const { rows } = await test.sql.query(
        `SELECT symbol, layer0_qualified l0, layer1_qualified l1, layer2_qualified l2, layer3_qualified l3,
           layer0_updated u0, layer1_updated u1, layer2_updated u2, layer3_updated u3 FROM companies WHERE symbol IN ('A', 'BRK.B') ORDER BY symbol`,
      )
      expect(rows).toEqual([
        {
          symbol: 'A',
          l0: false,
          l1: false,
          l2: false,
          l3: false,
          u0: '2015-06-02',
          u1: null,
          u2: null,
          u3: null,
        },
        {
          symbol: 'BRK.B',
          l0: true,
          l1: true,
          l2: false,
          l3: false,
          u0: '2015-06-01',
          u1: '2015-06-01',
          u2: '2015-06-02',
          u3: null,
        },
      ])
      expect((await companies.load(test.sql, ['BRK.B']))[0]).toMatchObject({
        layer: 1,
        liquidityScore: 7.1234,
        layerSince: '2015-06-02',
        evaluatedOn: '2015-06-02',
        reasons: { price: true },
      })
      expect(await companies.countByLayer(test.sql)).toEqual({ 0: 1, 1: 1, 2: 0, 3: 0 })
    })
  })

  describe('coverage', () => {
    const coverage = createCoverageStore()
    const entry = (
      symbol: string,
      from: string,
      to: string,
      more: Partial<CoverageEntry> = {},
    ): CoverageEntry => ({
      symbol,
      dataType: 'bars',
      interval: '1d',
      source: 'polygon',
      from,
      to,
      state: 'complete',
      rows: 5,
      fetchedAt: 1_000,
      proof: null,
      ...more,
    })
    const ranges = async (symbols?: string[]) =>
      (await coverage.load(test.sql, { dataType: 'bars', interval: '1d', symbols })).map(
        (e) => `${e.symbol} ${e.from}..${e.to} ${e.state}`,
      )

    it('merges ranges, and recording again changes nothing', async () => {
      const entries = [
        entry('A', '2015-01-01', '2015-01-31'),
        entry('A', '2015-02-01', '2015-02-28', { proof: { by: 'request 2' }, fetchedAt: 2_000 }),
        entry('B', '2015-01-01', '2015-01-10', { state: 'partial' }),
      ]
      for (let time = 0; time < 2; time++) {
        await test.sql.tx((tx) => coverage.record(tx, entries))
        expect(await ranges()).toEqual([
          'A 2015-01-01..2015-02-28 complete',
          'B 2015-01-01..2015-01-10 partial',
        ])
      }
      await test.sql.tx((tx) => coverage.record(tx, [entry('B', '2015-01-05', '2015-01-20')]))
      expect(await ranges(['B'])).toEqual([
        'B 2015-01-01..2015-01-04 partial',
        'B 2015-01-05..2015-01-20 complete',
      ])
      expect(await coverage.load(test.sql, { dataType: 'news', interval: null })).toEqual([])
    })

    it('forgets what lies before a date', async () => {
      await test.sql.tx((tx) =>
        coverage.trim(tx, [
          { symbol: 'B', dataType: 'bars', interval: '1d', source: 'polygon', before: '2015-01-08' },
        ]),
      )
      expect(await ranges()).toEqual([
        'A 2015-01-01..2015-02-28 complete',
        'B 2015-01-08..2015-01-20 complete',
      ])
    })
  })

  describe('quarantine', () => {
    const quarantine = createQuarantineStore()
    const row = (symbol: string, more: Partial<QuarantineRow> = {}): QuarantineRow => ({
      symbol,
      dataType: 'bars',
      interval: '1d',
      time: Date.UTC(2014, 4, 19),
      session: '2014-05-19',
      rule: 'high_below_low',
      severity: 'error',
      message: 'high 1 is below low 2',
      origin: 'bars.csv#17',
      raw: { open: '1.10', note: "O'Neil\n" },
      open: 1_100_000n,
      high: 1_000_000n,
      low: 2_000_000n,
      close: null,
      volume: 0n,
      source: SIP,
      detectedAt: 5,
      ...more,
    })

    it('keeps each row once and gives it back whole', async () => {
      const rows = [
        row('A'),
        row('A', { origin: 'bars.csv#18' }),
        row('B', { time: null, session: null, severity: 'warning', source: null, interval: null }),
      ]
      expect(await test.sql.tx((tx) => quarantine.record(tx, [...rows, rows[0]!]))).toEqual({ inserted: 3 })
      expect(
        await test.sql.tx((tx) =>
          quarantine.record(
            tx,
            rows.map((r) => ({ ...r, detectedAt: 99 })),
          ),
        ),
      ).toEqual({ inserted: 0 })
      expect(await quarantine.load(test.sql)).toEqual(rows)
      expect(await quarantine.load(test.sql, { symbols: ['A'], rule: 'high_below_low', limit: 1 })).toEqual([
        rows[0],
      ])
      expect(await quarantine.counts(test.sql)).toEqual([
        { rule: 'high_below_low', severity: 'error', count: 2 },
        { rule: 'high_below_low', severity: 'warning', count: 1 },
      ])
    })

    it('names suspect sessions once, for rows that were kept out', async () => {
      await test.sql.tx((tx) =>
        quarantine.record(tx, [
          row('A', { session: '2014-01-02' }),
          row('A', { session: '2014-01-03', severity: 'warning' }),
        ]),
      )
      expect([...(await quarantine.suspectSessions(test.sql, '1d'))]).toEqual([
        ['A', ['2014-01-02', '2014-05-19']],
      ])
      expect([...(await quarantine.suspectSessions(test.sql, '1d', ['B']))]).toEqual([])
    })
  })

  describe('gaps', () => {
    const gaps = createGapStore()
    const gap = (symbol: string, session: string, source = SIP): DetectedGap => ({
      symbol,
      dataType: 'bars',
      interval: '1d',
      source,
      session,
      detectedOn: '2015-06-30',
    })

    it('opens a gap once, heals it, and opens it anew when it is back', async () => {
      const found = [gap('A', '2015-06-01'), gap('A', '2015-06-02'), gap('A', '2015-06-01', IEX)]
      const record = (list: DetectedGap[]) => test.sql.tx((tx) => gaps.recordDetected(tx, list))
      expect(new Set((await record(found)).new)).toEqual(new Set(found))
      expect((await record(found)).new).toEqual([])
      expect(
        await test.sql.tx((tx) => gaps.resolve(tx, [found[0]!], { state: 'open', on: '2015-07-01' })),
      ).toEqual({ changed: 1 })
      expect(
        await test.sql.tx((tx) => gaps.resolve(tx, [found[0]!], { state: 'healed', on: '2015-07-01' })),
      ).toEqual({ changed: 1 })
      expect(
        await test.sql.tx((tx) =>
          gaps.resolve(tx, [found[1]!], { state: 'empty_confirmed', on: '2015-07-01' }),
        ),
      ).toEqual({ changed: 1 })
      expect((await gaps.load(test.sql, { states: ['healed'] }))[0]).toMatchObject({
        attempts: 2,
        resolvedOn: '2015-07-01',
        source: SIP,
      })
      expect(await gaps.counts(test.sql)).toEqual({ open: 1, healed: 1, empty_confirmed: 1 })
      expect((await record(found)).new).toEqual([found[0]])
      expect(await gaps.counts(test.sql)).toEqual({ open: 2, healed: 0, empty_confirmed: 1 })
    })
  })

  it('hashes content, not row ids or times of recording', async () => {
    const other = await openTestStore(engine)
    try {
      const quarantine = createQuarantineStore()
      const rows = await quarantine.load(test.sql)
      await other.sql.tx((tx) =>
        quarantine.record(tx, rows.map((row) => ({ ...row, detectedAt: 7 })).reverse()),
      )
      const [a, b] = [await createBarStore(test).checksums(), await createBarStore(other).checksums()]
      expect(b.quarantine).toBe(a.quarantine)
      expect(b.companies).not.toBe(a.companies)
      expect(b.gaps).not.toBe(a.gaps)
    } finally {
      await other.close()
    }
  })
})
