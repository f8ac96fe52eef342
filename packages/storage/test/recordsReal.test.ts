import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DuckDBInstance } from '@duckdb/node-api'
import { DAY_MS } from '@varve/core'
import { existsSync, readFileSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, inflateRawSync } from 'node:zlib'
import { createLoader } from '../src/load/index.ts'
import { type Dataset, type RecordInput, type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, allRows, openRecordTest } from './recordsSupport.ts'
import type { TestStore } from './support.ts'

const DATA = process.env.VARVE_TEST_DATA
const FILINGS = 'market/us_filings_2015-03_2016-03.csv.gz'
const TICKS = 'lean/tick/bac_20131007_trade.zip'
const FIGURES = [
  'revenues',
  'op_income',
  'net_income',
  'eps_basic',
  'eps_diluted',
  'dividend',
  'assets',
  'cur_assets',
  'cur_liab',
  'cash',
  'equity',
  'cash_flow_op',
  'cash_flow_inv',
  'cash_flow_fin',
] as const

/** Decimal text without zeros in front or behind, by plain text surgery: an answer key of its own. */
function plain(text: string): string {
  const [whole = '', fraction = ''] = text.replace('-', '').split('.')
  const digits = fraction.replace(/0+$/, '')
  const value = `${whole.replace(/^0+(?=\d)/, '')}${digits === '' ? '' : `.${digits}`}`
  return text.startsWith('-') && value !== '0' ? `-${value}` : value
}

/** The one file of a zip archive, by its central directory. */
function unzip(archive: Buffer): Buffer {
  const end = archive.lastIndexOf(Buffer.from('PK\x05\x06', 'latin1'))
  const entry = archive.readUInt32LE(end + 16)
  const size = archive.readUInt32LE(entry + 20)
  const at = archive.readUInt32LE(entry + 42)
  const start = at + 30 + archive.readUInt16LE(at + 26) + archive.readUInt16LE(at + 28)
  return inflateRawSync(archive.subarray(start, start + size))
}

