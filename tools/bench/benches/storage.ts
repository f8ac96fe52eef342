import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../../testing/postgres.ts'
import type { Bench, BenchCase, BenchOptions, BenchResult } from '../harness.ts'
import { measureDecode } from '../storage/decode.ts'
import { measureEmbedded } from '../storage/embedded.ts'
import { measureHotReads } from '../storage/hotReads.ts'
import { measureLake } from '../storage/lake.ts'
import { measureLoads } from '../storage/loads.ts'
import { measureSpanning } from '../storage/spanning.ts'
import { type BenchPlace, placeOn } from '../storage/support.ts'

type Topic = (options: BenchOptions, place: BenchPlace) => Promise<BenchResult>

const QUICK: readonly Topic[] = [measureLoads, measureHotReads, measureLake]
const FULL: readonly Topic[] = [
  measureLoads,
  measureEmbedded,
  measureHotReads,
  measureLake,
  measureDecode,
  measureSpanning,
]

/** Loads and reads of the bar store beside psql, UNNEST, pg-copy-streams, DuckDB, polars and decimal.js. */
export const storage: Bench = async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-'))
  const postgres = await startPostgres()
  const cases: BenchCase[] = []
  const skipped: string[] = []
  try {
    const place = placeOn(postgres.url, folder)
    for (const topic of options.quick ? QUICK : FULL) {
      const result = await topic(options, place)
      cases.push(...result.cases)
      skipped.push(...result.skipped)
    }
    return { cases, skipped }
  } finally {
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
