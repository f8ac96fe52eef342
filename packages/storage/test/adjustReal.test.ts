import { describe, expect, it } from 'vitest'
import { type BarBatch, BarBatchBuilder, DAY_MS, dayNumber, dayOf, parseScaled } from '@varve/core'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import {
  type CorporateAction,
  type VendorFactor,
  adjustBars,
  checkFactors,
  closesOf,
} from '../src/adjust/index.ts'
import { parseRational, rational, scaleHalfEven } from '../src/adjust/Rational.ts'
import { SIP } from './support.ts'

const DATA = process.env.VARVE_TEST_DATA ?? ''
const WIKI = join(DATA, 'corporate-actions/wiki_raw_and_adjusted_2014.csv')
const LEAN_FACTORS = join(DATA, 'lean/factor_files/aapl.csv')
const LEAN_DAILY = join(DATA, 'lean/daily.csv.gz')
const COLUMNS = ['open', 'high', 'low', 'close', 'volume'] as const
const PRICES = ['open', 'high', 'low', 'close'] as const

type Row = Record<string, string>

function csv(text: string, header?: readonly string[]): Row[] {
  const lines = text.trim().split(/\r?\n/)
  const names = header ?? lines.shift()!.split(',')
  return lines.map((line) => {
    const cells = line.split(',')
    return Object.fromEntries(names.map((name, index) => [name, cells[index] ?? '']))
  })
}

function rawBars(rows: readonly Row[], symbol: (row: Row) => string): BarBatch {
  const builder = new BarBatchBuilder('1d', SIP)
  for (const row of rows) {
    const [open, high, low, close, volume] = COLUMNS.map((name) => parseScaled(row[name]!)) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ]
    builder.add(symbol(row), dayNumber(row.date!) * DAY_MS, open, high, low, close, volume)
  }
  return builder.build()
}

/** Answers are binary doubles written with 14 digits: compared as the 6 decimals we give. */
function answer(text: string): bigint {
  return scaleHalfEven(1_000_000n, parseRational(text)!)
}

function wikiActions(rows: readonly Row[]): CorporateAction[] {
  return rows.flatMap((row): CorporateAction[] => {
    const at = { symbol: row.ticker!, exDate: row.date! }
    return [
      ...(Number(row['ex-dividend']) === 0
        ? []
        : [{ ...at, kind: 'dividend' as const, cash: row['ex-dividend']! }]),
      ...(Number(row.split_ratio) === 1
        ? []
        : [{ ...at, kind: 'split' as const, from: '1', to: row.split_ratio! }]),
    ]
  })
}

describe.skipIf(!existsSync(WIKI))('a year of prices that were published raw and adjusted', () => {
  const rows = csv(readFileSync(WIKI, 'utf8'))
  const bars = rawBars(rows, (row) => row.ticker!)
  // The file was made years later. What distributions after 2014 left of a price is the same for every row, and is
  // taken from one cell, the last close; all the others check it.
  const last = rows.findLast((row) => row.ticker === 'AAPL')!
  const left = parseRational(last.adj_close!)!
  const close = parseRational(last.close!)!
  const kept = rational(left.numerator * close.denominator, left.denominator * close.numerator)
  const later: CorporateAction = {
    kind: 'spin_off',
    symbol: 'AAPL',
    exDate: '2015-01-02',
    kept: `0.${scaleHalfEven(10n ** 18n, kept)
      .toString()
      .padStart(18, '0')}`,
  }
  const actions = [...wikiActions(rows), later]

  const mismatches = (adjusted: BarBatch, columns: readonly (typeof COLUMNS)[number][] = COLUMNS) =>
    columns.reduce(
      (count, name) =>
        count + rows.filter((row, index) => adjusted[name][index] !== answer(row[`adj_${name}`]!)).length,
      0,
    )

  it('gives all 2,060 published numbers', () => {
    expect(rows).toHaveLength(412)
    expect(wikiActions(rows)).toHaveLength(5)
    const result = adjustBars(bars, actions, { asOf: '2018-03-27', dividendMethod: 'reinvested' })
    expect(result.warnings).toEqual([])
    expect(result.applied).toBe(6)
    expect(result.adjustment).toBe('all')
    expect(mismatches(result.bars)).toBe(0)
  })

  it('gives none of the prices before the dividends by the other convention, which is not this publisher’s', () => {
    const result = adjustBars(bars, actions, { asOf: '2018-03-27' })
    expect(mismatches(result.bars, ['volume'])).toBe(0)
    const before = rows.filter((row) => row.ticker === 'AAPL' && row.date! < '2014-11-06').length
    expect(mismatches(result.bars, ['close'])).toBe(before)
  })

  it('fails when a close after the split measures a dividend before it', () => {
    const wrong = closesOf([
      adjustBars(bars, wikiActions(rows), { asOf: '2014-12-31', dividends: false }).bars,
    ])
    const result = adjustBars(bars, actions, {
      asOf: '2018-03-27',
      dividendMethod: 'reinvested',
      closes: wrong,
    })
    expect(mismatches(result.bars, PRICES)).toBeGreaterThan(300)
  })

  it('shows the year as of the day before the split as it was then', () => {
    const result = adjustBars(bars, actions, { asOf: '2014-06-08', dividends: false })
    expect(result.applied).toBe(0)
    expect(result.bars.close).toBe(bars.close)
    const after = adjustBars(bars, actions, { asOf: '2014-06-09', dividends: false })
    const row = rows.findIndex(({ date }) => date === '2014-06-06')
    // 645.57 ÷ 7 = 92.22428571…
    expect(after.bars.close[row]).toBe(92_224_286n)
    expect(after.bars.volume[row]).toBe(bars.volume[row]! * 7n)
  })
})

