import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type Clock, type SessionCalendar, type SessionDate, VarveError } from '@varve/core'
import { createPolygonProvider, type MarketDataProvider } from '@varve/providers'
import type { DemoServerSettings } from './demoServer.ts'
import { rateLimiterOf, shortestWindowMs } from './market.ts'
import type { Application } from './openApplication.ts'
import { rateLimitOf } from './settings/derive.ts'
import type { Settings } from './settings/sections.ts'

/** The session at which the demo market stands still. */
export const DEMO_AS_OF: SessionDate = '2026-06-30'
/** Provider name of every demo row: synthetic, and never mixed with real data. */
export const DEMO_PROVIDER = 'demo'

/** The demo market: always the same one. Rates are the share of sessions a symbol lacks for good, or at the first look. */
const DEMO_MARKET = {
  seed: 7,
  symbols: 3000,
  asOf: DEMO_AS_OF,
  missingRate: 0.0002,
  transientRate: 0.0002,
} as const

export interface DemoMarket {
  readonly provider: (parts: {
    readonly calendar: SessionCalendar
    readonly clock: Clock
  }) => MarketDataProvider
  close(): Promise<void>
}

/** Starts the stand-in market on a loopback port; the provider talks to it over HTTP as it would to the vendor. */
export async function startDemoMarket(settings: Settings): Promise<DemoMarket> {
  const windows = rateLimitOf(settings, DEMO_PROVIDER)
  const apiKey = randomBytes(16).toString('hex')
  const workerData: DemoServerSettings = {
    ...DEMO_MARKET,
    exchange: settings.scanner.exchange,
    apiKey,
    quotas: windows,
  }
  const source = import.meta.url.endsWith('.ts')
  const worker = new Worker(new URL(source ? './demoServer.ts' : './demoServer.js', import.meta.url), {
    workerData,
    execArgv: source ? ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'] : [],
    name: 'varve-demo-market',
  })
  const [{ url }] = (await once(worker, 'message')) as [{ url: string }]
  return {
    provider: (parts) =>
      createPolygonProvider({
        name: DEMO_PROVIDER,
        feed: 'synthetic',
        baseUrl: `${url}/polygon`,
        apiKey,
        quota: rateLimiterOf(settings, { demo: windows }, parts.clock),
        quotaKey: 'demo',
        rateLimitedPauseMs: shortestWindowMs(windows),
        intervals: ['1d'],
        historyDays: null,
        calendar: parts.calendar,
        clock: parts.clock,
      }),
    async close() {
      const ended = once(worker, 'exit')
      worker.postMessage('close')
      await ended
    },
  }
}

/** @throws `DEMO_MIXED` when synthetic and real rows would meet in one store */
export async function refuseMixing(app: Application, demo: boolean): Promise<void> {
  const { rows } = await app.context.sql.query<{ provider: string }>(
    'SELECT provider FROM sources WHERE (provider = $1) <> $2 LIMIT 1',
    [DEMO_PROVIDER, demo],
  )
  if (rows.length === 0) return
  throw new VarveError(
    demo
      ? `${app.locations.dataDir} holds real data (${rows[0]!.provider}); the demo keeps to a directory of its own`
      : `${app.locations.dataDir} holds the synthetic demo market; use another --data-dir for real data`,
    { code: 'DEMO_MIXED', details: { dataDir: app.locations.dataDir } },
  )
}
