import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BarBatchBuilder, formatScaled } from '@varve/core'
import {
  type AdjustOptions,
  type AdjustedReader,
  createAdjustedReader,
  recordActions,
} from '../src/adjust/index.ts'
import { createBarStore } from '../src/index.ts'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, WIRE, openRecordTest } from './recordsSupport.ts'
import { SIP, type TestStore, engines } from './support.ts'

const at = (date: string) => Date.parse(`${date}T00:00Z`)
const FIRST_KNOWN = at('2014-02-01')
const CORRECTED = at('2014-07-01')

describe.each(engines)('adjusted series of a store on %s', (engine) => {
  let test: TestStore
  let records: RecordStore
  let reader: AdjustedReader

  beforeAll(async () => {
    test = await openRecordTest(engine)
    const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1 })
    const bars = new BarBatchBuilder('1d', SIP)
    for (const [date, close] of [
      ['2014-02-05', 512_590_000n],
      ['2014-02-06', 512_510_000n],
      ['2014-06-06', 645_570_000n],
      ['2014-06-09', 93_700_000n],
    ] as const)
      bars.add('AAPL', at(date), close, close, close, close, 7_000_000n)
    const border = at('2014-06-09')
    const staged = await store.stage(
      bars.build(),
      { hotFrom: () => border, initialWatermark: border },
      { recordedAt: 1 },
    )
    await test.sql.tx((tx) => store.commit(tx, staged))

    records = createRecordStore({ sql: test.sql, lake: test.lake })
    const load = (cash: string, recordedAt: number, source = FEED) =>
      records.load({
        dataset: 'corporate_actions',
        source,
        recordedAt,
        rows: [
          {
            symbol: 'AAPL',
            time: at('2014-02-06'),
            values: {
              kind: 'dividend',
              ex_date: '2014-02-06',
              action_id: 'd1',
              cash_amount: cash,
              currency: 'USD',
            },
          },
          {
            symbol: 'AAPL',
            time: at('2014-06-09'),
            values: { kind: 'split', ex_date: '2014-06-09', action_id: 's1', split_from: '1', split_to: '7' },
          },
          {
            symbol: 'AAPL',
            time: at('2014-06-09'),
            values: { kind: 'symbol_change', ex_date: '2014-06-09', action_id: 'c1', new_symbol: 'APPL' },
          },
        ],
      })
    await load('3', FIRST_KNOWN)
    await load('3.05', CORRECTED)
    // Another provider tells the same; it must not count twice.
    await load('3.05', CORRECTED, WIRE)
    reader = createAdjustedReader({ reader: store, loadActions: recordActions({ records, source: FEED }) })
  })
  afterAll(() => test.close())

  const closes = async (from: string, adjust: AdjustOptions) => {
    const query = { interval: '1d', symbols: ['AAPL'], from: at(from), to: at('2015-01-01') } as const
    const found: string[] = []
    for await (const { bars, warnings, partial } of reader.read(query, adjust)) {
      expect(warnings).toEqual([])
      expect(partial).toBeUndefined()
      for (let row = 0; row < bars.length; row++) found.push(formatScaled(bars.close[row]!))
    }
    return found
  }

  it('come from raw bars, hot and cold, and the actions of one source', async () => {
    // (1 - 3.05 ÷ 512.59) ÷ 7 and 1 ÷ 7 of the raw closes.
    expect(await closes('2014-01-01', { asOf: '2014-12-31' })).toEqual([
      '72.791429',
      '73.215714',
      '92.224286',
      '93.7',
    ])
    expect(await closes('2014-06-01', { asOf: '2014-12-31' })).toEqual(['92.224286', '93.7'])
  })

  it('are refused for two observers at once', async () => {
    const query = { interval: '1d', from: 0, to: 1, knownAt: 1 } as const
    const read = reader.read(query, { asOf: '2014-12-31', knownAt: 2 })[Symbol.asyncIterator]()
    await expect(read.next()).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('are those of an observer of another day, who knew another amount', async () => {
    expect(await closes('2014-01-01', { asOf: '2014-06-06', dividends: false })).toEqual([
      '512.59',
      '512.51',
      '645.57',
    ])
    // 1 - 3 ÷ 512.59 as first reported.
    expect(await closes('2014-01-01', { asOf: '2014-06-06', knownAt: CORRECTED - 1 })).toEqual([
      '509.59',
      '512.51',
      '645.57',
    ])
    expect(await closes('2014-01-01', { asOf: '2014-06-06', knownAt: CORRECTED })).toEqual([
      '509.54',
      '512.51',
      '645.57',
    ])
    expect(await closes('2014-01-01', { asOf: '2014-06-06', knownAt: FIRST_KNOWN - 1 })).toEqual([
      '512.59',
      '512.51',
      '645.57',
    ])
  })
})
