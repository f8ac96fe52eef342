import { isVarveError, type Listing, publish, type SessionDate, VarveError } from '@varve/core'
import type { MarketDataProvider } from '@varve/providers'
import type { PipelineContext } from './context.ts'
import { requireProvider } from './requireProvider.ts'

export interface ListResult {
  readonly listed: number
  readonly added: number
  readonly changed: number
  readonly delisted: number
}

/**
 * Brings `companies` in line with what the provider lists at a session. Companies that vanished become inactive,
 * unless so many vanished at once that the delivery itself is in doubt.
 *
 * @throws `LISTING_EMPTY` when nothing is listed, `LISTING_SUSPECT` when more than the configured share is missing; nothing is changed
 */
export async function refreshListing(
  ctx: PipelineContext,
  asOf: SessionDate,
  signal?: AbortSignal,
): Promise<ListResult> {
  const provider = requireProvider(ctx)
  const { listings, whole } = await listingsOf(ctx, provider, asOf, signal)
  if (listings.length === 0) {
    throw new VarveError(`${provider.name} lists no symbol at ${asOf}; check the date against the data`, {
      code: 'LISTING_EMPTY',
      details: { provider: provider.name, asOf },
    })
  }
  const named = new Set(listings.map((listing) => listing.symbol))
  const companies = await ctx.companies.load(ctx.sql)
  const active = companies.filter((company) => company.active)
  // A list of our own says nothing about what is no longer listed.
  const vanished = whole ? active.filter((company) => !named.has(company.symbol)) : []
  const allowed = ctx.options.missingListingShare * active.length
  if (vanished.length > allowed) {
    throw new VarveError(
      `${provider.name} lists ${listings.length} symbols at ${asOf}, but ${vanished.length} of ${active.length} active companies are missing from it; nothing was changed. Check the delivery, or raise missingListingShare in scanner.yaml`,
      {
        code: 'LISTING_SUSPECT',
        details: { listed: listings.length, missing: vanished.length, active: active.length },
      },
    )
  }
  const gone: Listing[] = vanished.map((company) => ({
    ...listingOf(company),
    active: false,
    delistedOn: company.delistedOn ?? asOf,
  }))
  const { added, changed } = await ctx.sql.tx((tx) =>
    ctx.companies.upsertListings(tx, [...(whole ? listings : unknownOf(listings, companies)), ...gone]),
  )
  publish('log', () => ({
    level: 'info',
    component: 'pipeline',
    message: 'listing refreshed',
    listed: listings.length,
    added,
    changed,
    delisted: gone.length,
  }))
  return { listed: listings.length, added, changed, delisted: gone.length }
}

/** A bare symbol adds a company, and never overwrites what a provider once said of one. */
function unknownOf(listings: readonly Listing[], companies: readonly Listing[]): Listing[] {
  const known = new Set(companies.map(({ symbol }) => symbol))
  return listings.filter(({ symbol }) => !known.has(symbol))
}

/** What the provider lists; where its plan may not, the configured symbols. */
async function listingsOf(
  ctx: PipelineContext,
  provider: MarketDataProvider,
  asOf: SessionDate,
  signal: AbortSignal | undefined,
): Promise<{ readonly listings: readonly Listing[]; readonly whole: boolean }> {
  const { fallbackSymbols, exchange } = ctx.options
  try {
    return { listings: await provider.listings({ asOf, signal }), whole: true }
  } catch (error) {
    if (!isVarveError(error, 'PROVIDER_ENTITLEMENT') || fallbackSymbols.length === 0) throw error
    publish('log', () => ({
      level: 'warn',
      component: 'pipeline',
      message: `${provider.name} may not list symbols on this plan; working on ${fallbackSymbols.join(', ')}`,
    }))
    const unknown = { name: null, type: null, marketCap: null, listedOn: null, delistedOn: null }
    return {
      listings: fallbackSymbols.map((symbol) => ({ symbol, exchange, active: true, ...unknown })),
      whole: false,
    }
  }
}

function listingOf(company: Listing): Listing {
  const { symbol, name, exchange, type, active, marketCap, listedOn, delistedOn } = company
  return { symbol, name, exchange, type, active, marketCap, listedOn, delistedOn }
}
