import { describe, expect, it } from 'vitest'
import { type BarBatch, BarBatchBuilder, DAY_MS, addDays, dayNumber, parseScaled } from '@varve/core'
import fc from 'fast-check'
import type { BarSource } from '@varve/core'
import type { BarQuery } from '../BarStore.ts'
import { type AdjustedBatch, createAdjustedReader } from './AdjustedReader.ts'
import { adjustBars } from './adjustBars.ts'
import type { CorporateAction } from './CorporateAction.ts'
import { parseRational, rational, scaleHalfEven } from './Rational.ts'
import { scaleColumn } from './scaleColumn.ts'
import { closesOf } from './sessionCloses.ts'
import { sessionStart } from './sessionStart.ts'

const SOURCE: BarSource = { provider: 'polygon', feed: 'sip', adjustment: 'raw' }
const START = '2020-01-01'
const AS_OF = '2021-01-01'

/** One bar a day from {@link START} on; all four prices alike. */
function daily(closes: readonly string[], symbol = 'A', volume = '100'): BarBatch {
  const builder = new BarBatchBuilder('1d', SOURCE)
  closes.forEach((text, index) => {
    const price = parseScaled(text)
    builder.add(symbol, (dayNumber(START) + index) * DAY_MS, price, price, price, price, parseScaled(volume))
  })
  return builder.build()
}

const split = (day: number, from: string, to: string): CorporateAction => ({
  kind: 'split',
  symbol: 'A',
  exDate: addDays(START, day),
  from,
  to,
})
const dividend = (day: number, cash: string): CorporateAction => ({
  kind: 'dividend',
  symbol: 'A',
  exDate: addDays(START, day),
  cash,
})
const closes = (batch: BarBatch) => [...batch.close.subarray(0, batch.length)]

