import { describe, expect, it } from 'vitest'
import { checkRows } from './checkRows.ts'

const SOURCE = { provider: 'test', feed: 'file', adjustment: 'raw' } as const
const DAY = Date.UTC(2015, 5, 30)
const dividend = (cash: string, more: object = {}) => ({
  symbol: 'AAPL',
  time: DAY,
  values: { kind: 'dividend', ex_date: '2015-06-30', cash_amount: cash, currency: 'USD', ...more },
})
const check = (rows: object[]) =>
  checkRows({ dataset: 'corporate_actions', source: SOURCE, rows: rows as never }, DAY)

describe('two rows of one batch that share a key', () => {
  it('are refused where nothing tells them apart: the second would hide the first', () => {
    const { rows, errors } = check([dividend('0.5'), dividend('3')])
    expect(rows).toHaveLength(1)
    expect(errors).toMatchObject([{ index: 1, rule: 'key_ambiguous', column: 'action_id' }])
  })

  it('are taken where they are equal, named, of another key, or of another time of recording', () => {
    const rows = [
      dividend('0.5'),
      dividend('0.5'),
      dividend('3', { action_id: 'special' }),
      { ...dividend('4'), key: 'own' },
      { ...dividend('5'), recordedAt: DAY + 1 },
    ]
    expect(check(rows)).toMatchObject({ errors: [], rows: { length: 5 } })
  })
})
