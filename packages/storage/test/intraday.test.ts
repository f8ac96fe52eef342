import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type Interval, BarBatchBuilder, barAt, formatScaled, parseScaled } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BAR_TABLES } from '../src/bars/barTables.ts'
import { ensurePartitions, existingSpans, partitionsAhead, spanOf, spanStart } from '../src/hot/partitions.ts'
import { type BarStore, createBarStore } from '../src/index.ts'
import { DAY, SIP, type TestStore, openTestStore } from './support.ts'

const root = process.env.VARVE_TEST_DATA ?? ''
const NAMES = ['open', 'high', 'low', 'close', 'volume'] as const
const [monthly, weekly] = BAR_TABLES as [(typeof BAR_TABLES)[0], (typeof BAR_TABLES)[0]]

/** Rows of a file as text: symbol, instant, and the numbers without the zeros at their end. */
function readCsv(name: string): { symbol: string; time: number; values: string[] }[] {
  const lines = gunzipSync(readFileSync(join(root, 'lean', name)))
    .toString()
    .trim()
    .split('\n')
    .slice(1)
  return lines.map((line) => {
    const [symbol, time, ...values] = line.split(',') as [string, string, ...string[]]
    return { symbol, time: Date.parse(time), values: values.map((value) => formatScaled(parseScaled(value))) }
  })
}

describe.skipIf(root === '')('real bars of minutes and hours (needs VARVE_TEST_DATA)', () => {
  let test: TestStore
  let store: BarStore

  beforeAll(async () => {
    test = await openTestStore('postgres')
    store = createBarStore({ sql: test.sql, lake: test.lake })
  })
  afterAll(() => test.close())

  const load = async (interval: Interval, rows: ReturnType<typeof readCsv>, hotFrom: number) => {
    const builder = new BarBatchBuilder(interval, SIP)
    for (const { symbol, time, values } of rows) {
      const [open, high, low, close, volume] = values.map(parseScaled) as [
        bigint,
        bigint,
        bigint,
        bigint,
        bigint,
      ]
      builder.add(symbol, time, open, high, low, close, volume)
    }
    const staged = await store.stage(builder.build(), { hotFrom: () => hotFrom, initialWatermark: hotFrom })
    return test.sql.tx((tx) => store.commit(tx, staged))
  }

  const textOf = async (interval: Interval) => {
    const found: string[] = []
    for await (const batch of store.read({ interval, from: -Infinity, to: Infinity })) {
      for (let row = 0; row < batch.length; row++) {
        const bar = barAt(batch, row)
        found.push(`${bar.symbol} ${bar.time} ${NAMES.map((name) => formatScaled(bar[name])).join(' ')}`)
      }
    }
    return found
  }

  it.each([
    ['1m', 'minute_trade.csv.gz', 10_608, Date.UTC(2014, 0, 1)],
    ['1h', 'hour.csv.gz', 39_685, Date.UTC(2020, 6, 1)],
  ] as const)(
    '%s: every digit of every row, hot and cold, and again after moving',
    async (interval, file, count, hotFrom) => {
      const rows = readCsv(file)
      expect(rows).toHaveLength(count)
      const expected = rows
        .map(({ symbol, time, values }) => ({ symbol, time, line: `${symbol} ${time} ${values.join(' ')}` }))
        .sort((a, b) => (a.symbol < b.symbol ? -1 : a.symbol > b.symbol ? 1 : a.time - b.time))
        .map(({ line }) => line)
      const counts = await load(interval, rows, hotFrom)
      expect(counts.inserted).toBe(count)
      expect(counts.hotRows).toBeGreaterThan(500)
      expect(counts.coldRows).toBeGreaterThan(5_000)
      expect(await textOf(interval)).toEqual(expected)
      expect(await load(interval, rows, hotFrom)).toMatchObject({
        inserted: 0,
        updated: 0,
        hotRows: 0,
        coldRows: 0,
      })
      const last = rows.reduce((most, row) => Math.max(most, row.time), 0)
      await store.retain({
        interval,
        asOf: last,
        archiveTo: last - 2 * DAY,
        hotFrom: () => last - DAY,
        coldFrom: () => null,
      })
      await store.compact(interval, { force: true })
      expect(await textOf(interval)).toEqual(expected)
    },
  )

  it('keeps minutes in weeks and hours in months, and drops what everybody has left', async () => {
    const minutes = await existingSpans(test.sql, weekly)
    // The week of the last bars, those kept ready after it, and no week of 2013.
    const first = spanOf(weekly, Date.UTC(2014, 5, 5))
    expect(minutes.filter((span) => span < first)).toEqual([])
    expect(new Date(spanStart(weekly, first)).getUTCDay()).toBe(1)
    expect(
      (await existingSpans(test.sql, monthly)).every((span) => span >= spanOf(monthly, Date.UTC(2020, 6, 1))),
    ).toBe(true)
    const { bars_intraday: ahead } = await partitionsAhead(test.sql, Date.UTC(2014, 5, 9))
    expect(ahead).toBe(3)
  })

  it('has no partition for everything else: a row without one is refused, not misplaced', async () => {
    await expect(
      test.sql.query(
        "INSERT INTO bars_intraday (series_id, ts, recorded_at, open, high, low, close, volume) VALUES (1, '2031-01-01', now(), 1, 1, 1, 1, 1)",
      ),
    ).rejects.toMatchObject({ details: { sqlState: '23514' } })
    const week = spanOf(weekly, Date.UTC(2031, 0, 1))
    expect(await ensurePartitions(test.sql, weekly, [week])).toBe(1)
    expect(await ensurePartitions(test.sql, weekly, [week])).toBe(0)
  })

  it('refuses ticks, which may share an instant', async () => {
    const builder = new BarBatchBuilder('tick', SIP)
    builder.add('A', 0, 1n, 1n, 1n, 1n, 1n)
    await expect(
      store.stage(builder.build(), { hotFrom: () => 0, initialWatermark: 0 }),
    ).rejects.toMatchObject({ code: 'BAR_INVALID' })
  })
})