describe.skipIf(!existsSync(LEAN_FACTORS))('factor files of another engine', () => {
  const rows = csv(readFileSync(LEAN_FACTORS, 'utf8'), ['date', 'price', 'split', 'reference']).map(
    (row): Row => ({
      ...row,
      date: `${row.date!.slice(0, 4)}-${row.date!.slice(4, 6)}-${row.date!.slice(6)}`,
    }),
  )
  const daily = csv(gunzipSync(readFileSync(LEAN_DAILY)).toString()).filter(
    (row) => row.symbol === 'AAPL' && row.date! >= '2012-01-01',
  )
  const bars = rawBars(daily, () => 'AAPL')
  const sessions = daily.map((row) => row.date!)
  const known = rows.slice(3, -1)
  // The file tells cash only by its effect, to 7 decimals; Apple's dividends have 3 at most.
  const actions = known.flatMap((row, index): CorporateAction[] => {
    const next = rows[index + 4]!
    const exDate = sessions.find((date) => date > row.date!)!
    const cash = (1 - Number(row.price) / Number(next.price)) * Number(row.reference)
    const split = Number(next.split) / Number(row.split)
    return [
      ...(cash < 0.001
        ? []
        : [
            {
              kind: 'dividend' as const,
              symbol: 'AAPL',
              exDate,
              cash: (Math.round(cash * 200) / 200).toFixed(3),
            },
          ]),
      ...(Math.abs(split - 1) < 1e-6
        ? []
        : [{ kind: 'split' as const, symbol: 'AAPL', exDate, from: '1', to: split.toFixed(0) }]),
    ]
  })
  const vendor = known.map((row): VendorFactor => ({
    date: row.date!,
    split: row.split!,
    dividend: row.price!,
  }))
  const result = adjustBars(bars, actions, { asOf: dayOf(bars.time[bars.length - 1]! / DAY_MS) })
  const ours = result.factors.get('AAPL')!

  it('agree with ours over nine years, 35 dividends and two splits', () => {
    expect(result.warnings).toEqual([])
    expect(actions.filter(({ kind }) => kind === 'split')).toHaveLength(2)
    expect(actions.filter(({ kind }) => kind === 'dividend').length).toBeGreaterThanOrEqual(35)
    // Factors of the file are products of rounded ones: its last digits wander.
    expect(checkFactors(ours, vendor, '0.000002')).toEqual([])
  })

  it('agree with the dividends and the split another source published for 2014', () => {
    const published = new Map(
      wikiActions(csv(readFileSync(WIKI, 'utf8'))).map((action) => [
        `${action.kind} ${action.exDate}`,
        action,
      ]),
    )
    for (const action of actions.filter(({ exDate }) => exDate.startsWith('2014-'))) {
      const other = published.get(`${action.kind} ${action.exDate}`)
      expect(other).toBeDefined()
      if (action.kind === 'dividend' && other?.kind === 'dividend')
        expect(Number(action.cash)).toBe(Number(other.cash))
    }
  })

  it('name the date and size of a difference', () => {
    const wrong = vendor.map((row) => (row.date === '2014-06-06' ? { ...row, split: '0.25' } : row))
    expect(checkFactors(ours, wrong, '0.000002')).toEqual([
      {
        symbol: 'AAPL',
        date: '2014-06-06',
        kind: 'split',
        ours: '0.035714286',
        vendor: '0.25',
        difference: '-0.214285714',
      },
    ])
  })
})
