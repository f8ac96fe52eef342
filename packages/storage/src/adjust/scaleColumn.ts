import { MAX_SCALED, VarveError } from '@varve/core'
import { type Rational, scaleHalfEven, toDouble } from './Rational.ts'

/** Position of the lower half of a 64-bit number on this machine. */
const LOW = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1 ? 0 : 1
const HIGH = 1 - LOW
const WORD = 4_294_967_296
/** High halves up to here make numbers a double holds exactly: 2^53 / 2^32. */
const EXACT_HIGH = 2_097_152
/**
 * Bound of the relative error of `value × toDouble(factor)`: 2^-52 of the factor, 2^-53 of the product, and room.
 */
const ERROR = 2 ** -50

/**
 * Multiplies rows `start` to `end` of a column by a factor, each result rounded once, ties to even.
 *
 * Nearly all rows are settled by one multiplication of doubles whose error is bounded: unless the product lies so
 * close to a half that the bound does not say on which side, its rounding is that of the exact product. The few
 * others, and numbers a double cannot hold, are computed with integers of any size.
 *
 * @returns rows that needed them
 * @throws `ADJUST_OUT_OF_RANGE` when a result has more than 12 digits before the point
 */
export function scaleColumn(
  from: BigInt64Array,
  to: BigInt64Array<ArrayBuffer>,
  start: number,
  end: number,
  factor: Rational,
): number {
  if (factor.numerator === factor.denominator) {
    to.set(from.subarray(start, end), start)
    return 0
  }
  const multiplier = toDouble(factor)
  const input = new Int32Array(from.buffer, from.byteOffset, from.length * 2)
  const output = new Int32Array(to.buffer, to.byteOffset, to.length * 2)
  let exact = 0
  for (let row = start; row < end; row++) {
    const high = input[2 * row + HIGH]!
    if (high >= 0 && high < EXACT_HIGH) {
      const product = (high * WORD + (input[2 * row + LOW]! >>> 0)) * multiplier
      const floor = Math.floor(product)
      const above = product - floor - 0.5
      const error = product * ERROR
      if (above > error || above < -error) {
        const result = above > 0 ? floor + 1 : floor
        output[2 * row + LOW] = (result % WORD) | 0
        output[2 * row + HIGH] = (result / WORD) | 0
        continue
      }
    }
    to[row] = inRange(scaleHalfEven(from[row]!, factor))
    exact++
  }
  return exact
}

function inRange(value: bigint): bigint {
  if (value <= MAX_SCALED && value >= -MAX_SCALED) return value
  throw new VarveError(
    `an adjusted value of ${value} millionths does not fit 12 digits before the point; check the splits of the series`,
    { code: 'ADJUST_OUT_OF_RANGE', details: { value: String(value) } },
  )
}
