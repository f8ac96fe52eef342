import type { Session, SessionDate } from '@varve/core'
import { exp, hash32, normal, uniform } from './noise.ts'
import { tickerNames } from './names.ts'

/** A company of the stand-in market: what its bars are computed from. */
export interface StandInCompany {
  /** Stable identity; a rename keeps it. */
  readonly id: number
  readonly name: string
  readonly exchange: 'XNYS' | 'XNAS' | 'XASE' | 'ARCX' | null
  readonly market: 'stocks' | 'otc'
  readonly type: 'CS' | 'ETF' | 'ADRC' | 'PFD'
  /** Dollars, around which the price wanders. */
  readonly basePrice: number
  /** Dollars a session, on average. */
  readonly dollarVolume: number
  /** Standard deviation of a session's return. */
  readonly volatility: number
  /** First session; `null`: before the market's history begins. */
  readonly listedOn: SessionDate | null
  /** First day without trading; `null`: still listed. */
  readonly delistedOn: SessionDate | null
  readonly split: StandInSplit | null
  /** Symbols over time: each holds from its date on. */
  readonly symbols: readonly { readonly symbol: string; readonly from: SessionDate | null }[]
}

/** A holder of `from` shares has `to` from `date` on. */
export interface StandInSplit {
  readonly date: SessionDate
  readonly from: number
  readonly to: number
}

const DAYS_BACK = { split: 40, reverseSplit: 25, rename: 30, delisting: 15 } as const

/** Everybody who was ever listed, and what happened to them; a function of the seed and the sessions alone. */
export function createCompanies(seed: number, count: number, sessions: readonly Session[]): StandInCompany[] {
  const recent = (back: number): SessionDate | null => sessions[sessions.length - 1 - back]?.date ?? null
  const names = tickerNames(seed, count + 1)
  return Array.from({ length: count }, (_, id): StandInCompany => {
    const chance = uniform(seed, id, 1)
    // Fixed ids carry what every client must survive; they are liquid, so that it is seen.
    const split: StandInSplit | null =
      id === 10 && recent(DAYS_BACK.split) !== null
        ? { date: recent(DAYS_BACK.split)!, from: 1, to: 4 }
        : id === 11 && recent(DAYS_BACK.reverseSplit) !== null
          ? { date: recent(DAYS_BACK.reverseSplit)!, from: 50, to: 1 }
          : null
    const renamedOn = id === 12 ? recent(DAYS_BACK.rename) : null
    const liquid = id < 20
    const otc = !liquid && chance < 0.04
    const listedOn = !liquid && chance > 0.99 ? recent(hash32(seed, id, 2) % 120) : null
    const delistedOn =
      id === 13
        ? recent(DAYS_BACK.delisting)
        : !liquid && chance > 0.98 && chance <= 0.99
          ? recent(hash32(seed, id, 3) % 200)
          : null
    const exchanges = ['XNYS', 'XNAS', 'XNAS', 'XASE', 'ARCX'] as const
    const exchange = exchanges[hash32(seed, id, 4) % exchanges.length]!
    return {
      id,
      name: `Synthetic Company ${id}`,
      exchange: otc ? null : exchange,
      market: otc ? 'otc' : 'stocks',
      type:
        exchange === 'ARCX' && !otc
          ? 'ETF'
          : uniform(seed, id, 5) < 0.06
            ? 'ADRC'
            : names[id]!.includes('p')
              ? 'PFD'
              : 'CS',
      basePrice: id === 0 ? 600_000 : liquid ? 20 + 10 * id : exp(2.1 + 1.5 * normal(seed, id, 6)),
      dollarVolume: liquid ? 2e7 * (id + 1) : exp(14.5 + 2.4 * normal(seed, id, 7)),
      volatility: 0.012 + 0.016 * uniform(seed, id, 8),
      listedOn,
      delistedOn,
      split,
      symbols: [
        { symbol: names[id]!, from: null },
        ...(renamedOn === null ? [] : [{ symbol: names[count]!, from: renamedOn }]),
      ],
    }
  })
}
