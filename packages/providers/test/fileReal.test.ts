import { join } from 'node:path'
import { formatScaled } from '@varve/core'
import type { RejectedRow } from '../src/index.ts'
import { createFileProvider } from '../src/index.ts'
import { describe, expect, it } from 'vitest'
import { calendar, rowsOf } from './support.ts'

const root = process.env['VARVE_TEST_DATA'] ?? ''
const provide = (file: string, interval: '1d' | '1h' | '1m' = '1d') =>
  createFileProvider({ files: [join(root, file)], calendar, interval })

describe.skipIf(root === '')('real files (needs VARVE_TEST_DATA)', () => {
  it('reads the demo set: every row accounted for, null prices rejected', async () => {
    await using provider = provide('demo/sp500_daily_2013_2018.parquet')
    let rows = 0
    let last: { rowsDone: number; rowsTotal: number | null } | undefined
    const rejected: RejectedRow[] = []
    for await (const chunk of provider.scan({ chunkRows: 20_000 })) {
      expect(chunk.batch.length).toBeLessThanOrEqual(20_000)
      rows += chunk.batch.length
      rejected.push(...chunk.rejected)
      last = chunk
    }
    expect(last).toMatchObject({ rowsDone: 619_040, rowsTotal: 619_040 })
    expect(rows).toBe(619_029)
    expect(rejected).toHaveLength(11)
    expect(rejected.every(({ rule }) => rule === 'null_price')).toBe(true)
    expect(rejected.filter(({ raw }) => raw['high'] === null && raw['low'] === null)).toHaveLength(8)
    expect(await provider.summary()).toEqual({
      rows: 619_040,
      rejectedRows: 11,
      symbols: 505,
      firstDate: '2013-02-08',
      lastDate: '2018-02-07',
    })
    expect(await provider.listings({ asOf: '2018-02-07' })).toHaveLength(505)
  })

  it('gives prices as the file has them', async () => {
    await using provider = provide('demo/sp500_daily_2013_2018.parquet')
    const { batch } = await provider.bars({
      symbols: ['AAPL'],
      interval: '1d',
      range: { from: '2018-02-07', to: '2018-02-07' },
    })
    const [bar] = rowsOf(batch)
    expect(bar && [bar.open, bar.high, bar.low, bar.close, bar.volume].map(formatScaled)).toEqual([
      '163.085',
      '163.4',
      '159.0685',
      '159.54',
      '51608580',
    ])
    const suspect = await provider.bars({
      symbols: ['DHR'],
      interval: '1d',
      range: { from: '2015-07-17', to: '2015-07-17' },
    })
    expect(suspect).toMatchObject({
      emptySymbols: [],
      batch: { length: 0 },
      rejected: [{ raw: { open: null, high: '88.76' } }],
    })
  })

  it('serves thousands of symbols of the market set one by one', async () => {
    await using provider = provide('market/us_daily_2015-03_2016-03.parquet')
    expect(await provider.summary()).toMatchObject({ rows: 1_580_708, symbols: 6_552, rejectedRows: 0 })
    const listings = await provider.listings({ asOf: '2015-06-30' })
    let bars = 0
    for (const { symbol } of listings) {
      const result = await provider.bars({
        symbols: [symbol],
        interval: '1d',
        range: { from: '2015-03-20', to: '2016-03-31' },
      })
      bars += result.batch.length
    }
    expect(listings.length).toBeGreaterThan(5_500)
    expect(bars).toBeGreaterThan(1_300_000)
    expect(await provider.lastSession()).toBe('2016-03-31')
  })

  it('reads hourly and minute bars with their instants', async () => {
    await using hours = provide('lean/hour.csv.gz', '1h')
    expect(await hours.summary()).toMatchObject({ rows: 39_685, rejectedRows: 0 })
    await using minutes = provide('lean/minute_trade.csv.gz', '1m')
    expect(await minutes.summary()).toMatchObject({ rows: 10_608, rejectedRows: 0, symbols: 3 })
    await using quotes = provide('lean/minute_quote.csv.gz', '1m')
    await expect(quotes.summary()).rejects.toMatchObject({ code: 'FILE_COLUMNS_MISSING' })
  })
})
