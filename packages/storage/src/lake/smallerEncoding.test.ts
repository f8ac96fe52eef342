import { constants, zstdCompressSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { smallerEncoding } from './smallerEncoding.ts'

const zstd = (bytes: Uint8Array) =>
  zstdCompressSync(bytes, { params: { [constants.ZSTD_c_compressionLevel]: 3 } })

/** Steps of at most `most` ticks of 10^-4, without a pattern. */
function walk(length: number, most: number): BigInt64Array {
  const values = new BigInt64Array(length)
  let state = 7
  let price = 1_000_000
  for (let row = 0; row < length; row++) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    price += Math.round((state / 4_294_967_296 - 0.5) * 2 * most)
    values[row] = BigInt(price) * 100n
  }
  return values
}

describe('smallerEncoding', () => {
  it('keeps values that repeat as they are', () => {
    const few = BigInt64Array.from({ length: 20_000 }, (_, row) => BigInt((row * 7919) % 90) * 10_000n)
    expect(smallerEncoding(few, zstd)).toBe('PLAIN')
  })

  it('writes a fine random walk as deltas', () => {
    expect(smallerEncoding(walk(20_000, 1000), zstd)).toBe('DELTA_BINARY_PACKED')
  })

  it('answers for a single value, and the same for the same values', () => {
    const one = BigInt64Array.of(-5n)
    expect(smallerEncoding(one, zstd)).toBe(smallerEncoding(one.slice(), zstd))
  })
})
