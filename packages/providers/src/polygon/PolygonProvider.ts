import type {
  BarBatch,
  BarSource,
  Clock,
  DateRange,
  Interval,
  Listing,
  QuotaGate,
  SessionCalendar,
  SessionDate,
} from '@varve/core'
import {
  DAY_MS,
  MINUTE_MS,
  Secret,
  checkedOptions,
  concatBarBatches,
  dayNumber,
  systemClock,
} from '@varve/core'
import { createResilience } from '@varve/resilience'
import { providerClosed, providerInvalidRequest } from '../errors.ts'
import type { BarsRequest, BarsResult, MarketDataProvider, RejectedRow } from '../model.ts'
import { type PolygonProviderConfig, polygonProviderSchema } from '../schema.ts'
import type { AggregatesContext, AggregateWindow } from './aggregates.ts'
import { fetchAggregates, readItems, sameBar } from './aggregates.ts'
import { providerError } from './classify.ts'
import type { JsonObject } from './fields.ts'
import { integerOf, textOf } from './fields.ts'
import type { ProviderSplit } from './reference.ts'
import { fetchList, toListing, toSplit } from './reference.ts'
import { BarCollector, collectDays, collectIntraday } from './toBars.ts'
import type { Call } from './transport.ts'
import { createTransport } from './transport.ts'

/** Its data, with their defaults: {@link polygonProviderSchema}. */
export interface PolygonProviderOptions extends PolygonProviderConfig {
  /** Sent in a header only. */
  readonly apiKey: Secret | string
  /** The hard gate before every request. */
  readonly quota: QuotaGate
  /** Key of the quota. @defaultValue `polygon` */
  readonly quotaKey?: string
  /** @defaultValue `polygon`; a stand-in's rows should say so */
  readonly name?: string
  /** @defaultValue `sip` */
  readonly feed?: string
  readonly calendar: SessionCalendar
  /** @defaultValue the global `fetch` */
  readonly fetch?: typeof fetch
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** In [0, 1), for pauses. @defaultValue `secureRandom` */
  readonly random?: () => number
}

/** Polygon.io, named Massive since October 2025. */
export interface PolygonProvider extends MarketDataProvider {
  dailyMarket(
    date: SessionDate,
    options?: { readonly signal?: AbortSignal; readonly priority?: number },
  ): Promise<BarsResult>
  /** Splits executed in a range of dates, by date. */
  splits(query: {
    readonly range: DateRange
    readonly symbol?: string
    readonly signal?: AbortSignal
    readonly priority?: number
  }): Promise<readonly ProviderSplit[]>
}

const minutes = (multiplier: number): AggregateWindow => ({
  multiplier,
  timespan: 'minute',
  lengthMs: multiplier * MINUTE_MS,
})

/**
 * What is fetched for each interval. The provider's hour windows start on the hour, so the first would mix the half
 * hour before the open with the half hour after it: hours are put together from half hours, counted from the open.
 */
const WINDOWS: Readonly<
  Record<Exclude<Interval, 'tick'>, { readonly window: AggregateWindow; readonly stepMs: number }>
> = {
  '1m': { window: minutes(1), stepMs: MINUTE_MS },
  '5m': { window: minutes(5), stepMs: 5 * MINUTE_MS },
  '15m': { window: minutes(15), stepMs: 15 * MINUTE_MS },
  '1h': { window: minutes(30), stepMs: 60 * MINUTE_MS },
  '1d': { window: { multiplier: 1, timespan: 'day', lengthMs: DAY_MS }, stepMs: DAY_MS },
}

