// One step of the large bench in a process of its own, so that its peak memory is its own: node fiftyMillion.ts STEP URL
// LAKE SYMBOLS prints a JSON document.
import { createBarStore, createLocalLake, createPostgresClient } from '@varve/storage'
import { type BarFileReader, type BarStore } from '@varve/storage'
import { createDuckdbReader } from '@varve/storage/duckdb'
import { DuckDBInstance } from '@duckdb/node-api'
import { join } from 'node:path'
import { interleave } from '../harness.ts'
import { hourlyBars, symbolName } from '../market.ts'
import { createChecker, load } from './support.ts'

/** Six years of sessions, eight bars each: 12,504 bars of a symbol. */
const DAYS = 1563
const PER_DAY = 8
const HOT_DAYS = 20
const BATCH_SYMBOLS = 40
const YEAR_READS = 31
const DAY_READS = 7
const YEAR = { from: Date.UTC(2022, 0, 1), to: Date.UTC(2023, 0, 1) }
const DAY = { from: Date.UTC(2022, 5, 15), to: Date.UTC(2022, 5, 16) }

/** What a step found; times in milliseconds. */
export type Figures = Readonly<Record<string, number>>

const [step, url, lakeDirectory, symbolCount] = process.argv.slice(2) as [string, string, string, string]
const symbols = Number(symbolCount)
const sql = createPostgresClient({ connectionString: url })
const lake = createLocalLake({ directory: lakeDirectory })
const steps: Readonly<Record<string, () => Promise<Figures>>> = {
  load: loadAll,
  compact: compactAll,
  read: readAll,
}
const figures = await steps[step]!()
await sql.close()
console.log(JSON.stringify({ ...figures, peakMb: process.resourceUsage().maxRSS / 1024 }))

async function loadAll(): Promise<Figures> {
  const store = createBarStore({ sql, lake })
  let ms = 0
  let rows = 0
  let hotRows = 0
  // Every batch has symbols from the whole alphabet, as a backfill in order of importance does, so that every file
  // overlaps all others and compaction has to take them apart.
  const batches = symbols / BATCH_SYMBOLS
  for (let first = 0; first < batches; first++) {
    const batch = hourlyBars(BATCH_SYMBOLS, DAYS, first, batches)
    const hotFrom = batch.time[(DAYS - HOT_DAYS) * PER_DAY]!
    const began = performance.now()
    const counts = await load(sql, store, batch, { hotFrom: () => hotFrom, initialWatermark: hotFrom })
    ms += performance.now() - began
    if (counts.inserted !== batch.length) throw new Error(`${counts.inserted} rows inserted`)
    rows += counts.inserted
    hotRows += counts.hotRows
  }
  return { ms, rows, hotRows }
}

async function compactAll(): Promise<Figures> {
  const store = createBarStore({ sql, lake })
  const began = performance.now()
  const { rows, filesBefore, filesAfter } = await store.compact('1h', { force: true })
  const ms = performance.now() - began
  await store.sweep({ graceMs: 0 })
  return { ms, rows, filesBefore, filesAfter }
}

async function readAll(): Promise<Figures> {
  const reader = createDuckdbReader({ lake })
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const check = createChecker()
  const turns = new Map<string, number>()
  const nextSymbol = (name: string) => {
    const turn = turns.get(name) ?? 0
    turns.set(name, turn + 1)
    return symbolName((turn * 1237) % symbols)
  }
  const opened = (using?: BarFileReader) =>
    createBarStore(using === undefined ? { sql, lake } : { sql, lake, reader: using })
  const engine = opened(reader)
  const files = join(lakeDirectory, '**', '*.parquet')
  const alone = async (where: string, { from, to }: typeof YEAR) => {
    const result = await connection.runAndReadAll(
      `SELECT symbol, time, open, high, low, close, volume FROM read_parquet('${files}') WHERE ${where}
         time >= make_timestamp(${from}000) AND time < make_timestamp(${to}000) ORDER BY symbol, time`,
    )
    const rows = result.getRows()
    return `${rows.length} ${rows.reduce((sum, row) => sum + (row[5] as { readonly value: bigint }).value, 0n)}`
  }
  const year = (name: string, store: () => BarStore) => ({
    name,
    async run() {
      const symbol = nextSymbol(name)
      check(`year ${symbol}`, await sumOf(store(), { symbols: [symbol], ...YEAR }))
    },
  })
  const years = await interleave(
    [
      year('javascript', () => opened()),
      year('engine', () => engine),
      {
        name: 'alone',
        async run() {
          const symbol = nextSymbol('alone')
          check(`year ${symbol}`, await alone(`symbol = '${symbol}' AND`, YEAR))
        },
      },
    ],
    YEAR_READS,
  )
  const day = (name: string, store: () => BarStore) => ({
    name,
    run: async () => check('day', await sumOf(store(), DAY)),
  })
  const days = await interleave(
    [
      day('javascript', () => opened()),
      day('engine', () => engine),
      { name: 'alone', run: async () => check('day', await alone('', DAY)) },
    ],
    DAY_READS,
  )
  const stats = await engine.stats()
  const latest = await interleave(
    [{ name: 'latest', run: async () => void check('latest', (await engine.latest('1h')).length) }],
    DAY_READS,
  )
  connection.closeSync()
  duck.closeSync()
  await reader.close()
  return {
    yearJavascript: years.get('javascript')!,
    yearEngine: years.get('engine')!,
    yearAlone: years.get('alone')!,
    dayJavascript: days.get('javascript')!,
    dayEngine: days.get('engine')!,
    dayAlone: days.get('alone')!,
    latest: latest.get('latest')!,
    coldRows: stats.coldRows,
    coldFiles: stats.coldFiles,
    coldBytes: stats.coldBytes,
    hotRows: stats.hotRows,
  }
}

async function sumOf(
  store: BarStore,
  range: { readonly symbols?: readonly string[]; readonly from: number; readonly to: number },
): Promise<string> {
  let rows = 0
  let sum = 0n
  for await (const part of store.read({ interval: '1h', ...range })) {
    rows += part.length
    for (let row = 0; row < part.length; row++) sum += part.close[row]!
  }
  return `${rows} ${sum}`
}
