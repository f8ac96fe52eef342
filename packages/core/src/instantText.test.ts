import { describe, expect, it } from 'vitest'
import { parseInstantText } from './instantText.ts'

describe('parseInstantText', () => {
  it.each([
    ['2015-06-30', '2015-06-30T00:00:00.000Z'],
    ['20150630', '2015-06-30T00:00:00.000Z'],
    ['2015-06-30T20:00:00Z', '2015-06-30T20:00:00.000Z'],
    ['2015-06-30 16:00:00.5-04:00', '2015-06-30T20:00:00.500Z'],
    ['2015-06-30T20:00Z', '2015-06-30T20:00:00.000Z'],
    ['2015-06-30T16:00:00-0400', '2015-06-30T20:00:00.000Z'],
    ['2015-06-30T20:00:00.123000Z', '2015-06-30T20:00:00.123Z'],
  ])('%s is %s', (text, expected) => {
    expect(new Date(parseInstantText(text)).toISOString()).toBe(expected)
  })

  it.each([
    ['', 'nothing'],
    ['2015-06-30 10:00', 'a time without a zone'],
    ['2015-06-30T10:00:00', 'a time without a zone'],
    ['2015-02-30', 'an impossible date'],
    ['20150631', 'an impossible date'],
    ['2015-06-30T25:00:00Z', 'an impossible hour'],
    ['2015-06-30T20:00:00.1234Z', 'a fraction of a millisecond'],
    ['5', 'a number'],
    ['AAPL 7', 'a word'],
    ['1435622400000', 'a number'],
  ])('%s is none: %s', (text) => {
    expect(parseInstantText(text)).toBeNaN()
  })

  it('Date.parse takes most of them (control)', () => {
    expect(Date.parse('2015-02-30')).not.toBeNaN()
    expect(Date.parse('AAPL 7')).not.toBeNaN()
  })
})
