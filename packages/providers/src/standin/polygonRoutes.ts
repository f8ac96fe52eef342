import type { SessionDate } from '@varve/core'
import { addDays, isSessionDate } from '@varve/core'
import type { AggregateQuery, Withhold } from './aggregates.ts'
import { aggregatePage, marketPage } from './aggregates.ts'
import type { FaultKind } from './faults.ts'
import type { StandInListing, StandInMarket } from './StandInMarket.ts'
import type { JsonText } from './wire.ts'
import { listText, objectText, text } from './wire.ts'

export interface RouteRequest {
  readonly path: string
  readonly query: URLSearchParams
  /** Scheme, host and port the client used: paging URLs name them. */
  readonly origin: string
  readonly requestId: string
  readonly fault: FaultKind | undefined
}

export interface RouteAnswer {
  readonly status: number
  readonly body: JsonText
}

/** What a cursor carries; clients must take it as opaque. */
interface Cursor {
  readonly page: number
  readonly limit: number
  readonly adjusted: boolean
  /** This page repeats the one before. */
  readonly again: boolean
}

const AGGS = /^\/v2\/aggs\/ticker\/([^/]+)\/range\/(\d+)\/(\w+)\/([^/]+)\/([^/]+)$/
const GROUPED = /^\/v2\/aggs\/grouped\/locale\/us\/market\/stocks\/([^/]+)$/
const FOREIGN_HOST = 'https://paging.example.net'
const MAX_LIMIT = 50_000
const DEFAULT_LIMIT = 5_000

/** Page of a request, counted from 1, as its cursor says. */
export function pageOf(query: URLSearchParams): number {
  return readCursor(query)?.page ?? Number(query.get('page_no') ?? 1)
}

export function answerPolygon(market: StandInMarket, request: RouteRequest, withhold: Withhold): RouteAnswer {
  const aggs = AGGS.exec(request.path)
  if (aggs !== null) return aggregates(market, request, aggs.slice(1).map(decodeURIComponent), withhold)
  const grouped = GROUPED.exec(request.path)
  if (grouped !== null) return groupedDaily(market, request, grouped[1]!, withhold)
  if (request.path === '/v3/reference/tickers') return tickers(market, request)
  if (request.path === '/v3/reference/splits') return splits(market, request)
  if (request.path === '/v1/marketstatus/upcoming') return upcoming(market)
  return failure(404, 'NOT_FOUND', request.requestId, 'message', 'Resource not found.')
}

export function failure(
  status: number,
  code: string,
  requestId: string,
  field: 'error' | 'message',
  message: string,
): RouteAnswer {
  return {
    status,
    body: objectText([
      ['status', text(code)],
      ['request_id', text(requestId)],
      [field, text(message)],
    ]),
  }
}

function aggregates(
  market: StandInMarket,
  request: RouteRequest,
  parts: readonly string[],
  withhold: Withhold,
): RouteAnswer {
  const [symbol = '', multiplierText = '', timespan = '', fromText = '', to = ''] = parts
  const { query, requestId, fault } = request
  const cursor = readCursor(query)
  const fromMs = /^\d{10,14}$/.test(fromText)
    ? Number(fromText)
    : isSessionDate(fromText)
      ? market.calendar.midnightOf(fromText)
      : NaN
  const multiplier = Number(multiplierText)
  const limit = cursor?.limit ?? Math.min(MAX_LIMIT, Number(query.get('limit') ?? DEFAULT_LIMIT))
  const known = timespan === 'minute' || timespan === 'hour' || (timespan === 'day' && multiplier === 1)
  if (!known || Number.isNaN(fromMs) || !isSessionDate(to) || !(limit >= 1) || query.get('sort') === 'desc') {
    return failure(400, 'ERROR', requestId, 'error', `Could not parse the request for ${symbol}.`)
  }
  const adjusted = cursor?.adjusted ?? query.get('adjusted') !== 'false'
  const asked: AggregateQuery = { symbol, multiplier, timespan, fromMs, to, limit, adjusted }
  const page = aggregatePage(market, asked, withhold)
  const number = cursor?.page ?? 1
  let { nextFrom } = page
  let again = false
  if (fault === 'missingPage') {
    const skipped =
      nextFrom === undefined
        ? undefined
        : aggregatePage(market, { ...asked, fromMs: nextFrom }, withhold).nextFrom
    if (skipped === undefined) return failure(500, 'ERROR', requestId, 'error', 'Internal error.')
    nextFrom = skipped
  } else if (fault === 'duplicatePage' && cursor?.again !== true) {
    again = true
    nextFrom = fromMs
  }
  const next =
    nextFrom === undefined
      ? undefined
      : nextUrl(
          request,
          `/v2/aggs/ticker/${encodeURIComponent(symbol)}/range/${multiplier}/${timespan}/${nextFrom}/${to}`,
          {
            page: number + 1,
            limit,
            adjusted,
            again,
          },
        )
  const results = fault === 'outOfOrder' ? page.results.toReversed() : page.results
  const count = page.results.length
  return {
    status: 200,
    body: objectText([
      ['ticker', text(symbol)],
      ['queryCount', String(page.scanned)],
      ['resultsCount', String(count)],
      ['adjusted', String(fault === 'wrongAdjusted' ? !adjusted : adjusted)],
      ['results', count === 0 ? undefined : listText(results)],
      ['status', text('OK')],
      ['request_id', text(requestId)],
      ['count', count === 0 ? undefined : String(count)],
      ['next_url', next === undefined ? undefined : text(next)],
    ]),
  }
}

