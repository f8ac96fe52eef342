import { type BarBatch, applyMigrations, formatScaled } from '@varve/core'
import {
  type BarStore,
  type LakeFiles,
  createBarStore,
  createLocalLake,
  createPostgresClient,
  storageMigrations,
} from '@varve/storage'
import { DuckDBInstance } from '@duckdb/node-api'
import { execFileSync, spawnSync } from 'node:child_process'
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../../testing/postgres.ts'
import {
  type Bench,
  type BenchCase,
  type BenchOptions,
  type BenchResult,
  against,
  bounded,
  interleave,
} from '../harness.ts'
import { hourlyBars, symbolName } from '../market.ts'

type Sql = ReturnType<typeof createPostgresClient>

const UNNEST_ROWS = 10_000
const CSV_ROWS = 4000
const YEAR_MS = 365 * 86_400_000
/** Everything hot, or everything in the lake. */
const ALL_HOT = { hotFrom: () => 0, initialWatermark: 0 }
const ALL_COLD = { hotFrom: () => Date.UTC(2100, 0, 1), initialWatermark: Date.UTC(2100, 0, 1) }

/** Loads and reads of the bar store beside psql, UNNEST and DuckDB. */
export const storage: Bench = async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-'))
  const postgres = await startPostgres()
  const sql = createPostgresClient({ connectionString: postgres.url })
  try {
    await applyMigrations(sql, storageMigrations)
    const lake = createLocalLake({ directory: join(folder, 'lake') })
    const loads = await measureLoads(options, sql, lake, postgres.url, folder)
    const cold = await measureCold(options, sql, lake, join(folder, 'lake'))
    return { cases: [...loads.cases, ...cold], skipped: loads.skipped }
  } finally {
    await sql.close()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

async function load(sql: Sql, store: BarStore, batch: BarBatch, plan: typeof ALL_HOT) {
  const staged = await store.stage(batch, plan)
  return sql.tx((tx) => store.commit(tx, staged))
}

async function measureLoads(
  options: BenchOptions,
  sql: Sql,
  lake: LakeFiles,
  url: string,
  folder: string,
): Promise<BenchResult> {
  const batch = hourlyBars(100, 250)
  const store = createBarStore({ sql, lake })
  // Makes the partitions and the series, which psql needs as well.
  await load(sql, store, batch, ALL_HOT)
  const ids = await seriesIds(sql)
  const csv = join(folder, 'bars.csv')
  writeCsv(batch, ids, csv)
  const empty = async () => {
    await sql.exec('TRUNCATE bars')
    await sql.exec('CHECKPOINT')
  }
  const full = async () => {
    if ((await countBars(sql)) === batch.length) return
    await empty()
    await load(sql, store, batch, ALL_HOT)
  }
  const psql = spawnSync('psql', ['--version']).status === 0
  const contenders = [
    {
      name: 'load',
      prepare: empty,
      async run() {
        const { inserted } = await load(sql, store, batch, ALL_HOT)
        if (inserted !== batch.length) throw new Error(`${inserted} rows inserted`)
      },
    },
    ...(psql
      ? [
          {
            name: 'psql',
            prepare: empty,
            run: async () => {
              execFileSync('psql', [url, '-q', '-c', `\\copy bars from '${csv}' csv`])
              if ((await countBars(sql)) !== batch.length) throw new Error('psql lost rows')
            },
          },
        ]
      : []),
    { name: 'unnest', prepare: empty, run: () => upsert(sql, batch, ids) },
    {
      name: 'again',
      prepare: full,
      async run() {
        const { unchanged, hotRows } = await load(sql, store, batch, ALL_HOT)
        if (unchanged !== batch.length || hotRows !== 0) throw new Error(`${hotRows} rows rewritten`)
      },
    },
  ]
  const times = await interleave(contenders, options.quick ? 3 : 7)
  const rate = (name: string) => (batch.length / times.get(name)!) * 1000
  const common = { unit: 'rows/s', better: 'higher' } as const
  const cases: BenchCase[] = []
  if (psql) {
    const peer = { peer: rate('psql'), peerName: 'psql \\copy csv' }
    cases.push(
      against(options, { ...common, ...peer, case: 'load 200,000 bars', ours: rate('load'), target: 1.4 }),
      against(options, { ...common, ...peer, case: 'load the same again', ours: rate('again'), target: 1 }),
    )
  }
  const peer = { peer: rate('unnest'), peerName: 'UNNEST upsert' }
  cases.push(
    against(options, { ...common, ...peer, case: 'load 200,000 bars', ours: rate('load'), target: 3 }),
  )
  const skipped = psql ? [] : ['loads beside psql: there is no psql on this machine']
  await sql.exec('TRUNCATE bars, bars_late, lake_file_series, lake_files, watermarks, series CASCADE')
  return { cases, skipped }
}

async function measureCold(options: BenchOptions, sql: Sql, lake: LakeFiles, directory: string) {
  const [symbols, days] = options.quick ? [200, 500] : [500, 1250]
  const batch = hourlyBars(symbols, days)
  const store = createBarStore({ sql, lake })
  const staged = await store.stage(batch, ALL_COLD)
  await sql.tx((tx) => store.commit(tx, staged))
  const { coldBytes, coldRows } = await store.stats()
  const file = join(directory, staged.lakePath!)
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const from = batch.time[0]! + (days > 600 ? 2 * YEAR_MS : 0)
  const to = from + YEAR_MS
  const sums = new Map<string, bigint>()
  const check = (symbol: string, sum: bigint) => {
    if ((sums.get(symbol) ?? sum) !== sum) throw new Error(`the readers disagree about ${symbol}`)
    sums.set(symbol, sum)
  }
  let ours = 0
  let theirs = 0
  const times = await interleave(
    [
      {
        name: 'ours',
        async run() {
          // A store of its own, so that no footer is remembered.
          const symbol = symbolName((ours++ * 37) % symbols)
          let sum = 0n
          const fresh = createBarStore({ sql, lake })
          for await (const part of fresh.read({ interval: '1h', symbols: [symbol], from, to })) {
            for (let row = 0; row < part.length; row++) sum += part.close[row]!
          }
          check(symbol, sum)
        },
      },
      {
        name: 'duckdb',
        async run() {
          const symbol = symbolName((theirs++ * 37) % symbols)
          const reader = await connection.runAndReadAll(
            `SELECT time, open, high, low, close, volume FROM read_parquet('${file}')
             WHERE symbol = '${symbol}' AND time >= make_timestamp(${from}000) AND time < make_timestamp(${to}000) ORDER BY time`,
          )
          let sum = 0n
          for (const row of reader.getRows()) sum += (row[4] as { readonly value: bigint }).value
          check(symbol, sum)
        },
      },
    ],
    options.quick ? 9 : 25,
  )
  connection.closeSync()
  return [
    bounded(options, {
      case: `cold read of one symbol and year in ${(batch.length / 1e6).toFixed(1)} M bars, pure JavaScript`,
      unit: 'ms',
      ours: times.get('ours')!,
      better: 'lower',
      target: 60,
    }),
    against(options, {
      case: `cold read of one symbol and year in ${(batch.length / 1e6).toFixed(1)} M bars`,
      unit: 'ms',
      ours: times.get('ours')!,
      peer: times.get('duckdb')!,
      peerName: 'DuckDB on the same file',
      better: 'lower',
      target: 0.13,
    }),
    bounded(options, {
      case: 'size of the lake, hourly random walks',
      unit: 'bytes/bar',
      ours: coldBytes / coldRows,
      better: 'lower',
      target: 12.6,
    }),
  ]
}

async function seriesIds(sql: Sql): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql.query<{ id: number; symbol: string }>('SELECT id, symbol FROM series')
  return new Map(rows.map((row) => [row.symbol, row.id]))
}

