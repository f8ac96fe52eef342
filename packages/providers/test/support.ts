import { createExchangeCalendar } from '@varve/calendar'
import type { BarBatch, SessionDate } from '@varve/core'
import { barAt } from '@varve/core'
import type { PolygonProviderOptions } from '../src/index.ts'
import { createPolygonProvider } from '../src/index.ts'
import type { StandInMarket, StandInServerOptions } from '../src/testing/index.ts'
import { createStandInMarket, startStandInServer } from '../src/testing/index.ts'
import { createRateLimiter } from '@varve/rate-limiter'

export const calendar = createExchangeCalendar('XNYS')
export const API_KEY = 'test-key-0123456789'
export const AS_OF = '2025-11-14'
const WIDE = [{ limit: 2_000, windowMs: 1_000 }]

export const market = createStandInMarket({ seed: 7, symbols: 120, asOf: AS_OF, calendar, transientRate: 0 })

/** A server and a client of it, with pauses short enough for tests. */
export async function setUp(
  server: Partial<StandInServerOptions> = {},
  client: Partial<PolygonProviderOptions> = {},
) {
  const quotas = server.quotas ?? WIDE
  const standIn = await startStandInServer({ market, apiKey: API_KEY, quotas, seed: 1, ...server })
  const quota = createRateLimiter({ limits: { polygon: { windows: quotas } } })
  const provider = createPolygonProvider({
    baseUrl: `${standIn.url}/polygon`,
    apiKey: API_KEY,
    attempts: 3,
    quota,
    calendar,
    initialBackoffMs: 5,
    emptyRecheckMs: 5,
    rateLimitedPauseMs: 20,
    requestTimeoutMs: 500,
    ...client,
  })
  return {
    standIn,
    provider,
    quota,
    async [Symbol.asyncDispose]() {
      await provider.close()
      await quota.close()
      await standIn.close()
    },
  }
}

/** What the generator says a symbol's daily bars are. */
export function expectedDays(source: StandInMarket, symbol: string, from: SessionDate, to: SessionDate) {
  return calendar
    .sessionsInRange(from, to)
    .map(({ date }) => source.bar(symbol, date))
    .filter((bar) => bar !== undefined)
}

export const rowsOf = (batch: BarBatch) => Array.from({ length: batch.length }, (_, row) => barAt(batch, row))