function groupedDaily(
  market: StandInMarket,
  { query, requestId, fault }: RouteRequest,
  date: SessionDate,
  withhold: Withhold,
): RouteAnswer {
  if (!isSessionDate(date)) return failure(400, 'ERROR', requestId, 'error', 'Could not parse the date.')
  if (date > market.asOf) {
    const message = `Attempted to request today's data before end of day. Please upgrade your plan.`
    return failure(403, 'NOT_AUTHORIZED', requestId, 'message', message)
  }
  const adjusted = query.get('adjusted') !== 'false'
  const session = market.calendar.session(date)
  const options = { adjusted, includeOtc: query.get('include_otc') === 'true' }
  const results = session === undefined ? [] : marketPage(market, session, options, withhold)
  return {
    status: 200,
    body: objectText([
      ['queryCount', String(results.length)],
      ['resultsCount', String(results.length)],
      ['adjusted', String(fault === 'wrongAdjusted' ? !adjusted : adjusted)],
      ['results', results.length === 0 ? undefined : listText(results)],
      ['status', text('OK')],
      ['request_id', text(requestId)],
      ['count', results.length === 0 ? undefined : String(results.length)],
    ]),
  }
}

function tickers(market: StandInMarket, request: RouteRequest): RouteAnswer {
  const { query } = request
  const asked = query.get('date') ?? market.asOf
  const date = asked > market.asOf ? market.asOf : asked
  const active = query.get('active') !== 'false'
  const only = query.get('ticker')
  const venue = query.get('market')
  const found = market
    .listings(date, !active)
    .filter((listing) => listing.active === active)
    .filter(
      ({ symbol, company }) =>
        (venue === null || company.market === venue) && (only === null || symbol === only),
    )
  return listPage(
    request,
    '/v3/reference/tickers',
    found.map((listing) => tickerText(listing, date)),
    100,
  )
}

function tickerText({ symbol, company, active, delistedOn }: StandInListing, date: SessionDate): JsonText {
  return objectText([
    ['ticker', text(symbol)],
    ['name', text(company.name)],
    ['market', text(company.market)],
    ['locale', text('us')],
    ['primary_exchange', company.exchange === null ? undefined : text(company.exchange)],
    ['type', text(company.type)],
    ['active', String(active)],
    ['currency_name', text('usd')],
    ['cik', company.type === 'ETF' ? undefined : text(String(company.id).padStart(10, '0'))],
    ['last_updated_utc', text(`${date}T00:00:00Z`)],
    ['delisted_utc', delistedOn === null ? undefined : text(`${delistedOn}T00:00:00Z`)],
  ])
}

