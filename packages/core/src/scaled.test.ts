import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatScaled, MAX_SCALED, parseScaled, tryParseScaled } from './scaled.ts'

describe('scaled numbers', () => {
  it.each([
    ['0.1', 100_000n],
    ['7.0790813e+07', 70_790_813_000_000n],
    ['0.000001', 1n],
    ['999999999999.999999', MAX_SCALED],
    ['-12.5', -12_500_000n],
    ['100', 100_000_000n],
    ['1e-6', 1n],
    ['0.10000000', 100_000n],
    ['-0', 0n],
    ['.5', 500_000n],
    ['5.', 5_000_000n],
  ])('reads %s exactly', (text, value) => {
    expect(parseScaled(text)).toBe(value)
  })

  it.each([
    ['0.0000001', 'too_many_decimals'],
    ['1.1234567', 'too_many_decimals'],
    ['1000000000000', 'out_of_range'],
    ['1e30', 'out_of_range'],
    ['', 'not_a_number'],
    ['.', 'not_a_number'],
    ['NaN', 'not_a_number'],
    ['1,5', 'not_a_number'],
    [' 1', 'not_a_number'],
  ])('refuses %s as %s', (text, reason) => {
    expect(tryParseScaled(text)).toEqual({ ok: false, reason })
  })

  it('throws SCALED_INVALID naming the text', () => {
    expect(() => parseScaled('1.2345678')).toThrow(expect.objectContaining({ code: 'SCALED_INVALID' }))
  })

  it('gives back every scaled number it writes', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: -MAX_SCALED, max: MAX_SCALED }), (value) => {
        expect(parseScaled(formatScaled(value))).toBe(value)
      }),
    )
  })
})
