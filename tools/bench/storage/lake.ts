import { createBarStore } from '@varve/storage'
import { DuckDBInstance } from '@duckdb/node-api'
import { join } from 'node:path'
import {
  type BenchCase,
  type BenchOptions,
  type BenchResult,
  against,
  bounded,
  interleave,
} from '../harness.ts'
import { hourlyBars } from '../market.ts'
import { measureColdReads } from './coldReads.ts'
import { measureMarketSize } from './marketSize.ts'
import { measureS3 } from './s3Reads.ts'
import { ALL_COLD, type BenchDatabase, type BenchPlace, load } from './support.ts'

const BATCH_SYMBOLS = 100
const BYTES_TARGET = 12.6

/** A lake of hourly bars as loads and compaction leave it. */
export interface BenchLake extends BenchDatabase {
  readonly symbols: number
  readonly rows: number
  /** A calendar year that the lake holds in full. */
  readonly from: number
  readonly to: number
}

/** Size, writing and reading of the lake. */
export async function measureLake(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  const database = await place.openDatabase('lake')
  const [symbols, days] = options.quick ? [100, 500] : [500, 1250]
  const store = createBarStore(database)
  // Every batch has symbols from the whole alphabet, so that compaction makes one file of each year.
  const batches = symbols / BATCH_SYMBOLS
  for (let first = 0; first < batches; first++) {
    await load(database.sql, store, hourlyBars(BATCH_SYMBOLS, days, first, batches), ALL_COLD)
  }
  await store.compact('1h', { force: true })
  await store.sweep({ graceMs: 0 })
  const { coldBytes, coldRows } = await store.stats()
  const year = options.quick ? 2020 : 2022
  const lake: BenchLake = {
    ...database,
    symbols,
    rows: coldRows,
    from: Date.UTC(year, 0, 1),
    to: Date.UTC(year + 1, 0, 1),
  }
  const cases: BenchCase[] = [
    bounded(options, {
      case: 'size of the lake, hourly random walks',
      unit: 'bytes/bar',
      ours: coldBytes / coldRows,
      better: 'lower',
      target: BYTES_TARGET,
    }),
  ]
  const skipped: string[] = []
  const reads = await measureColdReads(options, lake)
  cases.push(...reads.cases)
  skipped.push(...reads.skipped)
  if (!options.quick) {
    cases.push(...(await measureS3(options, lake)))
    cases.push(await measureWriting(options, place))
    const market = await measureMarketSize(options, place, BYTES_TARGET)
    cases.push(...market.cases)
    skipped.push(...market.skipped)
  }
  await database.close()
  return { cases, skipped }
}

/** A million bars into a lake file, beside DuckDB writing the same table. */
async function measureWriting(options: BenchOptions, place: BenchPlace): Promise<BenchCase> {
  const database = await place.openDatabase('lake_writing')
  const store = createBarStore(database)
  const batch = hourlyBars(BATCH_SYMBOLS, 1250)
  const staged = await store.stage(batch, ALL_COLD)
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const file = join(database.lakeDirectory, staged.lakePath!)
  await connection.run(`CREATE TABLE bars AS SELECT * FROM read_parquet('${file}')`)
  const target = join(place.folder, 'duckdb.parquet')
  const times = await interleave(
    [
      {
        name: 'ours',
        async run() {
          const { coldRows } = await store.stage(batch, ALL_COLD)
          if (coldRows !== batch.length) throw new Error(`${coldRows} rows written`)
        },
      },
      {
        name: 'duckdb',
        async run() {
          await connection.run(
            `COPY bars TO '${target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 50000)`,
          )
        },
      },
    ],
    5,
  )
  const difference = await connection.runAndReadAll(
    `SELECT count(*) FROM (SELECT * FROM bars EXCEPT ALL SELECT * FROM read_parquet('${target}'))`,
  )
  if (Number(difference.getRows()[0]![0]) !== 0) throw new Error('DuckDB wrote other rows')
  connection.closeSync()
  duck.closeSync()
  await database.close()
  const rate = (name: string) => (batch.length / times.get(name)!) * 1000
  return against(options, {
    case: 'write 1,000,000 bars to the lake, compared and sorted, in plain JavaScript',
    unit: 'rows/s',
    ours: rate('ours'),
    peer: rate('duckdb'),
    peerName: 'DuckDB, COPY of its own table',
    better: 'higher',
    target: 0.08,
  })
}
