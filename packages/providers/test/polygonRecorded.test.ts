import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseScaled } from '@varve/core'
import { createPolygonProvider } from '../src/index.ts'
import { describe, expect, it } from 'vitest'
import { calendar } from './support.ts'

const root = process.env['VARVE_TEST_DATA'] ?? ''
const recorded = (file: string) => readFileSync(join(root, 'api/polygon', file), 'utf8')

/** Answers with recorded bodies, one after another. */
function replay(...files: string[]) {
  const urls: string[] = []
  const answer: typeof fetch = (input) => {
    urls.push(String(input instanceof Request ? input.url : input))
    return Promise.resolve(new Response(recorded(files[Math.min(urls.length, files.length) - 1]!)))
  }
  const provider = createPolygonProvider({
    baseUrl: 'https://api.polygon.io',
    allowedHosts: ['api.massive.com'],
    apiKey: 'recorded',
    adjusted: true,
    quota: { acquire: () => Promise.resolve(), penalize: () => undefined },
    calendar,
    fetch: answer,
    initialBackoffMs: 1,
  })
  return { provider, urls }
}

describe.skipIf(root === '')('recorded Polygon answers (needs VARVE_TEST_DATA)', () => {
  it('reads aggregates and keeps those inside the range', async () => {
    const { provider, urls } = replay('v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04.json')
    const { batch } = await provider.bars({
      symbols: ['AAPL'],
      interval: '1d',
      range: { from: '2005-04-01', to: '2005-04-04' },
    })
    expect([...batch.time.subarray(0, batch.length)]).toEqual([Date.UTC(2005, 3, 1), Date.UTC(2005, 3, 4)])
    expect(batch.open[0]).toBe(parseScaled('1.5032'))
    expect(batch.volume[0]).toBe(parseScaled('642646396'))
    expect(urls[0]).toBe(
      'https://api.polygon.io/v2/aggs/ticker/AAPL/range/1/day/2005-04-01/2005-04-04?adjusted=true&sort=asc&limit=50000',
    )
    const part = await provider.bars({
      symbols: ['AAPL'],
      interval: '1d',
      range: { from: '2005-04-02', to: '2005-04-04' },
    })
    expect(part.batch.length).toBe(1)
  })

  it('reads the whole market of its session and refuses it for another', async () => {
    const { provider } = replay('v2/aggs/grouped/locale/us/market/stocks/2005-04-04&adjusted=true.json')
    const { batch } = await provider.dailyMarket('2020-10-14')
    expect([batch.symbols[0], batch.time[0], batch.close[0]]).toEqual([
      'GIK',
      Date.UTC(2020, 9, 14),
      parseScaled('10.02'),
    ])
    await expect(provider.dailyMarket('2005-04-04')).rejects.toMatchObject({ code: 'PROVIDER_INTEGRITY' })
  })

  it('reads tickers over a recorded cursor', async () => {
    const cursor =
      'YWN0aXZlPXRydWUmZGF0ZT0yMDIyLTA0LTI3JmxpbWl0PTImb3JkZXI9YXNjJnBhZ2VfbWFya2VyPUFBJTdDZjEyMmJjYmY4YWQwNzRmZmJlMTZmNjkxOWQ0ZDc3NjZlMzA3MWNmNmU1Nzg3OGE0OGU1NjQ1YzQyM2U3NzJhOSZzb3J0PXRpY2tlcg'
    const { provider, urls } = replay(
      'v3/reference/tickers.json',
      `v3/reference/tickers&cursor=${cursor}.json`,
    )
    const listings = await provider.listings({ asOf: '2022-04-27' })
    expect(listings.map(({ symbol, exchange, type }) => [symbol, exchange, type])).toEqual([
      ['A', 'XNYS', 'CS'],
      ['AA', 'XNYS', 'CS'],
      ['AAA', 'ARCX', 'ETF'],
      ['AAAU', 'BATS', 'ETF'],
    ])
    expect(urls[1]).toContain(cursor)
  })

  it('reads splits', async () => {
    const { provider } = replay('v3/reference/splits.json')
    const splits = await provider.splits({ range: { from: '2022-06-01', to: '2022-07-31' } })
    expect(splits[0]).toEqual({
      symbol: 'GOOGL',
      executionDate: '2022-07-18',
      from: 1_000_000n,
      to: 20_000_000n,
    })
    expect(splits.length).toBeGreaterThan(5)
  })
})