async function countBars(sql: Sql): Promise<number> {
  const { rows } = await sql.query<{ count: number }>('SELECT count(*)::int AS count FROM bars')
  return rows[0]!.count
}

const VALUES = ['open', 'high', 'low', 'close', 'volume'] as const

function writeCsv(batch: BarBatch, ids: ReadonlyMap<string, number>, path: string): void {
  const file = openSync(path, 'w')
  for (let start = 0; start < batch.length; start += CSV_ROWS) {
    let text = ''
    for (let row = start; row < Math.min(batch.length, start + CSV_ROWS); row++) {
      const id = ids.get(batch.symbols[batch.symbolIndex[row]!]!)!
      const values = VALUES.map((name) => formatScaled(batch[name][row]!))
      text += `${id},${new Date(batch.time[row]!).toISOString()},${values.join(',')}\n`
    }
    writeSync(file, text)
  }
  closeSync(file)
}

/** What most programs do: arrays of text, and ON CONFLICT. */
async function upsert(sql: Sql, batch: BarBatch, ids: ReadonlyMap<string, number>): Promise<void> {
  for (let start = 0; start < batch.length; start += UNNEST_ROWS) {
    const rows = Array.from(
      { length: Math.min(UNNEST_ROWS, batch.length - start) },
      (_, index) => start + index,
    )
    await sql.query(
      `INSERT INTO bars SELECT * FROM unnest($1::int[], $2::timestamptz[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::numeric[])
       ON CONFLICT (series_id, ts) DO UPDATE SET open = excluded.open, high = excluded.high, low = excluded.low,
         close = excluded.close, volume = excluded.volume`,
      [
        rows.map((row) => ids.get(batch.symbols[batch.symbolIndex[row]!]!)),
        rows.map((row) => new Date(batch.time[row]!)),
        ...VALUES.map((name) => rows.map((row) => formatScaled(batch[name][row]!))),
      ],
    )
  }
}
