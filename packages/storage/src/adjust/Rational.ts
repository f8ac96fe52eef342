import { VarveError } from '@varve/core'

/** An exact fraction; the denominator is above zero. Not always in lowest terms. */
export interface Rational {
  readonly numerator: bigint
  readonly denominator: bigint
}

/** The fraction that changes nothing. */
export const ONE: Rational = { numerator: 1n, denominator: 1n }

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a < 0n ? -a : a, b < 0n ? -b : b]
  while (y !== 0n) [x, y] = [y, x % y]
  return x
}

/** `numerator / denominator` in lowest terms. */
export function rational(numerator: bigint, denominator: bigint): Rational {
  if (denominator === 0n) {
    throw new VarveError(`cannot divide ${numerator} by zero; check the values of the corporate action`, {
      code: 'ADJUST_VALUE_INVALID',
    })
  }
  const sign = denominator < 0n ? -1n : 1n
  const common = greatestCommonDivisor(numerator, denominator)
  if (common === 0n) return { numerator: 0n, denominator: 1n }
  return { numerator: (sign * numerator) / common, denominator: (sign * denominator) / common }
}

/** Product, exact. Not in lowest terms: of many dividends little cancels, and looking for it takes most of the time. */
export function multiply(a: Rational, b: Rational): Rational {
  if (a === ONE) return b
  if (b === ONE) return a
  return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator }
}

/** Sum, exact. */
export function add(a: Rational, b: Rational): Rational {
  return rational(a.numerator * b.denominator + b.numerator * a.denominator, a.denominator * b.denominator)
}

/** Difference, exact. */
export function subtract(a: Rational, b: Rational): Rational {
  return add(a, { numerator: -b.numerator, denominator: b.denominator })
}

/** `1 / a`. */
export function invert(a: Rational): Rational {
  return rational(a.denominator, a.numerator)
}

const DECIMAL = /^([+-]?)(\d{1,40})(?:\.(\d{1,40}))?$/

/** Decimal text of any number of digits as a fraction, exactly; `undefined` when it is none. */
export function parseRational(text: string): Rational | undefined {
  const match = DECIMAL.exec(text)
  if (match === null) return undefined
  const [, sign, whole = '', fraction = ''] = match
  const digits = BigInt(whole + fraction)
  return rational(sign === '-' ? -digits : digits, 10n ** BigInt(fraction.length))
}

/** `value × factor` rounded to an integer, ties to the even one. */
export function scaleHalfEven(value: bigint, factor: Rational): bigint {
  const product = value * factor.numerator
  const { denominator } = factor
  let quotient = product / denominator
  let remainder = product % denominator
  // Division truncates; the quotient is to be the floor.
  if (remainder < 0n) {
    quotient -= 1n
    remainder += denominator
  }
  const twice = 2n * remainder
  if (twice > denominator || (twice === denominator && (quotient & 1n) === 1n)) quotient += 1n
  return quotient
}

/** Bits of a quotient that is to become a double: more than the 53 it holds. */
const QUOTIENT_BITS = 64

/** The double next to a positive fraction, off by less than 2^-52 of it. */
export function toDouble({ numerator, denominator }: Rational): number {
  const shift = QUOTIENT_BITS - (numerator.toString(2).length - denominator.toString(2).length)
  const quotient =
    shift >= 0 ? (numerator << BigInt(shift)) / denominator : numerator / (denominator << BigInt(-shift))
  return Number(quotient) * 2 ** -shift
}

/** Decimal text with `decimals` digits after the point, ties to even. For people and for comparing. */
export function formatRational(value: Rational, decimals: number): string {
  const scaled = scaleHalfEven(10n ** BigInt(decimals), value)
  const digits = (scaled < 0n ? -scaled : scaled).toString().padStart(decimals + 1, '0')
  const text = decimals === 0 ? digits : `${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`
  return scaled < 0n ? `-${text}` : text
}
