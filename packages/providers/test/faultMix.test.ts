import { isVarveError } from '@varve/core'
import { createRateLimiter } from '@varve/rate-limiter'
import type { FaultRates } from '../src/testing/index.ts'
import { createStandInMarket } from '../src/testing/index.ts'
import { describe, expect, it } from 'vitest'
import { API_KEY, AS_OF, calendar, expectedDays, market, rowsOf, setUp } from './support.ts'

const RANGE = { from: '2024-11-15', to: '2025-11-14' }
const QUOTAS = [{ limit: 60, windowMs: 200 }]
const MIX: FaultRates = {
  status429: 0.02,
  status500: 0.03,
  timeout: 0.01,
  truncated: 0.02,
  reset: 0.02,
  duplicatePage: 0.05,
  missingPage: 0.04,
  empty200: 0.04,
  wrongAdjusted: 0.01,
  outOfOrder: 0.01,
}
const SYMBOLS = market
  .listings(AS_OF)
  .filter(({ company }) => company.market === 'stocks')
  .slice(0, 30)
  .map(({ symbol }) => symbol)

/** Follows paging URLs and retries errors, and believes everything else: what most scripts do. */
async function naiveDays(baseUrl: string, symbol: string): Promise<number> {
  const times = new Set<number>()
  let url: string | undefined =
    `${baseUrl}/polygon/v2/aggs/ticker/${symbol}/range/1/day/${RANGE.from}/${RANGE.to}?adjusted=false&limit=60`
  for (let attempt = 0; url !== undefined && attempt < 30; attempt++) {
    try {
      const response = await fetch(url, {
        headers: { authorization: `Bearer ${API_KEY}` },
        signal: AbortSignal.timeout(150),
      })
      if (!response.ok) continue
      const body = (await response.json()) as { results?: { t: number }[] | null; next_url?: string }
      for (const { t } of body.results ?? []) times.add(t)
      url = body.next_url
    } catch {
      continue
    }
  }
  return times.size
}

describe('a bad day at the provider', () => {
  it.each([1, 2, 3])('seed %i: every answer is exact, named empty, or an error', async (seed) => {
    await using s = await setUp(
      { seed, faultRates: MIX, quotas: QUOTAS, timeoutMs: 2_000 },
      { pageLimit: 60, breaker: null, requestTimeoutMs: 600, attempts: 4 },
    )
    const outcomes = { exact: 0, empty: 0, failed: 0 }
    await Promise.all(
      SYMBOLS.map(async (symbol) => {
        try {
          const result = await s.provider.bars({ symbols: [symbol], interval: '1d', range: RANGE })
          const expected = expectedDays(market, symbol, RANGE.from, RANGE.to)
          expect(result.complete).toBe(true)
          if (result.emptySymbols.length > 0) outcomes.empty++
          else {
            expect(rowsOf(result.batch)).toEqual(expected)
            outcomes.exact++
          }
        } catch (error) {
          if (!isVarveError(error)) throw error
          expect(error.code).toMatch(/^(PROVIDER_|DEADLINE)/)
          expect(error.retryable).toBe(true)
          outcomes.failed++
        }
      }),
    )
    expect(outcomes.exact).toBeGreaterThanOrEqual(25)
    expect(outcomes.exact + outcomes.empty + outcomes.failed).toBe(SYMBOLS.length)
    expect(s.standIn.violations()).toBe(0)
    expect(s.standIn.log().some(({ keyInUrl }) => keyInUrl)).toBe(false)
  })

  it('catches a client that believes what it is sent (control)', async () => {
    await using s = await setUp({ seed: 1, faultRates: MIX, timeoutMs: 300 })
    let wrong = 0
    for (const symbol of SYMBOLS) {
      const expected = expectedDays(market, symbol, RANGE.from, RANGE.to).length
      if ((await naiveDays(s.standIn.url, symbol)) !== expected) wrong++
    }
    expect(wrong).toBeGreaterThan(0)
  })

  it('serves a bar left out at the first look from the second look on', async () => {
    const holey = createStandInMarket({
      seed: 7,
      symbols: 40,
      asOf: AS_OF,
      calendar,
      transientRate: 0.03,
      missingRate: 0.02,
    })
    await using s = await setUp({ market: holey })
    const range = { from: '2025-06-02', to: AS_OF }
    const [symbol] = holey.listings(AS_OF).map((listing) => listing.symbol)
    const dates = calendar.sessionsInRange(range.from, range.to).map(({ date }) => date)
    const transient = dates.filter((date) => holey.isTransient(symbol!, date))
    const missing = dates.filter((date) => holey.isMissing(symbol!, date))
    expect(transient.length).toBeGreaterThan(0)
    expect(missing.length).toBeGreaterThan(0)
    const look = async () =>
      (await s.provider.bars({ symbols: [symbol!], interval: '1d', range })).batch.length
    expect(await look()).toBe(dates.length - missing.length - transient.length)
    expect(await look()).toBe(dates.length - missing.length)
    expect(await look()).toBe(dates.length - missing.length)
    for (const date of missing) expect(holey.bar(symbol!, date)).toBeUndefined()
  })

  it('counts violations of a client that does not hold back (control)', async () => {
    await using s = await setUp({ quotas: [{ limit: 5, windowMs: 60_000 }] })
    const free = createRateLimiter({ limits: {}, unknownKey: 'allow' })
    await free.acquire('polygon')
    const ask = () => fetch(`${s.standIn.url}/polygon/v1/marketstatus/upcoming?apiKey=${API_KEY}`)
    const statuses = (await Promise.all(Array.from({ length: 9 }, ask))).map(({ status }) => status)
    expect(statuses.filter((status) => status === 429)).toHaveLength(4)
    expect(s.standIn.violations()).toBe(4)
    expect(s.standIn.log().every(({ keyInUrl, url }) => keyInUrl && !url.includes(API_KEY))).toBe(true)
  })
})
