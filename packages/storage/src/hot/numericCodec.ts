import { SCALE } from '@varve/core'
import { HIGH_WORD, LOW_WORD, setSafeInteger } from '../bars/BarColumns.ts'

/**
 * Postgres' binary NUMERIC, to and from a scaled 64-bit integer, digit by digit. NUMERIC is a list of base-10000
 * digits: digit i stands for d × 10000^(weight − i).
 *
 * @see PostgreSQL source, src/backend/utils/adt/numeric.c, numeric_send and numeric_recv
 */

const WORD = 4_294_967_296
/** Values whose high half lies within ±2^20 are below 2^52 and exact as a double. */
const SAFE_HIGH = 1 << 20
const SIGN_NEGATIVE = 0x4000

/** Bytes of the longest encoded value with its length prefix. */
export const MAX_NUMERIC_BYTES = 4 + 8 + 2 * 5

/** Writes row `row` of a scaled column, length prefix included; returns the position after it. */
export function encodeNumeric(target: Uint8Array, start: number, words: Int32Array, row: number): number {
  const high = words[2 * row + HIGH_WORD]!
  const low = words[2 * row + LOW_WORD]!
  let negative = false
  let whole: number
  let fraction: number
  if (high >= -SAFE_HIGH && high < SAFE_HIGH) {
    let value = high * WORD + (low >>> 0)
    if (value < 0) {
      negative = true
      value = -value
    }
    whole = Math.floor(value / 1_000_000)
    fraction = value - whole * 1_000_000
  } else {
    let value = (BigInt(high) << 32n) | BigInt(low >>> 0)
    if (value < 0n) {
      negative = true
      value = -value
    }
    whole = Number(value / SCALE)
    fraction = Number(value % SCALE)
  }
  // Five digits at most: three before the point (below 10^12), two after it.
  const first = whole >= 1e8 ? Math.floor(whole / 1e8) : 0
  const rest = whole - first * 1e8
  const second = (rest / 1e4) | 0
  const third = rest - second * 1e4
  const fourth = (fraction / 100) | 0
  const fifth = (fraction - fourth * 100) * 100
  let at = start + 12
  let digits = 0
  let weight = 0
  if (first !== 0) {
    target[at++] = first >> 8
    target[at++] = first
    digits = 1
    weight = 2
  }
  if (digits !== 0 || second !== 0) {
    if (digits === 0) weight = 1
    target[at++] = second >> 8
    target[at++] = second
    digits++
  }
  if (digits !== 0 || third !== 0) {
    target[at++] = third >> 8
    target[at++] = third
    digits++
  }
  if (fourth !== 0 || fifth !== 0) {
    if (digits === 0) weight = -1
    if (digits !== 0 || fourth !== 0) {
      target[at++] = fourth >> 8
      target[at++] = fourth
      digits++
    } else {
      weight = -2
    }
    if (fifth !== 0) {
      target[at++] = fifth >> 8
      target[at++] = fifth
      digits++
    }
  }
  // Zero and values below 10000 without fraction keep weight 0.
  target[start] = 0
  target[start + 1] = 0
  target[start + 2] = 0
  target[start + 3] = 8 + 2 * digits
  target[start + 4] = 0
  target[start + 5] = digits
  target[start + 6] = weight >> 8
  target[start + 7] = weight
  target[start + 8] = negative ? SIGN_NEGATIVE >> 8 : 0
  target[start + 9] = 0
  target[start + 10] = 0
  target[start + 11] = 6
  return at
}

/** Reads the NUMERIC at `at` (after its length prefix) into row `row` of a scaled column. */
export function decodeNumeric(
  source: Uint8Array,
  at: number,
  words: Int32Array,
  values: BigInt64Array,
  row: number,
): void {
  const digits = (source[at]! << 8) | source[at + 1]!
  const weight = ((source[at + 2]! << 24) >> 16) | source[at + 3]!
  const negative = ((source[at + 4]! << 8) | source[at + 5]!) === SIGN_NEGATIVE
  let whole = 0
  let fraction = 0
  for (let index = 0, from = at + 8; index < digits; index++, from += 2) {
    const digit = (source[from]! << 8) | source[from + 1]!
    const power = weight - index
    if (power >= 0) whole = whole * 10_000 + digit
    else if (power === -1) fraction += digit * 100
    else if (power === -2) fraction += digit / 100
  }
  // Trailing zero digits are not stored.
  for (let missing = weight - digits + 1; missing > 0; missing--) whole *= 10_000
  if (whole < 4_503_599_627) {
    const value = whole * 1_000_000 + fraction
    setSafeInteger(words, row, negative ? -value : value)
  } else {
    const value = BigInt(whole) * SCALE + BigInt(fraction)
    values[row] = negative ? -value : value
  }
}
