import { createExchangeCalendar } from '@varve/calendar'
import { addDays, dayOf, type SessionDate } from '@varve/core'
import { createPolygonProvider, type MarketDataProvider, type PolygonProviderOptions } from '@varve/providers'
import {
  createStandInMarket,
  type StandInMarket,
  type StandInMarketOptions,
  type StandInServerOptions,
  startStandInServer,
} from '@varve/providers/testing'
import { createRateLimiter } from '@varve/rate-limiter'
import type { Application, OpenApplicationOptions, Settings } from '../src/index.ts'
import { allBars, DAY_MS, settingsWith } from './support.ts'

export const calendar = createExchangeCalendar('XNYS')
export const AS_OF: SessionDate = '2025-11-14'
const API_KEY = 'test-key-0123456789'
const QUOTAS = [{ limit: 100, windowMs: 100 }]

/** A small market with holes of both kinds. */
export function smallMarket(options: Partial<StandInMarketOptions> = {}): StandInMarket {
  return createStandInMarket({
    seed: 11,
    symbols: 120,
    asOf: AS_OF,
    historyYears: 1,
    calendar,
    missingRate: 0.003,
    transientRate: 0.003,
    ...options,
  })
}

/** The built-in configuration with shallow histories, quick retries and small pages of work. */
export function quickSettings(
  change: { readonly [Name in keyof Settings]?: Partial<Settings[Name]> } = {},
): Settings {
  const { layers, events, network } = settingsWith()
  const days = [
    { hotDays: 7, coldDays: 30 },
    { hotDays: 30, coldDays: 90 },
    { hotDays: 40, coldDays: 120 },
    { hotDays: 50, coldDays: 180 },
  ]
  return settingsWith({
    layers: {
      definitions: layers.definitions.map((definition, layer) => ({
        ...definition,
        data: { ...definition.data, bars: { ...definition.data.bars, '1d': days[layer] } },
      })),
    },
    events: {
      ...events,
      jobs: { ...events.jobs, batchSize: 40, retryLimit: 12, retryDelayMs: 5 },
    },
    network: { ...network, concurrency: 8 },
    ...change,
  })
}

/** Starts a server of the market and makes the provider that talks to it. */
export async function serveMarket(
  market: StandInMarket,
  server: Partial<StandInServerOptions> = {},
  client: Partial<PolygonProviderOptions> = {},
) {
  const standIn = await startStandInServer({
    market,
    apiKey: API_KEY,
    quotas: QUOTAS,
    seed: 1,
    timeoutMs: 2_000,
    ...server,
  })
  const provider: OpenApplicationOptions['provider'] = ({ calendar: sessions, clock }) =>
    createPolygonProvider({
      name: 'standin',
      baseUrl: `${standIn.url}/polygon`,
      apiKey: API_KEY,
      quota: createRateLimiter({
        limits: { standin: { windows: server.quotas ?? QUOTAS, marginMs: 20 } },
        clock,
      }),
      quotaKey: 'standin',
      intervals: ['1d'],
      pageLimit: 25,
      initialBackoffMs: 2,
      emptyRecheckMs: 2,
      rateLimitedPauseMs: 20,
      requestTimeoutMs: 300,
      breaker: null,
      calendar: sessions,
      clock,
      ...client,
    })
  return { standIn, provider, [Symbol.asyncDispose]: () => standIn.close() }
}

export interface Comparison {
  /** Bars stored that the generator would not give, or would give otherwise. */
  readonly wrong: readonly string[]
  /** Sessions said to be complete or empty for which the generator has a bar that is not stored. */
  readonly falselyComplete: readonly string[]
  readonly stored: number
  /** Bars of the generator within the layers' depth that are not stored: open gaps and ranges not covered. */
  readonly admitted: readonly string[]
}

/** Compares everything stored with the generator: what is not there to the last digit must be admitted. */
export async function compareWithMarket(
  app: Application,
  market: StandInMarket,
  source = 'standin',
): Promise<Comparison> {
  const { context } = app
  const wrong: string[] = []
  const falselyComplete: string[] = []
  const held = new Set<string>()
  for (const [symbol, bars] of await allBars(app, source)) {
    for (const bar of bars) {
      const session = dayOf(bar.time / DAY_MS)
      held.add(`${symbol} ${session}`)
      const truth = market.bar(symbol, session)
      const same =
        truth !== undefined &&
        (['open', 'high', 'low', 'close', 'volume'] as const).every((column) => truth[column] === bar[column])
      if (!same) wrong.push(`${symbol} ${session}`)
    }
  }
  for (const [symbol, sessions] of await context.quarantine.suspectSessions(context.sql, '1d')) {
    for (const session of sessions) held.add(`${symbol} ${session}`)
  }
  const open = new Set(
    (await context.gaps.load(context.sql, { states: ['open'] })).map(
      ({ symbol, session }) => `${symbol} ${session}`,
    ),
  )
  for (const entry of await context.coverage.load(context.sql, { dataType: 'bars', interval: '1d' })) {
    if (entry.state === 'partial') continue
    for (const { date } of calendar.sessionsInRange(entry.from, entry.to)) {
      const key = `${entry.symbol} ${date}`
      if (held.has(key) || market.bar(entry.symbol, date) === undefined) continue
      if (!open.has(key)) falselyComplete.push(`${key} ${entry.state}`)
    }
  }
  const admitted: string[] = []
  for (const { symbol, active, layer } of await context.companies.load(context.sql)) {
    if (!active || layer === null) continue
    const depth = context.retention.layers[layer]!.bars['1d']!.coldDays
    for (const { date } of calendar.sessionsInRange(addDays(app.asOf, -depth), app.asOf)) {
      const key = `${symbol} ${date}`
      if (market.bar(symbol, date) !== undefined && !held.has(key)) admitted.push(key)
    }
  }
  return { wrong, falselyComplete, stored: held.size, admitted }
}

/** A provider whose every answer passes through `change`. */
export function tamper(
  provider: NonNullable<OpenApplicationOptions['provider']>,
  change: (provider: MarketDataProvider) => Partial<MarketDataProvider>,
): NonNullable<OpenApplicationOptions['provider']> {
  return (parts) => {
    const inner = provider(parts)
    return { ...inner, ...change(inner) }
  }
}
