import { createExchangeCalendar } from '@varve/calendar'
import { BarBatchBuilder, dayNumber, parseScaled } from '@varve/core'
import { describe, expect, it } from 'vitest'
import { BarValidator } from './validate.ts'

const calendar = createExchangeCalendar('XNYS')
const source = { provider: 'file', feed: 'test', adjustment: 'raw' } as const

type Row = readonly [
  date: string,
  open: string,
  high: string,
  low: string,
  close: string,
  volume?: string,
  symbol?: string,
]

function batchOf(rows: readonly Row[]) {
  const builder = new BarBatchBuilder('1d', source)
  rows.forEach(([date, open, high, low, close, volume = '100', symbol = 'AAPL'], index) => {
    const [o, h, l, c, v] = [open, high, low, close, volume].map(parseScaled) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ]
    builder.add(symbol, dayNumber(date) * 86_400_000, o, h, l, c, v, index + 1)
  })
  return builder.build()
}

function validator() {
  return new BarValidator({
    calendar,
    jumpRatio: 1.8,
    spikeReturnRatio: 1.1,
    origin: (row) => `test.csv#${row}`,
    detectedAt: 0,
  })
}

/** Judges rows in one go, or cut into pushes of `chunk` rows. */
function judge(rows: readonly Row[], chunk = rows.length) {
  const target = validator()
  const findings = []
  let accepted = 0
  for (let from = 0; from < rows.length; from += chunk) {
    const result = target.push(batchOf(rows.slice(from, from + chunk)))
    findings.push(...result.findings)
    accepted += result.accepted.length
  }
  const rest = target.flush({ interval: '1d', source })
  return { findings: [...findings, ...rest.findings], accepted: accepted + rest.accepted.length }
}

describe('BarValidator', () => {
  it.each<[string, Row]>([
    ['not_a_session', ['2015-04-03', '10', '11', '9', '10']], // Good Friday
    ['not_a_session', ['2015-04-04', '10', '11', '9', '10']], // Saturday
    ['price_not_positive', ['2015-04-06', '0', '11', '0', '10']],
    ['volume_negative', ['2015-04-06', '10', '11', '9', '10', '-1']],
    ['high_below_low', ['2015-04-06', '10', '9', '11', '10']],
    ['open_outside_range', ['2015-04-06', '12', '11', '9', '10']],
    ['close_outside_range', ['2015-04-06', '10', '11', '9', '8']],
    ['symbol_invalid', ['2015-04-06', '10', '11', '9', '10', '1', 'A B']],
  ])('sets aside a row that breaks %s, with its source row', (rule, row) => {
    const { findings, accepted } = judge([row])
    expect(accepted).toBe(0)
    expect(findings).toMatchObject([
      { rule, severity: 'error', origin: 'test.csv#1', raw: { close: row[4] } },
    ])
  })

  it('accepts what markets really do: prices above 100,000, fractions of a cent, classes of shares', () => {
    const rows: Row[] = [
      ['2015-04-06', '214500', '215000', '214000', '214999.99', '250', 'BRK.A'],
      ['2015-04-06', '0.000001', '0.000002', '0.000001', '0.000002', '1', 'KIMpL'],
    ]
    expect(judge(rows)).toMatchObject({ accepted: 2, findings: [] })
  })

  it('stores a bar without volume, and marks it', () => {
    expect(judge([['2015-04-06', '10', '10', '10', '10', '0']])).toMatchObject({
      accepted: 1,
      findings: [{ rule: 'volume_zero', severity: 'warning' }],
    })
  })

  const spike: Row[] = [
    ['2015-04-06', '40', '40', '40', '40'],
    ['2015-04-07', '20', '20', '20', '20'],
    ['2015-04-08', '41', '41', '41', '41'],
    ['2015-04-09', '42', '42', '42', '42'],
  ]
  const jump: Row[] = [
    ['2015-04-06', '40', '40', '40', '40'],
    ['2015-04-07', '20', '20', '20', '20'],
    ['2015-04-08', '21', '21', '21', '21'],
  ]

  it.each([1, 2, 3, 4])('finds a one-bar spike and nothing else, in pushes of %i rows', (chunk) => {
    const { findings, accepted } = judge(spike, chunk)
    expect(findings.map((item) => [item.rule, item.session])).toEqual([['price_spike', '2015-04-07']])
    expect(accepted).toBe(3)
  })

  it.each([1, 2, 3])('stores a jump that stays, and marks it once, in pushes of %i rows', (chunk) => {
    const { findings, accepted } = judge(jump, chunk)
    expect(findings.map((item) => [item.rule, item.severity])).toEqual([['price_jump', 'warning']])
    expect(accepted).toBe(3)
  })

  it('keeps rejected rows as findings with what the source said', () => {
    const rejected = {
      symbol: 'AAPL',
      time: dayNumber('2015-04-06') * 86_400_000,
      rule: 'null_price',
      message: 'open is empty',
      sourceRow: 7,
      origin: 'test.csv',
      raw: { symbol: 'AAPL', open: null, close: '10.5', volume: '3' },
    }
    const { findings, quarantined } = validator().push(batchOf([]), [rejected])
    expect(quarantined).toBe(1)
    expect(findings).toMatchObject([
      {
        rule: 'null_price',
        origin: 'test.csv#7',
        session: '2015-04-06',
        open: null,
        close: 10_500_000n,
        volume: 3_000_000n,
      },
    ])
  })
})
