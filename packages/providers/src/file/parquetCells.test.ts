import type { SchemaElement } from 'hyparquet'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { formatScaled, MAX_SCALED, parseScaled } from '@varve/core'
import { numberDecoder, rawText, timeDecoder } from './parquetCells.ts'
import { parseDouble, parseFloat32, parseTimeText } from './parseCell.ts'

const column = (element: Partial<SchemaElement>): SchemaElement => ({ name: 'x', ...element })
const decimal = (type: 'INT32' | 'INT64' | 'FIXED_LEN_BYTE_ARRAY', scale: number) =>
  column({ type, converted_type: 'DECIMAL', scale, logical_type: { type: 'DECIMAL', precision: 18, scale } })
const bytes = (value: bigint, length: number) =>
  Uint8Array.from({ length }, (_, index) => Number((value >> BigInt(8 * (length - 1 - index))) & 0xffn))

describe('Parquet cells', () => {
  it.each([
    [decimal('INT32', 2), 12_345, '123.45'],
    [decimal('INT64', 4), 12_345n, '1.2345'],
    [decimal('INT64', 0), 7n, '7'],
    [decimal('FIXED_LEN_BYTE_ARRAY', 6), bytes(-1_500_000n, 16), '-1.5'],
    [decimal('FIXED_LEN_BYTE_ARRAY', 8), bytes(150_000_000n, 8), '1.5'],
    [column({ type: 'INT64' }), 42n, '42'],
    [column({ type: 'INT32' }), 42, '42'],
    [column({ type: 'DOUBLE' }), 0.1, '0.1'],
    [column({ type: 'DOUBLE' }), 1e-6, '0.000001'],
    [column({ type: 'FLOAT' }), Math.fround(174.84), '174.84'],
    [column({ type: 'BYTE_ARRAY', converted_type: 'UTF8' }), ' 7.25 ', '7.25'],
  ])('reads %j %s as %s', (element, value, text) => {
    expect(numberDecoder(element)(value)).toBe(parseScaled(text))
  })

  it.each([
    [decimal('INT64', 8), 150_000_001n, 'too_many_decimals'],
    [decimal('INT64', 0), 1_000_000_000_000n, 'out_of_range'],
    [column({ type: 'DOUBLE' }), 0.1 + 0.2, 'too_many_decimals'],
    [column({ type: 'DOUBLE' }), NaN, 'not_a_number'],
    [column({ type: 'DOUBLE' }), Infinity, 'not_a_number'],
    [column({ type: 'INT64' }), null, 'null'],
    [column({ type: 'BYTE_ARRAY' }), '', 'null'],
  ])('refuses %j %s as %s', (element, value, fault) => {
    expect(numberDecoder(element)(value)).toBe(fault)
  })

  it('reads every double written from six decimals back to them', () => {
    const scaled = fc.bigInt({ min: -(10n ** 15n), max: 10n ** 15n })
    fc.assert(
      fc.property(scaled, (value) => {
        expect(parseDouble(Number(formatScaled(value)))).toBe(value)
      }),
    )
    fc.assert(
      fc.property(fc.double({ min: -1e12, max: 1e12, noNaN: true }), (value) => {
        const read = parseDouble(value)
        if (typeof read === 'bigint') expect(Number(formatScaled(read))).toBe(value === 0 ? 0 : value)
      }),
    )
    fc.assert(
      fc.property(fc.integer({ min: -999_999, max: 999_999 }), (value) => {
        expect(parseFloat32(Math.fround(value / 100))).toBe(BigInt(value) * 10_000n)
      }),
    )
  })

  it('undoes no digit of a decimal, whatever its scale', () => {
    const unscaledNumbers = fc.bigInt({ min: -MAX_SCALED, max: MAX_SCALED })
    fc.assert(
      fc.property(unscaledNumbers, fc.integer({ min: 0, max: 12 }), (unscaled, scale) => {
        const read = numberDecoder(decimal('INT64', scale))(unscaled)
        const exact = unscaled * 10n ** 6n
        if (typeof read === 'bigint') expect(read * 10n ** BigInt(scale)).toBe(exact)
        else if (read === 'too_many_decimals') expect(exact % 10n ** BigInt(scale)).not.toBe(0n)
        else expect(read).toBe('out_of_range')
      }),
    )
  })

  it.each([
    [column({ type: 'INT32', converted_type: 'DATE' }), 16_514, '2015-03-20'],
    [
      column({ type: 'INT64', converted_type: 'TIMESTAMP_MILLIS' }),
      BigInt(Date.UTC(2015, 2, 20)),
      '2015-03-20',
    ],
    [
      column({ type: 'INT64', converted_type: 'TIMESTAMP_MICROS' }),
      BigInt(Date.UTC(2015, 2, 20)) * 1000n,
      '2015-03-20',
    ],
    [
      column({ type: 'INT64', logical_type: { type: 'TIMESTAMP', isAdjustedToUTC: true, unit: 'NANOS' } }),
      BigInt(Date.UTC(2015, 2, 20)) * 1_000_000n,
      '2015-03-20',
    ],
    [column({ type: 'INT32' }), 20_150_320, '2015-03-20'],
    [column({ type: 'BYTE_ARRAY', converted_type: 'UTF8' }), '2015-03-20', '2015-03-20'],
  ])('reads the date of %j', (element, value, date) => {
    expect(timeDecoder(element, true)(value)).toBe(Date.parse(date))
  })

  it('refuses a daily timestamp that is no midnight, and dates that do not exist', () => {
    const micros = column({ type: 'INT64', converted_type: 'TIMESTAMP_MICROS' })
    expect(timeDecoder(micros, true)(BigInt(Date.UTC(2015, 2, 20, 5)) * 1000n)).toBe('date_invalid')
    expect(timeDecoder(micros, false)(BigInt(Date.UTC(2015, 2, 20, 5)) * 1000n + 1n)).toBe('date_invalid')
    for (const text of [
      '2015-02-29',
      '20150229',
      '2015-2-3',
      '20/03/2015',
      '2015-02-30T00:00:00Z',
      'soon',
      '0',
    ]) {
      expect(parseTimeText(text, true)).toBe('date_invalid')
    }
    expect(parseTimeText('2015-03-20T00:00:00Z', true)).toBe(Date.UTC(2015, 2, 20))
    expect(parseTimeText('', true)).toBe('null')
  })

  it('writes cells of rejected rows as the file has them', () => {
    expect(rawText(decimal('INT64', 4), 12_340n)).toBe('1.2340')
    expect(rawText(decimal('INT64', 0), -7n)).toBe('-7')
    expect(rawText(decimal('INT64', 6), null)).toBe(null)
    expect(rawText(column({ type: 'INT32', converted_type: 'DATE' }), 16_514)).toBe('2015-03-20')
    expect(rawText(column({ type: 'DOUBLE' }), 0.1)).toBe('0.1')
  })
})
