import type { DateRange, SessionCalendar } from '@varve/core'
import { addDays, HOUR_MS } from '@varve/core'
import type { ProviderErrorCode, ProviderErrorDetails } from './classify.ts'
import { providerError } from './classify.ts'
import type { JsonObject } from './fields.ts'
import { asObject, integerOf, rawFields, textOf } from './fields.ts'
import type { Call, Transport } from './transport.ts'

/** A window the provider aggregates over. */
export interface AggregateWindow {
  readonly multiplier: number
  readonly timespan: 'minute' | 'day'
  readonly lengthMs: number
}

export interface AggregatesContext {
  readonly provider: string
  readonly transport: Transport
  readonly calendar: SessionCalendar
  /** Base aggregates a page may scan. */
  readonly pageLimit: number
  /** Most pages of one range. */
  readonly maxPages: number
  readonly adjusted: boolean
  /** The current instant: sessions after it are not missed. */
  readonly now: () => number
}

/** One aggregate as it came; `t` is the start of its window. */
export interface Aggregate {
  readonly t: number
  readonly item: JsonObject
}

export interface Aggregates {
  readonly rows: readonly Aggregate[]
  /** Items without a readable `t`. */
  readonly unplaced: readonly JsonObject[]
}

const ENDPOINT = 'aggs'

/**
 * Every page of one symbol's range, in order and without repetitions.
 *
 * A page that contradicts itself or the chain is asked for again and finally fails the range: rows out of order,
 * a count that is not theirs, the wrong adjustment, a next page that starts a session too late, an end although the
 * page was full or a next page had been announced.
 *
 * @throws `PROVIDER_INCOMPLETE`, `PROVIDER_INTEGRITY`, `PROVIDER_MALFORMED` and those of the transport
 */
export async function fetchAggregates(
  context: AggregatesContext,
  call: Call,
  symbol: string,
  window: AggregateWindow,
  range: DateRange,
): Promise<Aggregates> {
  const { transport, pageLimit, adjusted } = context
  const rows: Aggregate[] = []
  const byTime = new Map<number, JsonObject>()
  const unplaced: JsonObject[] = []
  const visited = new Set<string>()
  let url: string | undefined = transport.url(
    `/v2/aggs/ticker/${encodeURIComponent(symbol)}/range/${window.multiplier}/${window.timespan}/${range.from}/${range.to}`,
    { adjusted, sort: 'asc', limit: pageLimit },
  )
  while (url !== undefined) {
    if (visited.has(url) || visited.size >= context.maxPages) {
      throw broken(
        context,
        symbol,
        visited.size < context.maxPages ? 'pages run in a circle' : 'pages do not end',
      )
    }
    visited.add(url)
    const announcedFrom = visited.size === 1 ? undefined : pageStart(url)
    const page: Page = await transport.get(call, url, ENDPOINT, (body) =>
      readPage(context, body, {
        symbol,
        window,
        range,
        byTime,
        last: rows.at(-1)?.t,
        announcedFrom,
        first: visited.size === 1,
      }),
    )
    for (const row of page.rows) {
      rows.push(row)
      byTime.set(row.t, row.item)
    }
    unplaced.push(...page.unplaced)
    url = page.nextUrl
  }
  return { rows, unplaced }
}

interface Chain {
  readonly symbol: string
  readonly window: AggregateWindow
  readonly range: DateRange
  readonly byTime: ReadonlyMap<number, JsonObject>
  /** Start of the last row so far. */
  readonly last: number | undefined
  /** Where the page before said this one starts. */
  readonly announcedFrom: number | undefined
  readonly first: boolean
}

interface Page extends Aggregates {
  readonly nextUrl: string | undefined
}