/** A client of the Polygon/Massive REST API. Nothing is sent until the first call. */
export function createPolygonProvider(options: PolygonProviderOptions): PolygonProvider {
  const { name = 'polygon', feed = 'sip', calendar, clock = systemClock } = options
  const settings = checkedOptions(polygonProviderSchema.strip(), options, name)
  const { adjusted, pageLimit, maxPages, emptyRecheckMs, historyDays, intervals } = settings
  const apiKey = typeof options.apiKey === 'string' ? new Secret(options.apiKey) : options.apiKey
  if (apiKey.reveal() === '') throw providerInvalidRequest(name, 'the API key is empty')
  const source: BarSource = { provider: name, feed, adjustment: adjusted ? 'split' : 'raw' }
  const transport = createTransport({
    ...settings,
    provider: name,
    apiKey,
    quota: options.quota,
    quotaKey: options.quotaKey ?? 'polygon',
    resilience: createResilience({ ...settings, name, clock, random: options.random }),
    fetch: options.fetch ?? fetch,
    clock,
  })
  const now = () => clock.now()
  const context: AggregatesContext = {
    provider: name,
    transport,
    calendar,
    pageLimit,
    maxPages,
    adjusted,
    now,
  }
  const served = new Set<Interval>(intervals)
  let closed = false

  const begin = (request: {
    readonly signal?: AbortSignal | undefined
    readonly priority?: number | undefined
  }): Call => {
    if (closed) throw providerClosed(name)
    return transport.begin(request)
  }

  /** Sessions of a range that have begun: an empty answer about them deserves a second look. */
  const hasTraded = ({ from, to }: DateRange): boolean =>
    calendar.sessionsInRange(from, to).some(({ openAt }) => openAt < clock.now())

  const provenance = (calls: readonly Call[]): BarsResult['provenance'] => ({
    provider: name,
    feed,
    adjustment: source.adjustment,
    fetchedAt: clock.now(),
    requestIds: calls.flatMap((call) => call.requestIds),
    requests: calls.reduce((sum, call) => sum + call.requests, 0),
  })

  /** Empty may mean a hiccup: look twice, spaced, before believing it. */
  const lookTwice = async <T>(
    look: () => Promise<T>,
    isEmpty: (found: T) => boolean,
    call: Call,
    doubtful: boolean,
  ) => {
    const found = await look()
    if (!doubtful || !isEmpty(found)) return found
    await clock.sleep(emptyRecheckMs, call.signal === undefined ? {} : { signal: call.signal })
    return look()
  }

  const fetchSymbol = async (symbol: string, request: BarsRequest) => {
    const { window, stepMs } = WINDOWS[request.interval as Exclude<Interval, 'tick'>]
    const call = begin(request)
    const aggregates = await lookTwice(
      () => fetchAggregates(context, call, symbol, window, request.range),
      ({ rows, unplaced }) => rows.length === 0 && unplaced.length === 0,
      call,
      hasTraded(request.range),
    )
    const collector = new BarCollector(request.interval, source, `${name} aggs`)
    if (request.interval === '1d') collectDays(collector, symbol, aggregates.rows, request.range, calendar)
    else collectIntraday(collector, symbol, aggregates.rows, request.range, calendar, stepMs)
    for (const item of aggregates.unplaced) collector.reject(symbol, null, item)
    return { symbol, call, batch: collector.build(), rejected: collector.rejected }
  }

  const provider: PolygonProvider = {
    name,
    source,
    capabilities: {
      bars: intervals.map((interval) => ({
        interval,
        maxSpanDays: interval === '1d' ? settings.maxDaySpanDays : settings.maxIntradaySpanDays,
        historyDays,
      })),
      dataTypes: [],
      wholeMarketDaily: intervals.includes('1d'),
      symbolsPerCall: 1,
    },
    async bars(request) {
      if (!served.has(request.interval)) {
        throw providerInvalidRequest(name, `${request.interval} is not served, only ${intervals.join(', ')}`)
      }
      checkRange(name, request.range)
      const parts = []
      for (const symbol of request.symbols) parts.push(await fetchSymbol(symbol, request))
      const batches: readonly BarBatch[] = parts.map(({ batch }) => batch)
      return {
        batch: batches.length === 1 ? batches[0]! : concatBarBatches(request.interval, source, batches),
        rejected: parts.flatMap(({ rejected }): readonly RejectedRow[] => rejected),
        complete: true,
        emptySymbols: parts
          .filter(({ batch, rejected }) => batch.length === 0 && rejected.length === 0)
          .map(({ symbol }) => symbol),
        provenance: provenance(parts.map(({ call }) => call)),
      }
    },
    async dailyMarket(date, request = {}) {
      checkRange(name, { from: date, to: date })
      const call = begin(request)
      const url = transport.url(`/v2/aggs/grouped/locale/us/market/stocks/${date}`, {
        adjusted,
        include_otc: false,
      })
      const expected = hasTraded({ from: date, to: date })
      const items = await lookTwice(
        () => transport.get(call, url, 'grouped', (body) => readMarket(context, body, date)),
        (found) => found.length === 0,
        call,
        expected,
      )
      if (items.length === 0 && expected) {
        // One silent symbol is possible, a silent market is not.
        throw providerError(name, 'PROVIDER_INCOMPLETE', `no bars of the whole market on ${date}`, {
          details: { date },
        })
      }
      const collector = new BarCollector('1d', source, `${name} grouped`)
      const time = dayNumber(date) * DAY_MS
      for (const item of items) collector.add(textOf(item['T']) || null, time, item)
      return {
        batch: collector.build(),
        rejected: collector.rejected,
        complete: true,
        emptySymbols: [],
        provenance: provenance([call]),
      }
    },
    async listings({ asOf, signal }) {
      checkRange(name, { from: asOf, to: asOf })
      const call = begin({ signal })
      const listings = new Map<string, Listing>()
      for (const market of settings.includeOtc ? ['stocks', 'otc'] : ['stocks']) {
        const url = transport.url('/v3/reference/tickers', {
          market,
          active: true,
          date: asOf,
          order: 'asc',
          sort: 'ticker',
          limit: settings.listingsPerPage,
        })
        const items = await lookTwice(
          () => fetchList({ provider: name, transport, maxPages }, call, 'tickers', url),
          (found) => found.length === 0,
          call,
          true,
        )
        if (items.length === 0 && market === 'stocks') {
          throw providerError(name, 'PROVIDER_INCOMPLETE', `no listings as of ${asOf}`, { details: { asOf } })
        }
        for (const item of items) {
          const listing = toListing(item)
          if (listing !== undefined) listings.set(listing.symbol, listing)
        }
      }
      return [...listings.values()]
    },
    async splits({ range, symbol, signal, priority }) {
      checkRange(name, range)
      const call = begin({ signal, priority })
      const url = transport.url('/v3/reference/splits', {
        'execution_date.gte': range.from,
        'execution_date.lte': range.to,
        ...(symbol === undefined ? {} : { ticker: symbol }),
        order: 'asc',
        sort: 'execution_date',
        limit: settings.listingsPerPage,
      })
      const items = await fetchList({ provider: name, transport, maxPages }, call, 'splits', url)
      return items.map((item) => toSplit(name, item))
    },
    close() {
      closed = true
      return Promise.resolve()
    },
    [Symbol.asyncDispose]: () => provider.close(),
  }
  return provider
}

