import { type Layer, type Listing, type SqlTx, formatScaled, isLayer, parseScaled } from '@varve/core'
import type { Company, CompanyStore, CompanyUpdate } from '@varve/layers'

interface CompanyRow {
  readonly symbol: string
  readonly name: string | null
  readonly exchange: string | null
  readonly type: string | null
  readonly active: boolean
  readonly market_cap: string | null
  readonly listed_on: string | null
  readonly delisted_on: string | null
  readonly layer: number | null
  readonly liquidity_score: string | null
  readonly layer_since: string | null
  readonly evaluated_on: string | null
  readonly reasons: unknown
}

const LAYER_OF_ROW = `CASE WHEN layer3_qualified THEN 3 WHEN layer2_qualified THEN 2
  WHEN layer1_qualified THEN 1 WHEN layer0_qualified THEN 0 END`

const LISTING_ROWS = `unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::boolean[], $6::numeric[], $7::date[], $8::date[])
  AS l(symbol, name, exchange, type, is_active, market_cap, listed_on, delisted_on)`

/**
 * Companies in Postgres. In a listing `null` means "the source does not say" and keeps what is known, except that
 * an active listing without a delisting date clears it.
 */
export function createCompanyStore(): CompanyStore {
  return { upsertListings, load, applyUpdates, countByLayer }
}

async function upsertListings(
  tx: SqlTx,
  listings: readonly Listing[],
): Promise<{ added: number; changed: number }> {
  const last = new Map<string, Listing>()
  for (const listing of listings) last.set(listing.symbol, listing)
  if (last.size === 0) return { added: 0, changed: 0 }
  // One order for all writers, so that two of them cannot deadlock.
  const rows = [...last.values()].sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
  const params = [
    rows.map((row) => row.symbol),
    rows.map((row) => row.name),
    rows.map((row) => row.exchange),
    rows.map((row) => row.type),
    rows.map((row) => row.active),
    rows.map((row) => (row.marketCap === null ? null : formatScaled(row.marketCap))),
    rows.map((row) => row.listedOn),
    rows.map((row) => row.delistedOn),
  ]
  const added = await tx.query(
    `INSERT INTO companies (symbol, name, exchange, type, is_active, market_cap, listed_on, delisted_on)
     SELECT * FROM ${LISTING_ROWS}
     WHERE NOT EXISTS (SELECT FROM companies c WHERE c.symbol = l.symbol)
     ON CONFLICT (symbol) DO NOTHING`,
    params,
  )
  if (added.rowCount === rows.length) return { added: added.rowCount, changed: 0 }
  const changed = await tx.query(
    `UPDATE companies c SET name = n.name, exchange = n.exchange, type = n.type, is_active = n.is_active,
       market_cap = n.market_cap, listed_on = n.listed_on, delisted_on = n.delisted_on
     FROM (
       SELECT o.symbol, coalesce(l.name, o.name) AS name, coalesce(l.exchange, o.exchange) AS exchange,
         coalesce(l.type, o.type) AS type, l.is_active, coalesce(l.market_cap, o.market_cap) AS market_cap,
         coalesce(l.listed_on, o.listed_on) AS listed_on,
         CASE WHEN l.is_active THEN l.delisted_on ELSE coalesce(l.delisted_on, o.delisted_on) END AS delisted_on
       FROM ${LISTING_ROWS} JOIN companies o ON o.symbol = l.symbol
     ) n
     WHERE c.symbol = n.symbol
       AND (c.name, c.exchange, c.type, c.is_active, c.market_cap, c.listed_on, c.delisted_on)
         IS DISTINCT FROM (n.name, n.exchange, n.type, n.is_active, n.market_cap, n.listed_on, n.delisted_on)`,
    params,
  )
  return { added: added.rowCount, changed: changed.rowCount }
}

async function load(tx: SqlTx, symbols?: readonly string[]): Promise<Company[]> {
  const { rows } = await tx.query<CompanyRow>(
    `SELECT symbol, name, exchange, type, is_active AS active, market_cap::text AS market_cap, listed_on, delisted_on,
       ${LAYER_OF_ROW} AS layer, liquidity_score::text AS liquidity_score, layer_since, evaluated_on, reasons
     FROM companies ${symbols === undefined ? '' : 'WHERE symbol = ANY($1::text[])'} ORDER BY symbol`,
    symbols === undefined ? [] : [symbols],
  )
  return rows.map((row) => ({
    symbol: row.symbol,
    name: row.name,
    exchange: row.exchange,
    type: row.type,
    active: row.active,
    marketCap: row.market_cap === null ? null : parseMarketCap(row.market_cap),
    listedOn: row.listed_on,
    delistedOn: row.delisted_on,
    layer: isLayer(row.layer) ? row.layer : null,
    liquidityScore: row.liquidity_score === null ? null : Number(row.liquidity_score),
    layerSince: row.layer_since,
    evaluatedOn: row.evaluated_on,
    reasons: row.reasons,
  }))
}

/** Market capitalisations exceed the scaled range of prices, so they are read by their digits. */
function parseMarketCap(text: string): bigint {
  const [whole = '0', fraction = ''] = text.split('.')
  return whole.length <= 12 ? parseScaled(text) : BigInt(whole + fraction.padEnd(6, '0'))
}

async function applyUpdates(tx: SqlTx, updates: readonly CompanyUpdate[]): Promise<void> {
  if (updates.length === 0) return
  const sorted = [...updates].sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : 0))
  const flag = (layer: Layer) =>
    `layer${layer}_qualified = u.layer >= ${layer},
     layer${layer}_updated = CASE WHEN c.layer${layer}_qualified IS DISTINCT FROM (u.layer >= ${layer})
       THEN u.evaluated_on ELSE c.layer${layer}_updated END`
  await tx.query(
    `UPDATE companies c SET ${([0, 1, 2, 3] as const).map(flag).join(', ')},
       liquidity_score = u.liquidity_score, layer_since = u.layer_since, evaluated_on = u.evaluated_on,
       reasons = u.reasons
     FROM unnest($1::text[], $2::int[], $3::numeric[], $4::date[], $5::date[], $6::jsonb[])
       AS u(symbol, layer, liquidity_score, layer_since, evaluated_on, reasons)
     WHERE c.symbol = u.symbol`,
    [
      sorted.map((update) => update.symbol),
      // -1 holds no layer: a null would make the comparisons null.
      sorted.map((update) => update.layer ?? -1),
      sorted.map((update) => (update.liquidityScore === null ? null : update.liquidityScore.toFixed(4))),
      sorted.map((update) => update.layerSince),
      sorted.map((update) => update.evaluatedOn),
      sorted.map((update) => JSON.stringify(update.reasons ?? null)),
    ],
  )
}

async function countByLayer(tx: SqlTx): Promise<Record<Layer, number>> {
  const { rows } = await tx.query<{ l0: number; l1: number; l2: number; l3: number }>(
    `SELECT count(*) FILTER (WHERE layer >= 0)::int AS l0, count(*) FILTER (WHERE layer >= 1)::int AS l1,
       count(*) FILTER (WHERE layer >= 2)::int AS l2, count(*) FILTER (WHERE layer >= 3)::int AS l3
     FROM (SELECT ${LAYER_OF_ROW} AS layer FROM companies) c`,
  )
  const counts = rows[0]
  return { 0: counts?.l0 ?? 0, 1: counts?.l1 ?? 0, 2: counts?.l2 ?? 0, 3: counts?.l3 ?? 0 }
}