describe.skipIf(DATA === undefined || !existsSync(join(DATA, FILINGS)))(
  'real records on postgres (needs VARVE_TEST_DATA)',
  () => {
    let test: TestStore
    let store: RecordStore
    const recovery = { directory: mkdtempSync(join(tmpdir(), 'varve-real-')) }

    beforeAll(async () => {
      test = await openRecordTest('postgres')
      store = createRecordStore({ sql: test.sql, lake: test.lake })
    })
    afterAll(async () => {
      await test.close()
      rmSync(recovery.directory, { recursive: true, force: true })
    })

    /** Loads, loads again, archives, loads a third time: only the first may write. */
    const loadThrice = async <D extends Dataset>(
      dataset: D,
      rows: readonly RecordInput<D>[],
      repeated = rows.length,
    ) => {
      const loader = createLoader({ records: store, recovery, batchSize: 5000 })
      const batch = { dataset, source: FEED, rows } as never
      const first = await loader.load(batch)
      const again = await loader.load({ dataset, source: FEED, rows: rows.slice(0, repeated) } as never)
      expect(again).toMatchObject({ inserted: 0, updated: 0, unchanged: repeated, failed: 0 })
      const { hotRows } = await store.stats(dataset)
      expect(hotRows).toBe(first.inserted + first.updated)
      expect((await store.archive(dataset, { before: () => Date.now() })).archivedRows).toBe(hotRows)
      expect(await store.stats(dataset)).toMatchObject({ hotRows: 0, coldRows: hotRows })
      const third = await loader.load({ dataset, source: FEED, rows: rows.slice(0, 2000) } as never)
      expect(third).toMatchObject({ inserted: 0, updated: 0, unchanged: 2000 })
      return first
    }

    const duck = async (path: string, sql: string) => {
      const instance = await DuckDBInstance.create(':memory:')
      const connection = await instance.connect()
      const reader = await connection.runAndReadAll(
        sql.replace('$FILE', `'${join(test.lakeDirectory, path)}'`),
      )
      return reader.getRowsJson()
    }
    const onlyFile = async (dataset: string) => {
      const { rows } = await test.sql.query<{ path: string }>(
        'SELECT path FROM record_files WHERE dataset = $1 AND removed_at IS NULL',
        [dataset],
      )
      expect(rows.length).toBe(1)
      return rows[0]!.path
    }

    it('holds every crawled filing with exact figures, and what was known each day', async () => {
      const [head, ...lines] = gunzipSync(readFileSync(join(DATA!, FILINGS)))
        .toString('utf8')
        .trimEnd()
        .split(/\r?\n/)
      const names = head!.split(',')
      const raw = lines.map(
        (line) =>
          Object.fromEntries(line.split(',').map((value, index) => [names[index]!, value])) as Record<
            string,
            string
          >,
      )
      expect(raw.length).toBe(33_795)
      const rows = raw.map((row): RecordInput<'filings'> => ({
        symbol: row.symbol!,
        time: Date.parse(row.end_date!),
        recordedAt: Date.parse(`${row.snap!.slice(0, 4)}-${row.snap!.slice(4, 6)}-${row.snap!.slice(6)}`),
        values: {
          doc_type: row.doc_type!,
          end_date: row.end_date!,
          period_focus: row.period_focus!,
          fiscal_year: Number(row.fiscal_year),
          amend: row.amend === 'True',
          ...Object.fromEntries(FIGURES.map((name) => [name, row[name] === '' ? null : row[name]])),
        },
      }))
      const first = await loadThrice('filings', rows)
      expect(first.failed).toBe(0)
      expect(first.inserted + first.updated + first.unchanged).toBe(33_795)
      expect(first.inserted).toBe(
        new Set(
          raw.map((row) =>
            [row.symbol, row.end_date, row.doc_type, row.period_focus, row.fiscal_year, row.amend].join(),
          ),
        ).size,
      )
      // Each filing as it stood at the end of the crawl, against the last line that speaks of it.
      const last = new Map<string, Record<string, string>[]>()
      for (const row of [...raw].sort((a, b) => Number(a.snap) - Number(b.snap))) {
        const id = [
          row.symbol,
          Date.parse(row.end_date!),
          row.doc_type,
          row.period_focus,
          row.fiscal_year,
          row.amend === 'True',
        ].join()
        const before = last.get(id)
        // One crawl may contradict itself; then any of its answers will do.
        if (before?.[0]?.snap === row.snap) before!.push(row)
        else last.set(id, [row])
      }
      const held = await allRows(store, { dataset: 'filings' })
      expect(held.length).toBe(last.size)
      for (const { symbol, time, values } of held) {
        const { doc_type, period_focus, fiscal_year, amend } = values
        const answers = last.get([symbol, time, doc_type, period_focus, fiscal_year, amend].join())!
        const isAnswer = answers.some((answer) =>
          FIGURES.every((name) => values[name] === (answer[name] === '' ? null : plain(answer[name]!))),
        )
        if (!isAnswer)
          throw new Error(`${symbol}: ${JSON.stringify(values)} is none of ${JSON.stringify(answers)}`)
      }
      // The same digits by a reader that is not ours.
      const path = await onlyFile('filings')
      const [sample] = await duck(
        path,
        "SELECT symbol, strftime(end_date, '%Y-%m-%d'), assets::VARCHAR, eps_basic::VARCHAR, typeof(assets), amend FROM $FILE WHERE length(eps_basic::VARCHAR) > 4 ORDER BY length(trim(assets::VARCHAR, '0')) DESC, symbol, ts, key, recorded_at LIMIT 1",
      )
      const [symbol, date, assets, eps, type] = sample as string[]
      expect(type).toBe('DECIMAL(38,18)')
      expect(
        raw.some(
          (row) =>
            row.symbol === symbol &&
            row.end_date === date &&
            plain(row.assets!) === plain(assets!) &&
            plain(row.eps_basic!) === plain(eps!),
        ),
      ).toBe(true)
      const sums = await duck(
        path,
        'SELECT count(*)::VARCHAR, sum(assets)::VARCHAR, sum(eps_basic)::VARCHAR FROM $FILE',
      )
      const all = await allRows(store, { dataset: 'filings', versions: 'all' })
      const sum = (name: 'assets' | 'eps_basic') =>
        all.reduce((total, row) => total + exact(row.values[name]), 0n)
      expect(sums[0]).toEqual([String(all.length), decimal(sum('assets')), decimal(sum('eps_basic'))])
    })

    it('holds every tick of a day with its exact price', async () => {
      // Milliseconds since midnight in New York (EDT), price × 10,000, size, exchange, condition, suspicious.
      const lines = unzip(readFileSync(join(DATA!, TICKS)))
        .toString('latin1')
        .trimEnd()
        .split(/\r?\n/)
      const midnight = Date.UTC(2013, 9, 7, 4)
      const rows = lines.map((line, sequence): RecordInput<'trades'> => {
        const [ms, price, size, exchange, condition, suspicious] = line.split(',')
        return {
          symbol: 'BAC',
          time: midnight + Number(ms),
          values: {
            price: BigInt(price!) * 100n,
            size: size!,
            sequence,
            exchange: exchange!,
            conditions: [condition!],
            suspicious: suspicious === '1',
          },
        }
      })
      expect(rows.length).toBe(88_172)
      const first = await loadThrice('trades', rows, 20_000)
      expect(first).toMatchObject({ inserted: 88_172, updated: 0, unchanged: 0, failed: 0 })
      let seen = 0
      let notional = 0n
      const bySequence = new Map(rows.map((row) => [row.values!.sequence, row]))
      for await (const page of store.read({
        dataset: 'trades',
        symbols: ['BAC'],
        from: midnight,
        to: midnight + DAY_MS,
        batchRows: 10_000,
      })) {
        expect(page.rows.length).toBeLessThanOrEqual(10_000)
        for (const row of page.rows) {
          const input = bySequence.get(row.values.sequence)!
          if (row.time !== input.time || row.values.price !== input.values!.price)
            throw new Error(`trade ${row.values.sequence} differs`)
          seen++
          notional += row.values.price * row.values.size
        }
      }
      expect(seen).toBe(88_172)
      const [sums] = await duck(
        await onlyFile('trades'),
        'SELECT count(*)::VARCHAR, sum(price::DECIMAL(20,6) * size::DECIMAL(18,0))::VARCHAR, any_value(typeof(price)) FROM $FILE',
      )
      const [count, total, type] = sums as string[]
      expect([count, type]).toEqual(['88172', 'DECIMAL(18,6)'])
      expect(BigInt(total!.replace('.', '')) * 1_000_000n).toBe(notional)
    })
  },
)

function exact(text: string | null): bigint {
  if (text === null) return 0n
  const [whole = '', fraction = ''] = text.split('.')
  return BigInt(whole + fraction.padEnd(18, '0'))
}

function decimal(value: bigint): string {
  const digits = (value < 0n ? -value : value).toString().padStart(19, '0')
  return `${value < 0n ? '-' : ''}${digits.slice(0, -18)}.${digits.slice(-18)}`
}