/** The items of a whole-market answer, which must be about the session asked for. */
function readMarket(context: AggregatesContext, body: JsonObject, date: SessionDate): readonly JsonObject[] {
  const items = readItems(context, body, null)
  const bySymbol = new Map<string, JsonObject>()
  const kept: JsonObject[] = []
  for (const item of items) {
    const t = integerOf(item['t'])
    // Stamped with the session's close here, not with its midnight as elsewhere.
    if (t !== undefined && context.calendar.dateOf(t) !== date) {
      throw providerError(
        context.provider,
        'PROVIDER_INTEGRITY',
        `asked the market of ${date}, got that of ${context.calendar.dateOf(t)}`,
      )
    }
    const symbol = textOf(item['T'])
    const same = symbol === undefined ? undefined : bySymbol.get(symbol)
    if (same !== undefined && !sameBar(same, item)) {
      throw providerError(
        context.provider,
        'PROVIDER_INTEGRITY',
        `two different bars of ${symbol} on ${date}`,
      )
    }
    if (same !== undefined) continue
    if (symbol !== undefined) bySymbol.set(symbol, item)
    kept.push(item)
  }
  return kept
}

function checkRange(name: string, { from, to }: DateRange): void {
  if (from > to) throw providerInvalidRequest(name, `the range ${from} to ${to} is backwards`, { from, to })
}
