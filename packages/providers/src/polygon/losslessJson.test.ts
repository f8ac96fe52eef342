import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { NumberText, parseJson, parseJsonPortable } from './losslessJson.ts'

/** Plain values again, as JSON.parse would have given. */
function plain(value: unknown): unknown {
  if (value instanceof NumberText) return Number(value.text)
  if (Array.isArray(value)) return value.map(plain)
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, plain(item)]))
}

describe('lossless JSON', () => {
  it.each([
    '0.1',
    '7.0790813e+07',
    '123456789.123456789',
    '-0',
    '1E-7',
    '9007199254740993',
    '12345678901234567890',
  ])('keeps the text of %s in both parsers', (text) => {
    expect(parseJson(text)).toEqual(new NumberText(text))
    expect(parseJsonPortable(` [${text} ]`)).toEqual([new NumberText(text)])
  })

  it('gives the same in both parsers as JSON.parse', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 4 }), fc.constantFrom(undefined, 1, '\t'), (json, space) => {
        const text = JSON.stringify(JSON.parse(json), null, space)
        expect(parseJsonPortable(text)).toEqual(parseJson(text))
        expect(plain(parseJsonPortable(text))).toEqual(JSON.parse(text))
      }),
    )
  })

  it('refuses what JSON.parse refuses', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '1',
      '01',
      '1.',
      '-',
      'true',
      'nul',
      '"',
      '\\',
      ' ',
      '\u0001',
    )
    const accepts = (parse: (text: string) => unknown, text: string) => {
      try {
        parse(text)
        return true
      } catch (error) {
        expect(error).toBeInstanceOf(SyntaxError)
        return false
      }
    }
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 8 }), (parts) => {
        const text = parts.join('')
        const expected = accepts(JSON.parse, text)
        expect([accepts(parseJsonPortable, text), accepts(parseJson, text)]).toEqual([expected, expected])
      }),
      { numRuns: 2000 },
    )
  })

  it('takes __proto__ as an ordinary key', () => {
    const parsed = parseJsonPortable('{"__proto__":{"x":true}}') as object
    expect(Object.getPrototypeOf(parsed)).toBe(Object.prototype)
    expect(Object.keys(parsed)).toEqual(['__proto__'])
  })
})
