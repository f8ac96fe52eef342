import type { SessionDate } from './sessionDate.ts'

/** A listing as a provider gives it. */
export interface Listing {
  /** In the exchange's form: `BRK.B`, `KIMpL`. */
  readonly symbol: string
  readonly name: string | null
  /** Market identifier code (ISO 10383), such as `XNYS`; `null` when the source does not say. */
  readonly exchange: string | null
  /** `CS`, `ETF`, `ADRC`, … as the source spells it; `null` when unknown. */
  readonly type: string | null
  readonly active: boolean
  /** Market capitalisation in dollars, scaled by 10^6; `null` when unknown. */
  readonly marketCap: bigint | null
  readonly listedOn: SessionDate | null
  readonly delistedOn: SessionDate | null
}