describe('adjusting bars', () => {
  it('divides earlier prices and multiplies earlier volumes by a split', () => {
    const { bars } = adjustBars(daily(['70', '10']), [split(1, '1', '7')], { asOf: AS_OF })
    expect(closes(bars)).toEqual([10_000_000n, 10_000_000n])
    expect([...bars.volume]).toEqual([700_000_000n, 100_000_000n])
  })

  it('does the opposite for a reverse split, keeping fractions of shares', () => {
    const { bars } = adjustBars(daily(['1', '30'], 'A', '100'), [split(1, '30', '1')], { asOf: AS_OF })
    expect(bars.close[0]).toBe(30_000_000n)
    // 100 ÷ 30 = 3.3333333…
    expect(bars.volume[0]).toBe(3_333_333n)
  })

  it('takes a dividend out as a share of the close before it', () => {
    const { bars } = adjustBars(daily(['50', '100', '98']), [dividend(2, '2')], { asOf: AS_OF })
    expect(closes(bars)).toEqual([49_000_000n, 98_000_000n, 98_000_000n])
    expect([...bars.volume.subarray(0, 3)]).toEqual([100_000_000n, 100_000_000n, 100_000_000n])
  })

  it('measures a dividend of a split day on the new share basis, whatever the order of the two', () => {
    const actions = [split(1, '1', '2'), dividend(1, '1')]
    // Held at 100, worth 50 after the split: 1 - 1 ÷ 50, times one half.
    for (const list of [actions, [...actions].reverse()])
      expect(adjustBars(daily(['100', '49']), list, { asOf: AS_OF }).bars.close[0]).toBe(49_000_000n)
    // Also when prices themselves are not put on the new basis.
    expect(adjustBars(daily(['100', '49']), actions, { asOf: AS_OF, splits: false }).bars.close[0]).toBe(
      98_000_000n,
    )
  })

  it('adds up what is paid on one day', () => {
    const result = adjustBars(daily(['100', '90']), [dividend(1, '4'), dividend(1, '6')], { asOf: AS_OF })
    expect(result.bars.close[0]).toBe(90_000_000n)
  })

  it('takes a spin-off out by the share of value that stays', () => {
    const spinOff = { kind: 'spin_off', symbol: 'A', exDate: addDays(START, 1), kept: '0.75' } as const
    expect(adjustBars(daily(['100', '75']), [spinOff], { asOf: AS_OF }).bars.close[0]).toBe(75_000_000n)
    const unknown = adjustBars(daily(['100', '75']), [{ ...spinOff, kept: undefined }], { asOf: AS_OF })
    expect(unknown.warnings).toMatchObject([{ reason: 'not_supported', kind: 'spin_off' }])
  })

  it('shows what was known: neither later ex-dates nor later news', () => {
    const batch = daily(['70', '10'])
    const announced = { ...split(1, '1', '7'), knownAt: 5000 }
    expect(adjustBars(batch, [announced], { asOf: START }).bars.close).toBe(batch.close)
    expect(adjustBars(batch, [announced], { asOf: AS_OF, knownAt: 4999 }).applied).toBe(0)
    expect(adjustBars(batch, [announced], { asOf: AS_OF, knownAt: 5000 }).applied).toBe(1)
  })

  it('hands back the same columns, labelled, where nothing applies', () => {
    const batch = daily(['70', '10'])
    const result = adjustBars(batch, [], { asOf: AS_OF, dividends: false })
    expect(result.bars).toMatchObject({ source: { adjustment: 'split' } })
    expect(result.bars.open).toBe(batch.open)
    expect(adjustBars(batch, [], { asOf: AS_OF, splits: false }).adjustment).toBe('dividend')
    expect(adjustBars(batch, [], { asOf: AS_OF, splits: false, dividends: false }).adjustment).toBe('raw')
    // An action on or before the first bar has no earlier price to change, and is no fault.
    expect(adjustBars(batch, [dividend(0, '1')], { asOf: AS_OF })).toMatchObject({ applied: 0, warnings: [] })
  })

  it('refuses to adjust twice', () => {
    const once = adjustBars(daily(['70', '10']), [], { asOf: AS_OF }).bars
    expect(() => adjustBars(once, [], { asOf: AS_OF })).toThrow(
      expect.objectContaining({ code: 'ADJUST_NOT_RAW' }),
    )
  })

  it('names every action it cannot apply', () => {
    const warned = (actions: CorporateAction[], batch = daily(['10', '10'])) => {
      const result = adjustBars(batch, actions, { asOf: AS_OF })
      expect(result.bars.close).toBe(batch.close)
      return result.warnings.map(({ reason }) => reason)
    }
    expect(warned([dividend(1, '10')])).toEqual(['ratio_not_positive'])
    expect(warned([dividend(1, '-1')])).toEqual(['value_invalid'])
    expect(warned([dividend(1, 'one')])).toEqual(['value_invalid'])
    expect(warned([split(1, '1', '0')])).toEqual(['value_invalid'])
    expect(warned([{ ...dividend(1, '1'), currency: 'EUR' } as CorporateAction])).toEqual([
      'foreign_currency',
    ])
    expect(warned([dividend(30, '1')])).toEqual(['no_previous_close'])
    expect(warned([{ kind: 'rights', symbol: 'A', exDate: addDays(START, 1) }])).toEqual(['not_supported'])
  })

  it('leaves other symbols alone', () => {
    const result = adjustBars(daily(['70', '10'], 'B'), [split(1, '1', '7')], { asOf: AS_OF })
    expect(result).toMatchObject({ applied: 0 })
  })

  it('changes intraday bars at midnight of the exchange, by given closes', () => {
    const builder = new BarBatchBuilder('1m', SOURCE)
    // 20:30 in New York on the day before the ex-date is past midnight in UTC.
    const evening = Date.parse('2020-07-02T00:30Z')
    const morning = Date.parse('2020-07-02T08:00Z')
    for (const time of [evening, morning]) builder.add('A', time, 100n, 100n, 100n, 100n, 100n)
    const action: CorporateAction = { kind: 'split', symbol: 'A', exDate: '2020-07-02', from: '1', to: '2' }
    expect(closes(adjustBars(builder.build(), [action], { asOf: AS_OF }).bars)).toEqual([50n, 100n])
    expect(sessionStart('2020-07-02', 'America/New_York')).toBe(Date.parse('2020-07-02T04:00Z'))
    expect(sessionStart('2020-03-08', 'America/New_York')).toBe(Date.parse('2020-03-08T05:00Z'))
    expect(sessionStart('2020-11-02', 'America/New_York')).toBe(Date.parse('2020-11-02T05:00Z'))
  })

  const price = fc.integer({ min: 1_000_000, max: 500_000_000 })
  const ratio = fc.constantFrom(['1', '2'], ['1', '7'], ['2', '3'], ['20', '21'], ['10', '1'], ['30', '1'])
  const series = fc.array(price, { minLength: 3, maxLength: 12 })
  const toText = (value: number) => (value / 1_000_000).toFixed(6)

  it('is undone by putting a split-adjusted series back on its basis', () => {
    fc.assert(
      fc.property(series, ratio, (values, [from, to]) => {
        // Multiples of every ratio's terms, so that nothing is rounded.
        const batch = daily(values.map((value) => toText(Math.ceil(value / 210) * 210)))
        const there = adjustBars(batch, [split(2, from!, to!)], { asOf: AS_OF }).bars
        const raw = { ...there, source: SOURCE }
        const back = adjustBars(raw, [split(2, to!, from!)], { asOf: AS_OF }).bars
        expect(closes(back)).toEqual(closes(batch))
        expect(
          [...back.volume].map((volume) => Number(volume - 100_000_000n)).every((off) => Math.abs(off) <= 30),
        ).toBe(true)
      }),
    )
  })

  it('does not depend on the order of actions, nor of rows', () => {
    const action = fc.oneof(
      fc.tuple(fc.integer({ min: 1, max: 11 }), ratio).map(([day, [from, to]]) => split(day, from!, to!)),
      fc
        .tuple(fc.integer({ min: 1, max: 11 }), fc.integer({ min: 1, max: 90 }))
        .map(([day, cents]) => dividend(day, (cents / 1000).toFixed(3))),
    )
    fc.assert(
      fc.property(series, fc.array(action, { maxLength: 6 }), fc.func(fc.nat()), (values, actions, order) => {
        const batch = daily(values.map(toText))
        const shuffled = actions
          .map((entry, index) => ({ entry, at: order(index) }))
          .sort((a, b) => a.at - b.at)
          .map(({ entry }) => entry)
        const one = adjustBars(batch, actions, { asOf: AS_OF })
        const other = adjustBars(batch, shuffled, { asOf: AS_OF })
        expect(closes(other.bars)).toEqual(closes(one.bars))
        const backwards = new BarBatchBuilder('1d', SOURCE)
        for (let row = batch.length - 1; row >= 0; row--) backwards.addFrom(batch, row)
        expect(closes(adjustBars(backwards.build(), actions, { asOf: AS_OF }).bars).reverse()).toEqual(
          closes(one.bars),
        )
      }),
    )
  })

  it('makes adjusted returns total returns at ex-dates when dividends are reinvested', () => {
    fc.assert(
      fc.property(
        price,
        price,
        fc.integer({ min: 1, max: 900 }),
        ratio,
        (before, after, cents, [from, to]) => {
          // Large enough prices that rounding to 6 decimals stays below one part in a million.
          const batch = daily([toText(before * 100), toText(after * 100)])
          const cash = cents / 100
          const actions = [split(1, from!, to!), dividend(1, cash.toFixed(2))]
          const { bars } = adjustBars(batch, actions, { asOf: AS_OF, dividendMethod: 'reinvested' })
          const held = (before / 10_000) * (Number(from) / Number(to))
          const total = (after / 10_000 + cash) / held
          const adjusted = Number(bars.close[1]) / Number(bars.close[0])
          expect(Math.abs(adjusted / total - 1)).toBeLessThan(1e-6)
          // Control: by the previous close the same return is that of a cheaper purchase, and differs.
          if (cash > 1 && cash < held / 2 && Math.abs(after / 10_000 - held + cash) > 1) {
            const other = adjustBars(batch, actions, { asOf: AS_OF }).bars
            const cheaper = after / 10_000 / (held - cash)
            expect(Math.abs(Number(other.close[1]) / Number(other.close[0]) / cheaper - 1)).toBeLessThan(1e-6)
            expect(Math.abs(cheaper / total - 1)).toBeGreaterThan(1e-9)
          }
        },
      ),
    )
  })
})

