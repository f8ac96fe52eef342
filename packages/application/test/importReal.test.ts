import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { formatScaled, parseScaled } from '@varve/core'
import type { QuarantineRow } from '@varve/storage'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Application, importFiles, type RunReport } from '../src/index.ts'
import { contentOf, createPlace, engines, type TestPlace } from './support.ts'

const FILE = join(process.env.VARVE_TEST_DATA || '/nowhere', 'demo/sp500_daily_2013_2018.parquet')
const SOURCE = 'sp500_daily_2013_2018'

type FileRow = Record<'row' | 'symbol' | 'date' | 'open' | 'high' | 'low' | 'close' | 'volume', string | null>

/** Rows of the file as text, with their number in it, counted from 1. */
async function fromFile<Row>(select: string): Promise<Row[]> {
  const instance = await DuckDBInstance.create()
  const db = await instance.connect()
  try {
    const reader = await db.runAndReadAll(
      `WITH f AS (SELECT file_row_number + 1 AS n, * FROM read_parquet('${FILE}', file_row_number = true)) ${select}`,
    )
    return reader.getRowObjectsJson() as Row[]
  } finally {
    db.closeSync()
    instance.closeSync()
  }
}

const columns = `n::text AS row, symbol, date::text AS date, open::text AS open, high::text AS high, low::text AS low,
  close::text AS close, volume::text AS volume`
const rowsWhere = (condition: string) =>
  fromFile<FileRow>(`SELECT ${columns} FROM f WHERE ${condition} ORDER BY n`)

/** Equal as numbers, whatever zeros the text ends in. */
const same = (a: string | null, b: string | null) =>
  a === null || b === null ? a === b : parseScaled(a) === parseScaled(b)

