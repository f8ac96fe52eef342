import { VarveError } from './VarveError.ts'

/** Decimals kept by a scaled number. */
export const SCALE_DIGITS = 6
/** One unit of a scaled number: 10^6. */
export const SCALE = 1_000_000n
/** Largest magnitude: 999999999999.999999, as NUMERIC(18,6) holds. */
export const MAX_SCALED = 999_999_999_999_999_999n

export type ParsedScaled =
  | { readonly ok: true; readonly value: bigint }
  | { readonly ok: false; readonly reason: 'not_a_number' | 'too_many_decimals' | 'out_of_range' }

const NUMBER = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/

/**
 * Reads decimal text (`12.5`, `7.0790813e+07`) as a scaled 64-bit integer, exactly or not at all.
 * Trailing zeros beyond six decimals are allowed; any other digit there is `too_many_decimals`.
 */
export function tryParseScaled(text: string): ParsedScaled {
  const match = NUMBER.exec(text)
  const whole = match?.[2] ?? ''
  const fraction = match?.[3] ?? ''
  if (match === null || (whole === '' && fraction === '')) return { ok: false, reason: 'not_a_number' }
  const exponent = match[4] === undefined ? 0 : Number(match[4])
  const digits = (whole + fraction).replace(/^0+/, '')
  if (digits === '') return { ok: true, value: 0n }
  // The value is digits × 10^shift; scaled, it is digits × 10^(shift + 6).
  const shift = exponent - fraction.length + SCALE_DIGITS
  let value: bigint
  if (shift >= 0) {
    if (digits.length + shift > 19) return { ok: false, reason: 'out_of_range' }
    value = BigInt(digits) * 10n ** BigInt(shift)
  } else {
    const cut = digits.length + shift
    const kept = cut > 0 ? digits.slice(0, cut) : ''
    const lost = cut > 0 ? digits.slice(cut) : digits
    if (/[1-9]/.test(lost)) return { ok: false, reason: 'too_many_decimals' }
    if (kept.length > 19) return { ok: false, reason: 'out_of_range' }
    value = kept === '' ? 0n : BigInt(kept)
  }
  if (value > MAX_SCALED) return { ok: false, reason: 'out_of_range' }
  return { ok: true, value: match[1] === '-' ? -value : value }
}

/**
 * Like {@link tryParseScaled}, throwing.
 *
 * @throws `SCALED_INVALID` when the text is no number, has a seventh decimal, or exceeds 999999999999.999999
 */
export function parseScaled(text: string): bigint {
  const parsed = tryParseScaled(text)
  if (!parsed.ok) {
    throw new VarveError(
      `cannot hold "${text}" exactly: expected a decimal of at most 12 digits and 6 decimals (${parsed.reason})`,
      {
        code: 'SCALED_INVALID',
        details: { found: text, reason: parsed.reason },
      },
    )
  }
  return parsed.value
}

/** Canonical decimal text: no exponent, no trailing zeros, no `-0`. */
export function formatScaled(value: bigint): string {
  const negative = value < 0n
  const digits = (negative ? -value : value).toString().padStart(SCALE_DIGITS + 1, '0')
  const whole = digits.slice(0, -SCALE_DIGITS)
  const fraction = digits.slice(-SCALE_DIGITS).replace(/0+$/, '')
  return `${negative ? '-' : ''}${whole}${fraction === '' ? '' : `.${fraction}`}`
}
