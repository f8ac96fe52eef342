import { randomBytes } from 'node:crypto'
import { createExchangeCalendar } from '@varve/calendar'
import { type Clock, type SessionCalendar, type SessionDate, VarveError } from '@varve/core'
import { createPolygonProvider, type MarketDataProvider } from '@varve/providers'
import { createStandInMarket, startStandInServer } from '@varve/providers/testing'
import { createRateLimiter } from '@varve/rate-limiter'
import type { Application } from './openApplication.ts'
import type { Settings } from './settings.ts'

/** The session at which the demo market stands still. */
export const DEMO_AS_OF: SessionDate = '2026-06-30'
/** Provider name of every demo row: synthetic, and never mixed with real data. */
export const DEMO_PROVIDER = 'demo'

const DEMO_SEED = 7
const DEMO_SYMBOLS = 3000

export interface DemoMarket {
  readonly provider: (parts: { readonly calendar: SessionCalendar; readonly clock: Clock }) => MarketDataProvider
  close(): Promise<void>
}

/** Starts the stand-in market on a loopback port; the provider talks to it over HTTP as it would to the vendor. */
export async function startDemoMarket(settings: Settings): Promise<DemoMarket> {
  const calendar = createExchangeCalendar(settings.pipeline.exchange)
  const market = createStandInMarket({ seed: DEMO_SEED, symbols: DEMO_SYMBOLS, asOf: DEMO_AS_OF, calendar })
  const { profiles, marginMs } = settings['rate-limits']
  const windows = profiles.demo ?? [{ limit: 100, windowMs: 1000 }]
  const apiKey = randomBytes(16).toString('hex')
  const server = await startStandInServer({ market, apiKey, quotas: windows, seed: DEMO_SEED })
  return {
    provider: (parts) =>
      createPolygonProvider({
        name: DEMO_PROVIDER,
        baseUrl: `${server.url}/polygon`,
        apiKey,
        quota: createRateLimiter({ limits: { demo: { windows, marginMs } }, clock: parts.clock }),
        quotaKey: 'demo',
        intervals: ['1d'],
        historyDays: null,
        calendar: parts.calendar,
        clock: parts.clock,
      }),
    close: () => server.close(),
  }
}

/** @throws `DEMO_MIXED` when synthetic and real rows would meet in one store */
export async function refuseMixing(app: Application, demo: boolean): Promise<void> {
  const { rows } = await app.context.sql.query<{ provider: string }>(
    demo
      ? 'SELECT provider FROM sources WHERE provider <> $1 LIMIT 1'
      : 'SELECT provider FROM sources WHERE provider = $1 LIMIT 1',
    [DEMO_PROVIDER],
  )
  if (rows.length === 0) return
  throw new VarveError(
    demo
      ? `${app.locations.dataDir} holds real data (${rows[0]!.provider}); the demo keeps to a directory of its own`
      : `${app.locations.dataDir} holds the synthetic demo market; use another --data-dir for real data`,
    { code: 'DEMO_MIXED', details: { dataDir: app.locations.dataDir } },
  )
}