describe.skipIf(!existsSync(FILE)).each(engines)(
  'import of real data on %s (needs VARVE_TEST_DATA)',
  (engine) => {
    let place: TestPlace
    let app: Application
    let report: RunReport
    let findings: QuarantineRow[]
    const byPlace = (symbol: string | null, date: string | null) =>
      findings.filter((finding) => finding.symbol === symbol && finding.session === date)

    beforeAll(async () => {
      place = await createPlace(engine)
      app = await place.open()
      report = await importFiles(app, { files: [FILE], interval: '1d' })
      findings = await app.context.quarantine.load(app.context.sql)
    })
    afterAll(async () => {
      await app.close()
      await place[Symbol.asyncDispose]()
    })

    it('accounts for every row', () => {
      expect(report.bars.offered).toBe(619_040)
      expect(report.bars.accepted + report.bars.quarantined).toBe(619_040)
      expect(report.bars.inserted).toBe(report.bars.accepted)
      expect(report.symbols.listed).toBe(505)
      expect(report.storage.hotRows).toBeGreaterThan(0)
      expect(report.storage.coldRows).toBeGreaterThan(0)
      expect(Object.values(report.quarantine).reduce((sum, count) => sum + count, 0)).toBe(
        report.bars.quarantined,
      )
    })

    it('keeps per symbol the count, the volume and the exact sum of closes of the file', async () => {
      const expected = await fromFile<{ line: string }>(
        `SELECT concat_ws('|', symbol, count(*), sum(volume), coalesce(sum(close), 0)::DECIMAL(38,4)) AS line FROM f GROUP BY symbol ORDER BY symbol`,
      )
      const sums = new Map<string, { count: number; volume: bigint; close: bigint }>()
      const add = (symbol: string, volume: bigint, close: bigint) => {
        const sum = sums.get(symbol) ?? { count: 0, volume: 0n, close: 0n }
        sums.set(symbol, { count: sum.count + 1, volume: sum.volume + volume, close: sum.close + close })
      }
      for await (const batch of app.context.bars.read({ interval: '1d', from: -8.64e14, to: 8.64e14 })) {
        for (let row = 0; row < batch.length; row++) {
          add(batch.symbols[batch.symbolIndex[row]!]!, batch.volume[row]!, batch.close[row]!)
        }
      }
      for (const row of findings)
        if (row.severity === 'error') add(row.symbol, row.volume ?? 0n, row.close ?? 0n)
      const found = [...sums]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(
          ([symbol, sum]) => `${symbol}|${sum.count}|${formatScaled(sum.volume)}|${formatScaled(sum.close)}`,
        )
      const canonical = ({ line }: { line: string }) => {
        const [symbol, count, volume, close] = line.split('|')
        return `${symbol}|${count}|${volume}|${formatScaled(parseScaled(close!))}`
      }
      expect(found).toEqual(expected.map(canonical))
    })

    it('gives every quarantined row a rule and the source row it came from', async () => {
      const errors = findings.filter((row) => row.severity === 'error')
      expect(errors).toHaveLength(report.bars.quarantined)
      const numbers = findings.map((row) => Number(new RegExp(`^${SOURCE}#(\\d+)$`).exec(row.origin)?.[1]))
      expect(numbers.every((number) => number >= 1 && number <= 619_040)).toBe(true)
      const rows = new Map((await rowsWhere(`n IN (${numbers.join()})`)).map((row) => [Number(row.row), row]))
      findings.forEach((finding, index) => {
        const row = rows.get(numbers[index]!)!
        const raw = finding.raw as Record<string, string | null>
        expect(finding.rule).toMatch(/^[a-z_]+$/)
        expect([finding.symbol, finding.session]).toEqual([row.symbol, row.date])
        for (const name of ['open', 'high', 'low', 'close', 'volume'] as const) {
          expect(
            same(raw[name] ?? null, row[name]),
            `${finding.origin} ${name}: ${raw[name]} and ${row[name]}`,
          ).toBe(true)
        }
      })
    })

    it.each([
      ['null prices', 'open IS NULL OR high IS NULL OR low IS NULL', 11, ['null_price'], 'error'],
      ['no open, high and low', 'open IS NULL AND high IS NULL AND low IS NULL', 8, ['null_price'], 'error'],
      ['high below low', 'high < low', 1, ['high_below_low'], 'error'],
      [
        'open outside the range',
        'open > high OR open < low',
        4,
        ['open_outside_range', 'high_below_low'],
        'error',
      ],
      [
        'close outside the range',
        'close > high OR close < low',
        9,
        ['close_outside_range', 'open_outside_range', 'high_below_low'],
        'error',
      ],
      ['nothing traded', 'volume = 0', 4, ['null_price'], 'error'],
      // Half the price of its neighbours, and outside its own day's range, which is judged first.
      [
        'a half-price glitch',
        "symbol = 'LNT' AND date = DATE '2016-05-19'",
        1,
        ['close_outside_range'],
        'error',
      ],
    ] as const)('finds %s by rule', async (_name, condition, count, rules, severity) => {
      const defects = await rowsWhere(condition)
      expect(defects).toHaveLength(count)
      for (const { symbol, date } of defects) {
        const found = byPlace(symbol, date).filter((finding) =>
          (rules as readonly string[]).includes(finding.rule),
        )
        expect(found, `${symbol} ${date}`).not.toHaveLength(0)
        expect(found.some((finding) => finding.severity === severity)).toBe(true)
      }
    })

    it('marks the unadjusted spin-offs as jumps and stores them', () => {
      const jumps = findings.filter((finding) => finding.rule === 'price_jump')
      expect(jumps.every((finding) => finding.severity === 'warning')).toBe(true)
      const symbols = new Set(jumps.map((finding) => finding.symbol))
      for (const symbol of ['NI', 'EBAY', 'DISCA', 'DISCK']) expect(symbols).toContain(symbol)
      // Rules, not a net thrown over everything: few sound rows are marked.
      expect(jumps.length).toBeLessThan(20)
    })

    it('finds exactly the missing sessions', async () => {
      const gaps = await app.context.gaps.load(app.context.sql)
      const bySymbol = new Map<string, number>()
      for (const gap of gaps) bySymbol.set(gap.symbol, (bySymbol.get(gap.symbol) ?? 0) + 1)
      expect(Object.fromEntries(bySymbol)).toEqual({ DHR: 16, O: 16, ES: 10, ICE: 5, ORCL: 2, BMY: 2 })
      expect(report.gaps).toMatchObject({ detected: 51, open: 51, symbols: 6 })
      const first = new Map(
        (
          await fromFile<{ symbol: string; first: string }>(
            'SELECT symbol, min(date)::text AS first FROM f GROUP BY symbol',
          )
        ).map((row) => [row.symbol, row.first]),
      )
      for (const { symbol, session, state } of gaps) {
        expect(app.context.calendar.isSession(session)).toBe(true)
        expect(session > first.get(symbol)!).toBe(true)
        expect(state).toBe('open')
      }
      const held = await fromFile<{ key: string }>("SELECT symbol || ' ' || date::text AS key FROM f")
      const keys = new Set(held.map((row) => row.key))
      expect(gaps.filter((gap) => keys.has(`${gap.symbol} ${gap.session}`))).toEqual([])
    })

    it('changes nothing when imported again', async () => {
      const before = await contentOf(app)
      const again = await importFiles(app, { files: [FILE], interval: '1d' })
      expect(again.bars).toMatchObject({ inserted: 0, updated: 0, unchanged: report.bars.accepted })
      expect(again.events).toEqual({ ...report.events, gapDetected: 0 })
      expect(await contentOf(app)).toEqual(before)
    })
  },
)
