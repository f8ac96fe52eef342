import type { Listing, SessionDate } from '@varve/core'
import { tryParseScaled } from '@varve/core'
import { providerError } from './classify.ts'
import type { JsonObject } from './fields.ts'
import { asObject, dateOf, numberTextOf, textOf } from './fields.ts'
import type { Call, Transport } from './transport.ts'

/** A split as announced; a holder of `from` shares has `to` afterwards. */
export interface ProviderSplit {
  readonly symbol: string
  /** First session at the new price. */
  readonly executionDate: SessionDate
  /** Scaled by 10^6. */
  readonly from: bigint
  readonly to: bigint
}

interface ListContext {
  readonly provider: string
  readonly transport: Transport
  readonly maxPages: number
}

/** All items of a paged reference endpoint. */
export async function fetchList(
  { provider, transport, maxPages }: ListContext,
  call: Call,
  endpoint: string,
  firstUrl: string,
): Promise<JsonObject[]> {
  const items: JsonObject[] = []
  const visited = new Set<string>()
  let url: string | undefined = firstUrl
  while (url !== undefined) {
    if (visited.has(url) || visited.size >= maxPages) {
      throw providerError(provider, 'PROVIDER_INCOMPLETE', `${endpoint}: pages do not end`)
    }
    visited.add(url)
    const announced = visited.size > 1
    const page: { readonly results: readonly JsonObject[]; readonly nextUrl: string | undefined } =
      await transport.get(call, url, endpoint, (body) => {
        const results = body['results'] ?? []
        const found = Array.isArray(results) ? results.map(asObject) : [undefined]
        if (found.some((item) => item === undefined)) {
          throw providerError(provider, 'PROVIDER_MALFORMED', `${endpoint}: results are no list of objects`)
        }
        const nextUrl = textOf(body['next_url'])
        // An announced page without items is a hiccup far more often than an end: ask again, then fail the list.
        if (announced && found.length === 0) {
          throw providerError(provider, 'PROVIDER_INCOMPLETE', `${endpoint}: an announced page was empty`)
        }
        return { results: found as JsonObject[], nextUrl }
      })
    items.push(...page.results)
    url = page.nextUrl
  }
  return items
}

/** A ticker as a listing; `undefined` when it has no symbol. */
export function toListing(item: JsonObject): Listing | undefined {
  const symbol = textOf(item['ticker'])
  if (symbol === undefined || symbol === '') return undefined
  const marketCap = tryParseScaled(numberTextOf(item['market_cap']) ?? '')
  return {
    symbol,
    name: textOf(item['name']) ?? null,
    exchange: textOf(item['primary_exchange']) ?? (textOf(item['market']) === 'otc' ? 'XOTC' : null),
    type: textOf(item['type']) ?? null,
    active: item['active'] !== false,
    marketCap: marketCap.ok ? marketCap.value : null,
    listedOn: dateOf(item['list_date']) ?? null,
    delistedOn: dateOf(item['delisted_utc']) ?? null,
  }
}

/** @throws `PROVIDER_MALFORMED` for a split without symbol, date or ratio */
export function toSplit(provider: string, item: JsonObject): ProviderSplit {
  const symbol = textOf(item['ticker'])
  const executionDate = dateOf(item['execution_date'])
  const from = tryParseScaled(numberTextOf(item['split_from']) ?? '')
  const to = tryParseScaled(numberTextOf(item['split_to']) ?? '')
  if (
    symbol === undefined ||
    executionDate === undefined ||
    !from.ok ||
    !to.ok ||
    from.value <= 0n ||
    to.value <= 0n
  ) {
    throw providerError(provider, 'PROVIDER_MALFORMED', 'splits: one lacks its ticker, date or ratio')
  }
  return { symbol, executionDate, from: from.value, to: to.value }
}