describe('scaling a column', () => {
  const factor = fc
    .array(fc.tuple(fc.bigInt({ min: 1n, max: 10n ** 9n }), fc.bigInt({ min: 1n, max: 10n ** 9n })), {
      minLength: 1,
      maxLength: 30,
    })
    .map((parts) =>
      parts.reduce(
        (all, [a, b]) => rational(all.numerator * a, all.denominator * (b > a ? b : a)),
        rational(1n, 1n),
      ),
    )
  const small = fc
    .constantFrom('0.5', '0.25', '0.125', '0.1', '0.9', '1.5')
    .map((text) => parseRational(text)!)
  const value = fc.oneof(
    fc.bigInt({ min: 0n, max: 10n ** 9n }),
    fc.bigInt({ min: 2n ** 50n, max: 2n ** 55n }),
    fc.bigInt({ min: -1000n, max: 10n ** 17n }),
  )

  it('rounds as exact fractions do, half to even, always', () => {
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 50 }), fc.oneof(factor, small), (values, by) => {
        const from = BigInt64Array.from(values)
        const to = new BigInt64Array(values.length)
        scaleColumn(from, to, 0, values.length, by)
        expect([...to]).toEqual(values.map((entry) => scaleHalfEven(entry, by)))
      }),
      { numRuns: 500 },
    )
  })

  it('differs from a product of doubles, which is wrong', () => {
    const values = Array.from({ length: 1000 }, (_, index) => 9_007_199_254_740_993n + BigInt(index) * 2n)
    const by = rational(1n, 3n)
    const naive = values.map((entry) => BigInt(Math.round(Number(entry) * (1 / 3))))
    expect(
      naive.filter((entry, index) => entry !== scaleHalfEven(values[index]!, by)).length,
    ).toBeGreaterThan(100)
  })

  it('needs integers of any size for few rows only', () => {
    const values = BigInt64Array.from(
      { length: 10_000 },
      (_, index) => 100_000_000n + BigInt(index) * 10_007n,
    )
    const to = new BigInt64Array(values.length)
    expect(scaleColumn(values, to, 0, values.length, rational(994_084_103n, 7_000_000_003n))).toBeLessThan(10)
  })

  it('refuses what 12 digits do not hold', () => {
    const to = new BigInt64Array(1)
    expect(() => scaleColumn(BigInt64Array.of(10n ** 17n), to, 0, 1, rational(30n, 1n))).toThrow(
      expect.objectContaining({ code: 'ADJUST_OUT_OF_RANGE' }),
    )
  })
})

