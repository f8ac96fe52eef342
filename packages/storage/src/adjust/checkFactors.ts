import type { SessionDate } from '@varve/core'
import { type Rational, formatRational, parseRational, subtract } from './Rational.ts'
import type { SymbolFactors } from './factors.ts'

/** Cumulative factors a vendor publishes, for sessions up to and including a date. */
export interface VendorFactor {
  /** Last session it applies to: the one before an ex-date. */
  readonly date: SessionDate
  /** What splits make of a price, as decimal text. @defaultValue not compared */
  readonly split?: string | undefined
  /** What distributions make of a price, as decimal text. @defaultValue not compared */
  readonly dividend?: string | undefined
}

/** A factor of ours and a vendor's that differ. */
export interface FactorDisagreement {
  readonly symbol: string
  readonly date: SessionDate
  readonly kind: 'split' | 'dividend'
  /** Decimal text, 9 decimals. */
  readonly ours: string
  readonly vendor: string
  readonly difference: string
}

/**
 * Compares cumulative factors with a vendor's. A check only: adjusted prices are never made from a vendor's factors.
 * Both must be as of the same date: what is 1 on the vendor's last row has to be 1 in ours.
 *
 * @param ours - as {@link computeFactors} or `adjustBars` gives them
 * @param tolerance - largest difference that is none, as decimal text; a vendor with 7 decimals differs by `0.0000005`
 * in each factor, and by more where it multiplied rounded ones
 * @returns disagreements by date; empty when all agree
 */
export function checkFactors(
  ours: SymbolFactors,
  vendor: readonly VendorFactor[],
  tolerance: string,
): FactorDisagreement[] {
  const allowed = parseRational(tolerance) ?? ZERO
  const found: FactorDisagreement[] = []
  for (const row of [...vendor].sort((a, b) => (a.date < b.date ? -1 : 1))) {
    const step = ours.steps.find(({ exDate }) => row.date < exDate)
    for (const kind of ['split', 'dividend'] as const) {
      const text = row[kind]
      if (text === undefined) continue
      const mine = step?.[kind] ?? ONE
      const theirs = parseRational(text)
      const difference = theirs === undefined ? undefined : subtract(mine, theirs)
      if (difference !== undefined && isWithin(difference, allowed)) continue
      found.push({
        symbol: ours.symbol,
        date: row.date,
        kind,
        ours: formatRational(mine, DECIMALS),
        vendor: text,
        difference: difference === undefined ? 'not a number' : formatRational(difference, DECIMALS),
      })
    }
  }
  return found
}

const ZERO: Rational = { numerator: 0n, denominator: 1n }
const ONE: Rational = { numerator: 1n, denominator: 1n }
/** Digits shown of a factor. */
const DECIMALS = 9

function isWithin(value: Rational, limit: Rational): boolean {
  const size = value.numerator < 0n ? -value.numerator : value.numerator
  return size * limit.denominator <= limit.numerator * value.denominator
}