function splits(market: StandInMarket, request: RouteRequest): RouteAnswer {
  const { query } = request
  const from = query.get('execution_date.gte') ?? query.get('execution_date') ?? ''
  const to = query.get('execution_date.lte') ?? query.get('execution_date') ?? '9999'
  const found = market
    .splits()
    .filter(({ date, symbol }) => date >= from && date <= to && (query.get('ticker') ?? symbol) === symbol)
    .map((split) =>
      objectText([
        ['id', text(`E${split.date.replaceAll('-', '')}${split.symbol}`)],
        ['ticker', text(split.symbol)],
        ['execution_date', text(split.date)],
        ['split_from', String(split.from)],
        ['split_to', String(split.to)],
      ]),
    )
  return listPage(request, '/v3/reference/splits', found, 10)
}

function listPage(
  request: RouteRequest,
  path: string,
  items: readonly JsonText[],
  defaultLimit: number,
): RouteAnswer {
  const cursor = readCursor(request.query)
  const limit = cursor?.limit ?? Math.min(1_000, Number(request.query.get('limit') ?? defaultLimit))
  if (!(limit >= 1)) return failure(400, 'ERROR', request.requestId, 'error', 'Could not parse the limit.')
  const page = cursor?.page ?? 1
  const last = page * limit >= items.length
  if (last && request.fault === 'missingPage')
    return failure(500, 'ERROR', request.requestId, 'error', 'Internal error.')
  const shown = items.slice((page - 1) * limit, page * limit)
  const next = last
    ? undefined
    : nextUrl(request, path, { page: page + 1, limit, adjusted: true, again: false })
  return {
    status: 200,
    body: objectText([
      ['results', shown.length === 0 ? undefined : listText(shown)],
      ['status', text('OK')],
      ['request_id', text(request.requestId)],
      ['count', String(shown.length)],
      ['next_url', next === undefined ? undefined : text(next)],
    ]),
  }
}

function upcoming(market: StandInMarket): RouteAnswer {
  const found: JsonText[] = []
  for (let ahead = 1; ahead <= 365; ahead++) {
    const date = addDays(market.asOf, ahead)
    const weekday = new Date(`${date}T00:00:00Z`).getUTCDay()
    if (weekday === 0 || weekday === 6) continue
    const session = market.calendar.session(date)
    if (session !== undefined && !session.early) continue
    for (const exchange of ['NYSE', 'NASDAQ']) {
      found.push(
        objectText([
          ['date', text(date)],
          ['exchange', text(exchange)],
          ['name', text(session === undefined ? 'Holiday' : 'Early close')],
          ['status', text(session === undefined ? 'closed' : 'early-close')],
          ['open', session === undefined ? undefined : text(new Date(session.openAt).toISOString())],
          ['close', session === undefined ? undefined : text(new Date(session.closeAt).toISOString())],
        ]),
      )
    }
  }
  return { status: 200, body: listText(found) }
}

function nextUrl({ origin, query, fault }: RouteRequest, path: string, cursor: Cursor): string {
  const url = new URL(`${fault === 'foreignNext' ? FOREIGN_HOST : origin}${path}`)
  const packed = new URLSearchParams({
    page_no: String(cursor.page),
    limit: String(cursor.limit),
    adjusted: String(cursor.adjusted),
    ...(cursor.again ? { again: '1' } : {}),
    sort: 'asc',
  })
  // Lists carry their filters inside the cursor as well.
  for (const name of ['market', 'active', 'date', 'ticker', 'execution_date.gte', 'execution_date.lte']) {
    const value = query.get(name)
    if (value !== null) packed.set(name, value)
  }
  url.searchParams.set('cursor', Buffer.from(packed.toString()).toString('base64'))
  return url.href
}

/** The query with the filters of its cursor, which win. */
export function unpackCursor(query: URLSearchParams): URLSearchParams {
  const packed = query.get('cursor')
  if (packed === null) return query
  const merged = new URLSearchParams(query)
  for (const [name, value] of new URLSearchParams(Buffer.from(packed, 'base64').toString()))
    merged.set(name, value)
  return merged
}

function readCursor(query: URLSearchParams): Cursor | undefined {
  if (!query.has('cursor')) return undefined
  return {
    page: Number(query.get('page_no')),
    limit: Number(query.get('limit')),
    adjusted: query.get('adjusted') !== 'false',
    again: query.get('again') === '1',
  }
}
