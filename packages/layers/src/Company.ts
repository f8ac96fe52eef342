import type { Layer, Listing, SessionDate, SqlTx } from '@varve/core'

/** One row of `companies`: the only record of which layer a symbol is in. */
export interface Company extends Listing {
  /** `null`: not qualified for any layer. */
  readonly layer: Layer | null
  /** log10 of the 20-session average dollar volume, 4 decimals; `null` when unknown. */
  readonly liquidityScore: number | null
  /** Session at which the present layer was entered. */
  readonly layerSince: SessionDate | null
  /** Session of the last evaluation. */
  readonly evaluatedOn: SessionDate | null
  /** Outcome of each criterion at that evaluation, plain JSON. */
  readonly reasons: unknown
}

/** A change of one company, decided by an evaluation. */
export interface CompanyUpdate {
  readonly symbol: string
  readonly layer: Layer | null
  readonly liquidityScore: number | null
  readonly layerSince: SessionDate | null
  readonly evaluatedOn: SessionDate
  readonly reasons: unknown
}

/** Keeps companies. Every method takes the transaction it works in. */
export interface CompanyStore {
  /** Adds new listings and updates changed ones; listings not named keep their row and are untouched. */
  upsertListings(
    tx: SqlTx,
    listings: readonly Listing[],
  ): Promise<{ readonly added: number; readonly changed: number }>
  /** All companies, or those named, by symbol in code-unit order. */
  load(tx: SqlTx, symbols?: readonly string[]): Promise<Company[]>
  /** Writes decided layers, one statement for all. Sets `layerK_updated` only where the flag changed. */
  applyUpdates(tx: SqlTx, updates: readonly CompanyUpdate[]): Promise<void>
  /** Symbols in layer k or higher, for each k (a symbol with layer `null` counts nowhere). */
  countByLayer(tx: SqlTx): Promise<Record<Layer, number>>
}
