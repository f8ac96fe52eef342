import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { testDataDirectory } from '../testing/testData.ts'

/** Path of a file of the real data, or `undefined` where that data is absent. */
export function realData(path: string): string | undefined {
  const folder = testDataDirectory()
  const file = folder === undefined ? undefined : join(folder, path)
  return file !== undefined && existsSync(file) ? file : undefined
}

/** Every `nth` symbol of the whole-market tape, as a Parquet file: small enough to run the flow many times over. */
export async function writeMarketSlice(target: string, nth: number): Promise<void> {
  const file = realData('market/us_daily_2015-03_2016-03.parquet')
  if (file === undefined) throw new Error('the market tape is not here; set VARVE_TEST_DATA')
  const instance = await DuckDBInstance.create()
  const db = await instance.connect()
  await db.run(`
    COPY (
      SELECT symbol, date, open, high, low, close, volume FROM '${file}'
       WHERE symbol IN (SELECT symbol FROM (SELECT symbol, row_number() OVER (ORDER BY symbol) AS n FROM (SELECT DISTINCT symbol FROM '${file}')) WHERE n % ${nth} = 0)
         AND date <= DATE '2015-07-31'
       ORDER BY symbol, date
    ) TO '${target}' (FORMAT parquet, COMPRESSION zstd)`)
  db.closeSync()
  instance.closeSync()
}