function readPage(context: AggregatesContext, body: JsonObject, chain: Chain): Page {
  const { symbol, range } = chain
  const items = readItems(context, body, symbol)
  const rows: Aggregate[] = []
  const unplaced: JsonObject[] = []
  let last = chain.last ?? -Infinity
  const seen = new Map<number, JsonObject>()
  for (const item of items) {
    const t = integerOf(item['t'])
    if (t === undefined) {
      unplaced.push(item)
      continue
    }
    const same = seen.get(t) ?? chain.byTime.get(t)
    if (same !== undefined) {
      if (!sameBar(same, item))
        throw wrong(context, symbol, `two different bars at ${new Date(t).toISOString()}`)
      continue
    }
    if (t <= last) throw wrong(context, symbol, `the bar at ${new Date(t).toISOString()} is out of order`)
    last = t
    seen.set(t, item)
    rows.push({ t, item })
  }
  const nextUrl = textOf(body['next_url'])
  if (nextUrl !== undefined) {
    const from = pageStart(nextUrl)
    if (
      from !== undefined &&
      Number.isFinite(last) &&
      skipsSession(context, last + chain.window.lengthMs, from)
    ) {
      throw broken(
        context,
        symbol,
        `the next page starts at ${new Date(from).toISOString()}, a session too late`,
      )
    }
    return { rows, unplaced, nextUrl }
  }
  const end = Math.min(context.now(), context.calendar.midnightOf(addDays(range.to, 1)))
  if (!chain.first && items.length === 0 && chain.announcedFrom !== undefined) {
    if (skipsSession(context, chain.announcedFrom, end))
      throw broken(context, symbol, 'an announced page was empty')
  }
  const scanned = integerOf(body['queryCount'])
  if (scanned !== undefined && scanned >= context.pageLimit && Number.isFinite(last)) {
    if (skipsSession(context, last + chain.window.lengthMs, end)) {
      throw broken(context, symbol, 'a full page named no next one')
    }
  }
  return { rows, unplaced, nextUrl }
}

/** The rows of an envelope; `results` may be absent, null or empty. */
export function readItems(
  context: AggregatesContext,
  body: JsonObject,
  symbol: string | null,
): readonly JsonObject[] {
  const results = body['results'] ?? []
  const items = Array.isArray(results) ? results.map(asObject) : undefined
  const count = integerOf(body['resultsCount'])
  if (items === undefined || items.some((item) => item === undefined)) {
    throw fail(context, 'PROVIDER_MALFORMED', symbol, 'results are no list of objects')
  }
  if (count !== undefined && count !== items.length) {
    throw fail(context, 'PROVIDER_MALFORMED', symbol, `${items.length} results where ${count} were counted`)
  }
  if (items.length > 0) {
    const ticker = textOf(body['ticker'])
    if (symbol !== null && ticker !== undefined && ticker !== symbol) {
      throw wrong(context, symbol, `the answer is about ${ticker}`)
    }
    if (body['adjusted'] !== context.adjusted) {
      throw wrong(context, symbol, `asked adjusted=${context.adjusted}, got ${String(body['adjusted'])}`)
    }
  }
  return items as readonly JsonObject[]
}

/** True when a whole session's regular hours lie between two instants. */
function skipsSession({ calendar }: AggregatesContext, fromMs: number, toMs: number): boolean {
  // Day windows are 25 hours long when the clocks go back.
  if (toMs - fromMs <= HOUR_MS) return false
  return calendar
    .sessionsInRange(calendar.dateOf(fromMs), calendar.dateOf(toMs))
    .some(({ openAt, closeAt }) => openAt >= fromMs && closeAt <= toMs)
}

/** The `from` segment of a paging URL, where it is an instant. */
function pageStart(url: string): number | undefined {
  const match = /\/range\/\d+\/\w+\/(\d{10,14})\//.exec(url)
  return match === null ? undefined : Number(match[1])
}

export function sameBar(a: JsonObject, b: JsonObject): boolean {
  const [left, right] = [rawFields(a), rawFields(b)]
  return ['o', 'h', 'l', 'c', 'v'].every((field) => left[field] === right[field])
}

function fail(
  context: AggregatesContext,
  code: ProviderErrorCode,
  symbol: string | null,
  found: string,
  options: ProviderErrorDetails = {},
): Error {
  const about = symbol === null ? '' : `${symbol}: `
  return providerError(context.provider, code, about + found, {
    ...options,
    details: { ...options.details, ...(symbol === null ? {} : { symbol }) },
  })
}
const broken = (context: AggregatesContext, symbol: string, found: string) =>
  fail(context, 'PROVIDER_INCOMPLETE', symbol, found)
const wrong = (context: AggregatesContext, symbol: string | null, found: string) =>
  fail(context, 'PROVIDER_INTEGRITY', symbol, found)
