import { type BarStore, createBarStore } from '@varve/storage'
import { createDuckdbReader } from '@varve/storage/duckdb'
import { DuckDBInstance } from '@duckdb/node-api'
import { join } from 'node:path'
import {
  type BenchCase,
  type BenchOptions,
  type BenchResult,
  type Contender,
  against,
  bounded,
  interleave,
} from '../harness.ts'
import { library } from '../library.ts'
import { symbolName } from '../market.ts'
import type { BenchLake } from './lake.ts'
import { createChecker } from './support.ts'

const JAVASCRIPT_MS = 60
const DUCKDB_MS = 10
/** A reader in JavaScript is to take no more than 60 ms where DuckDB takes 8. */
const JAVASCRIPT_SHARE = 0.13

interface Polars {
  readonly default: {
    col(name: string): PolarsExpression
    lit(value: unknown): PolarsExpression
    readonly Float64: unknown
    scanParquet(path: string): PolarsFrame
  }
}
interface PolarsExpression {
  eq(other: unknown): PolarsExpression
  gtEq(other: unknown): PolarsExpression
  lt(other: unknown): PolarsExpression
  and(other: unknown): PolarsExpression
  cast(type: unknown): PolarsExpression
}
interface PolarsFrame {
  filter(expression: PolarsExpression): PolarsFrame
  select(...columns: readonly (string | PolarsExpression)[]): PolarsFrame
  collect(): Promise<{ getColumn(name: string): { toArray(): number[] }; readonly height: number }>
}

/** One symbol × one year out of the lake, by everything that can read it. */
export async function measureColdReads(options: BenchOptions, lake: BenchLake): Promise<BenchResult> {
  const { from, to } = lake
  const check = createChecker()
  const turns = new Map<string, number>()
  /** Every contender asks for the same symbols in the same order. */
  const next = (name: string) => {
    const turn = turns.get(name) ?? 0
    turns.set(name, turn + 1)
    return symbolName((turn * 37) % lake.symbols)
  }
  const readAll = async (store: BarStore, symbol: string, range = { from, to }) => {
    let rows = 0
    let sum = 0n
    for await (const part of store.read({ interval: '1h', symbols: [symbol], ...range })) {
      rows += part.length
      for (let row = 0; row < part.length; row++) sum += part.close[row]!
    }
    return { rows, sum }
  }
  const reader = createDuckdbReader({ lake: lake.lake })
  const engine = createBarStore({ ...lake, reader })
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const files = join(lake.lakeDirectory, '**', '*.parquet')
  const contenders: Contender[] = [
    {
      name: 'javascript',
      async run() {
        const symbol = next('javascript')
        // A store of its own, so that no footer is remembered.
        const { rows, sum } = await readAll(createBarStore(lake), symbol)
        check(symbol, `${rows} ${sum}`)
      },
    },
    {
      name: 'engine',
      async run() {
        const symbol = next('engine')
        const { rows, sum } = await readAll(engine, symbol)
        check(symbol, `${rows} ${sum}`)
      },
    },
    {
      name: 'duckdb',
      async run() {
        const symbol = next('duckdb')
        const result = await connection.runAndReadAll(
          `SELECT time, open, high, low, close, volume FROM read_parquet('${files}') WHERE symbol = '${symbol}'
             AND time >= make_timestamp(${from}000) AND time < make_timestamp(${to}000) ORDER BY time`,
        )
        let sum = 0n
        const rows = result.getRows()
        for (const row of rows) sum += (row[4] as { readonly value: bigint }).value
        check(symbol, `${rows.length} ${sum}`)
      },
    },
  ]
  const skipped: string[] = []
  if (!options.quick) {
    const polars = await polarsContender(files, from, to, next, check)
    if (typeof polars === 'string') skipped.push(polars)
    else contenders.push(polars)
  }
  await interleave(contenders, 3)
  const times = await interleave(contenders, options.quick ? 9 : 31)
  const name = `cold read of one symbol and year in ${(lake.rows / 1e6).toFixed(1)} M bars`
  const common = { unit: 'ms', better: 'lower' } as const
  const [ours, fast] = [times.get('javascript')!, times.get('engine')!]
  const peer = { peer: times.get('duckdb')!, peerName: 'DuckDB on the same files' }
  const cases: BenchCase[] = [
    bounded(options, { ...common, case: `${name}, plain JavaScript`, ours, target: JAVASCRIPT_MS }),
    bounded(options, { ...common, case: `${name}, with DuckDB`, ours: fast, target: DUCKDB_MS }),
  ]
  if (!options.quick) {
    cases.push(
      against(options, {
        ...common,
        ...peer,
        case: `${name}, plain JavaScript`,
        ours,
        target: JAVASCRIPT_SHARE,
      }),
      against(options, { ...common, ...peer, case: `${name}, with DuckDB`, ours: fast, target: 0.8 }),
    )
    const polars = times.get('polars')
    if (polars !== undefined) {
      const beside = { peer: polars, peerName: 'polars on the same files' }
      cases.push(
        against(options, { ...common, ...beside, case: `${name}, with DuckDB`, ours: fast, target: 1 }),
      )
    }
    cases.push(await acrossYears())
  }
  connection.closeSync()
  duck.closeSync()
  await reader.close()
  return { cases, skipped }

  /** July to June: two files. */
  async function acrossYears(): Promise<BenchCase> {
    const half = (to - from) / 2
    const range = { from: from - half, to: to - half }
    const reads = await interleave(
      [{ name: 'engine', run: async () => void (await readAll(engine, next('across'), range)) }],
      31,
    )
    return bounded(options, {
      ...common,
      case: `${name}, with DuckDB, from July to June`,
      ours: reads.get('engine')!,
      target: 2 * DUCKDB_MS,
    })
  }
}

/** Polars asked for the same rows, or why it cannot be. */
async function polarsContender(
  files: string,
  from: number,
  to: number,
  next: (name: string) => string,
  check: (question: string, answer: string) => void,
): Promise<Contender | string> {
  const loaded = await library<Polars>('nodejs-polars').catch((error: Error) => error)
  if (loaded instanceof Error) return `cold read by polars: ${loaded.message}`
  const { default: pl } = loaded
  const contender: Contender = {
    name: 'polars',
    async run() {
      const symbol = next('polars')
      const wanted = pl
        .col('symbol')
        .eq(pl.lit(symbol))
        .and(pl.col('time').gtEq(pl.lit(new Date(from))))
        .and(pl.col('time').lt(pl.lit(new Date(to))))
      const values = ['open', 'high', 'low', 'close', 'volume'].map((name) => pl.col(name).cast(pl.Float64))
      const frame = await pl
        .scanParquet(files)
        .filter(wanted)
        .select('time', ...values)
        .collect()
      // Its decimals reach JavaScript as doubles; four decimals of two thousand prices still add up exactly.
      const sum = frame
        .getColumn('close')
        .toArray()
        .reduce((total, price) => total + price, 0)
      check(symbol, `${frame.height} ${BigInt(Math.round(sum * 10_000)) * 100n}`)
    },
  }
  try {
    await contender.run()
    return contender
  } catch (error) {
    return `cold read by polars: ${(error as Error).message}`
  }
}
