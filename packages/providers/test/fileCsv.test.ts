import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { parseScaled } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import type { FileProviderOptions, RejectedRow } from '../src/index.ts'
import { createFileProvider } from '../src/index.ts'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { calendar, rowsOf } from './support.ts'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'varve-files-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

let files = 0
async function fileOf(content: string | Uint8Array, extra: Partial<FileProviderOptions> = {}) {
  const file = join(folder, `${++files}.csv`)
  await writeFile(file, content)
  return {
    file,
    provider: createFileProvider({ files: [file], calendar, clock: createTestClock(5), ...extra }),
  }
}

async function scanAll(provider: ReturnType<typeof createFileProvider>, chunkRows?: number) {
  const rows = []
  const rejected: RejectedRow[] = []
  for await (const chunk of provider.scan({ chunkRows })) {
    rows.push(...rowsOf(chunk.batch))
    rejected.push(...chunk.rejected)
  }
  return { rows, rejected }
}

const HEADER = 'symbol,date,open,high,low,close,volume\n'
const ALL = { from: '2015-01-01', to: '2015-12-31' }

describe('CSV files', () => {
  it('reads what people send: BOM, CRLF, blank lines, quotes, further columns, headers again', async () => {
    const { provider } = await fileOf(
      '\uFEFF"Ticker", Session ,OPEN,High,low,Close,note,Volume\r\n' +
        'BRK.B,2015-03-20,"1.5",2,1,1.75,"a, ""b""",100\r\n' +
        '\r\n' +
        'Ticker,Session,OPEN,High,low,Close,note,Volume\r\n' +
        ' A , 20150323 ,7.0790813e+07,80000000,1,0.000001,,25933.6,surplus\r\n' +
        ',,,,,,,\r\n' +
        'A,2015-03-24,1,2,1,1,"two\r\nlines",0',
    )
    const { rows, rejected } = await scanAll(provider)
    expect(rejected).toEqual([])
    expect(rows.map(({ symbol, time, sourceRow }) => [symbol, time, sourceRow])).toEqual([
      ['BRK.B', Date.UTC(2015, 2, 20), 1],
      ['A', Date.UTC(2015, 2, 23), 2],
      ['A', Date.UTC(2015, 2, 24), 3],
    ])
    expect(rows[1]).toMatchObject({
      open: parseScaled('70790813'),
      close: 1n,
      volume: parseScaled('25933.6'),
    })
    expect(provider.source).toEqual({ provider: 'file', feed: String(files), adjustment: 'raw' })
  })

  it('rejects what cannot be read exactly, by rule, with the row as written', async () => {
    const { file, provider } = await fileOf(
      HEADER +
        'A,2015-02-30,1,2,1,1,1\n' +
        'A,2015-03-20,1,2,1,1.1234567,1\n' +
        'A,2015-03-23,,2,,1,1\n' +
        'A,2015-03-24,1,2,1,1,\n' +
        ',2015-03-24,1,2,1,1,1\n' +
        'A,2015-03-25,1,2,1,n/a,1\n' +
        'A,2015-03-26,1,2,1,1000000000000,1\n' +
        'A,2015-03-27,1,2,1\n' +
        'A,2015-03-30,1,2,1,1.1000000,1\n',
    )
    const { rows, rejected } = await scanAll(provider)
    expect(rows.map(({ sourceRow }) => sourceRow)).toEqual([9])
    expect(rejected.map(({ rule, sourceRow }) => [sourceRow, rule])).toEqual([
      [1, 'date_invalid'],
      [2, 'too_many_decimals'],
      [3, 'null_price'],
      [4, 'null_volume'],
      [5, 'symbol_missing'],
      [6, 'not_a_number'],
      [7, 'out_of_range'],
      [8, 'null_price'],
    ])
    expect(rejected[2]).toMatchObject({
      symbol: 'A',
      time: Date.UTC(2015, 2, 23),
      origin: file,
      message: expect.stringContaining('open is empty, low is empty') as unknown,
      raw: { symbol: 'A', date: '2015-03-23', open: null, high: '2', low: null, close: '1', volume: '1' },
    })
    const asked = await provider.bars({
      symbols: ['A', 'B'],
      interval: '1d',
      range: { from: '2015-03-23', to: '2015-03-24' },
    })
    expect(asked.rejected.map(({ sourceRow }) => sourceRow)).toEqual([3, 4])
    expect(asked).toMatchObject({ complete: true, emptySymbols: ['B'], batch: { length: 0 } })
    expect((await provider.unplacedRows()).map(({ sourceRow }) => sourceRow)).toEqual([1, 5])
    expect(await provider.summary()).toEqual({
      rows: 9,
      rejectedRows: 8,
      symbols: 1,
      firstDate: '2015-03-30',
      lastDate: '2015-03-30',
    })
  })

  it('sorts for random access, keeps equal keys in file order and cuts at the range', async () => {
    const { provider } = await fileOf(
      HEADER +
        'B,2015-03-24,3,3,3,3,1\nA,2015-03-24,2,2,2,2,1\nB,2015-03-20,1,1,1,1,1\nA,2015-03-24,9,9,9,9,1\n',
    )
    const result = await provider.bars({ symbols: ['A', 'B'], interval: '1d', range: ALL })
    expect(rowsOf(result.batch).map(({ symbol, open }) => [symbol, open / 1_000_000n])).toEqual([
      ['A', 2n],
      ['A', 9n],
      ['B', 1n],
      ['B', 3n],
    ])
    const one = await provider.bars({
      symbols: ['B'],
      interval: '1d',
      range: { from: '2015-03-20', to: '2015-03-23' },
    })
    expect(one.batch.length).toBe(1)
    expect(one.provenance).toMatchObject({ provider: 'file', fetchedAt: 5, requests: 0 })
    expect((await provider.dailyMarket('2015-03-24')).batch.length).toBe(3)
  })

  it('lists a symbol while it has a bar within five sessions', async () => {
    const days = ['2015-03-20', '2015-03-23', '2015-03-24', '2015-03-25', '2015-03-26', '2015-03-27']
    const { provider } = await fileOf(
      HEADER + days.map((date) => `A,${date},1,1,1,1,1\n`).join('') + 'B,2015-03-20,1,1,1,1,1\n',
    )
    const symbols = async (asOf: string) => (await provider.listings({ asOf })).map(({ symbol }) => symbol)
    expect(await symbols('2015-03-19')).toEqual([])
    expect(await symbols('2015-03-26')).toEqual(['A', 'B'])
    expect(await symbols('2015-03-27')).toEqual(['A'])
    expect(await symbols('2015-04-02')).toEqual(['A'])
    expect(await symbols('2015-04-06')).toEqual([])
    expect((await provider.listings({ asOf: '2015-03-20' }))[0]).toMatchObject({
      exchange: 'XNYS',
      active: true,
    })
  })

  it('gives the last date that is a session', async () => {
    const { provider } = await fileOf(
      HEADER + 'A,2015-04-02,1,1,1,1,1\nA,2015-04-03,1,1,1,1,1\nA,2015-04-05,1,1,1,1,1\n',
    )
    expect(await provider.lastSession()).toBe('2015-04-02')
    const { provider: empty } = await fileOf(HEADER)
    expect(await empty.lastSession()).toBe(null)
    expect(await empty.summary()).toMatchObject({ rows: 0, firstDate: null })
  })

  it('reads intraday instants and refuses those without a zone', async () => {
    const { provider } = await fileOf(
      'symbol,ts_utc,open,high,low,close,volume\n' +
        'A,2015-03-24T13:30:00Z,1,1,1,1,1\n' +
        'A,2015-03-24 09:31:00-04:00,1,1,1,1,1\n' +
        `A,${Date.UTC(2015, 2, 24, 13, 32)},1,1,1,1,1\n` +
        'A,2015-03-24T13:33:00,1,1,1,1,1\n' +
        'A,2015-03-24,1,1,1,1,1\n',
      { interval: '1m' },
    )
    const range = { from: '2015-03-24', to: '2015-03-24' }
    const { batch } = await provider.bars({ symbols: ['A'], interval: '1m', range })
    expect([...batch.time.subarray(0, batch.length)]).toEqual(
      [30, 31, 32].map((minute) => Date.UTC(2015, 2, 24, 13, minute)),
    )
    expect((await provider.unplacedRows()).map(({ rule }) => rule)).toEqual(['date_invalid', 'date_invalid'])
    expect(provider.capabilities).toMatchObject({ wholeMarketDaily: false, bars: [{ interval: '1m' }] })
    await expect(provider.bars({ symbols: ['A'], interval: '1d', range })).rejects.toMatchObject({
      code: 'PROVIDER_INVALID_REQUEST',
    })
  })

  it('scans gzipped files in chunks, several of them in order', async () => {
    const lines = (from: number, count: number) =>
      HEADER +
      Array.from({ length: count }, (_, row) => `S${from + row},2015-03-24,1,1,1,1,${row}\n`).join('')
    const first = join(folder, 'first.csv.gz')
    const second = join(folder, 'second.csv')
    await writeFile(first, gzipSync(lines(0, 250)))
    await writeFile(second, lines(250, 30))
    const provider = createFileProvider({ files: [first, second], calendar })
    expect(provider.source.feed).toBe('first')
    const chunks = []
    for await (const chunk of provider.scan({ chunkRows: 100 })) chunks.push(chunk)
    expect(
      chunks.map(({ batch, rowsDone, rowsTotal, file }) => [batch.length, rowsDone, rowsTotal, file]),
    ).toEqual([
      [100, 100, null, first],
      [100, 200, null, first],
      [50, 250, null, first],
      [30, 280, null, second],
    ])
    expect(chunks[3]!.batch.sourceRow[0]).toBe(1)
    const stop = new AbortController()
    await expect(async () => {
      for await (const chunk of provider.scan({ chunkRows: 50, signal: stop.signal }))
        stop.abort(chunk.rowsDone)
    }).rejects.toBe(50)
  })

  it('names what is wrong with a file as a whole', async () => {
    const missing = createFileProvider({ files: [join(folder, 'none.csv')], calendar })
    await expect(missing.summary()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    const { provider: columns } = await fileOf('sym,date,open,high,low,last,volume\nA,2015-03-24,1,1,1,1,1\n')
    await expect(columns.summary()).rejects.toMatchObject({
      code: 'FILE_COLUMNS_MISSING',
      details: {
        missing: ['symbol', 'close'],
        found: ['sym', 'date', 'open', 'high', 'low', 'last', 'volume'],
      },
    })
    const cut = gzipSync(HEADER + 'A,2015-03-24,1,1,1,1,1\n'.repeat(5000))
    for (const content of [
      '',
      cut.subarray(0, cut.length - 20),
      Buffer.from('PAR1 and then nothing'),
      '"unclosed',
    ]) {
      const { provider } = await fileOf(content)
      await expect(provider.summary()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
    }
    const folderItself = createFileProvider({ files: [folder], calendar })
    await expect(folderItself.summary()).rejects.toMatchObject({ code: 'FILE_UNREADABLE' })
    await columns.close()
    await expect(columns.summary()).rejects.toMatchObject({ code: 'PROVIDER_CLOSED' })
    expect(() => createFileProvider({ files: [], calendar })).toThrow(
      expect.objectContaining({ code: 'PROVIDER_INVALID_REQUEST' }),
    )
  })

  it('can be read again after a failure', async () => {
    const file = join(folder, 'late.csv')
    const provider = createFileProvider({ files: [file], calendar })
    await expect(provider.summary()).rejects.toMatchObject({ code: 'FILE_NOT_FOUND' })
    await writeFile(file, HEADER + 'A,2015-03-24,1,1,1,1,1\n')
    expect(await provider.summary()).toMatchObject({ rows: 1 })
  })
})
