import { BarBatchBuilder } from '@varve/core'
import { createBarStore } from '@varve/storage'
import { DuckDBInstance } from '@duckdb/node-api'
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { testDataDirectory } from '../../testing/testData.ts'
import { type BenchOptions, type BenchResult, bounded } from '../harness.ts'
import { ALL_COLD, type BenchPlace, load } from './support.ts'

const FILE = 'us_daily_2015-03_2016-03.parquet'
const BATCH_ROWS = 200_000
const SOURCE = { provider: 'bench', feed: 'market', adjustment: 'raw' } as const

/** Bytes for each daily bar of the real market, once loaded and compacted. */
export async function measureMarketSize(
  options: BenchOptions,
  place: BenchPlace,
  target: number,
): Promise<BenchResult> {
  const data = testDataDirectory()
  const file = data === undefined ? '' : join(data, 'market', FILE)
  if (!existsSync(file)) return { cases: [], skipped: ['size of the market: its data folder is absent'] }
  const database = await place.openDatabase('market')
  const store = createBarStore(database)
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const scaled = (name: string) => `(${name}::DECIMAL(24, 6) * 1000000)::BIGINT`
  const result = await connection.stream(
    `SELECT symbol, epoch_ms(date), ${['open', 'high', 'low', 'close', 'volume'].map(scaled).join(', ')}
     FROM read_parquet('${file}') WHERE open IS NOT NULL AND volume IS NOT NULL ORDER BY symbol, date`,
  )
  let rows = 0
  let builder = new BarBatchBuilder('1d', SOURCE, BATCH_ROWS)
  const flush = async () => {
    if (builder.length > 0) {
      const { inserted } = await load(database.sql, store, builder.build(), ALL_COLD)
      rows += inserted
    }
    builder = new BarBatchBuilder('1d', SOURCE, BATCH_ROWS)
  }
  for (;;) {
    const chunk = await result.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    for (const [symbol, time, ...values] of chunk.getRows()) {
      const [open, high, low, close, volume] = values as [bigint, bigint, bigint, bigint, bigint]
      builder.add(symbol as string, Number(time), open, high, low, close, volume)
    }
    if (builder.length >= BATCH_ROWS) await flush()
  }
  await flush()
  connection.closeSync()
  duck.closeSync()
  await store.compact('1d', { force: true })
  const { coldBytes, coldRows } = await store.stats()
  if (coldRows !== rows) throw new Error(`${coldRows} rows in the lake, ${rows} loaded`)
  await database.close()
  const source = statSync(file).size / rows
  return {
    cases: [
      bounded(options, {
        case: `size of the lake, ${rows.toLocaleString('en')} daily bars of the US market (its source file: ${source.toFixed(1)})`,
        unit: 'bytes/bar',
        ours: coldBytes / coldRows,
        better: 'lower',
        target,
      }),
    ],
    skipped: [],
  }
}