describe('reading an adjusted series', () => {
  const all = daily(['100', '100', '98', '97', '50', '51'])
  const queries: BarQuery[] = []
  const reader = createAdjustedReader({
    reader: {
      async *read(query) {
        queries.push(query)
        const builder = new BarBatchBuilder('1d', SOURCE)
        for (let row = 0; row < all.length; row++)
          if (all.time[row]! >= query.from && all.time[row]! < query.to) builder.addFrom(all, row)
        yield builder.build()
      },
    },
    loadActions: () => Promise.resolve([dividend(2, '2'), split(4, '1', '2')]),
  })
  const at = (day: number) => (dayNumber(START) + day) * DAY_MS
  const read = async (from: number, to: number, asOf: string) => {
    const found: AdjustedBatch[] = []
    const query = { interval: '1d', symbols: ['A'], from: at(from), to: at(to) } as const
    for await (const batch of reader.read(query, { asOf })) found.push(batch)
    expect(found).toHaveLength(1)
    return found[0]!
  }

  it('gives a part of the range the prices it has in the whole, whatever is outside it', async () => {
    const whole = await read(0, 6, AS_OF)
    expect(whole.applied).toBe(2)
    expect(closes(whole.bars)).toEqual(
      [49n, 49n, 49n, 48_500_000n, 50n, 51n].map((p) => (p > 100n ? p : p * 1_000_000n)),
    )
    const part = await read(0, 1, AS_OF)
    expect(closes(part.bars)).toEqual(closes(whole.bars).slice(0, 1))
    // The close before the dividend is outside the range, and was asked for.
    expect(queries.at(-1)).toMatchObject({ interval: '1d', source: SOURCE, to: at(3) })
  })

  it('ends at the date of the observer', async () => {
    const seen = await read(0, 6, addDays(START, 2))
    expect(closes(seen.bars)).toEqual([98_000_000n, 98_000_000n, 98_000_000n])
    expect(closesOf([all]).before('A', START)).toBeUndefined()
  })
})
