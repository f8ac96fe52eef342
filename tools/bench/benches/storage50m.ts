import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startPostgres } from '../../testing/postgres.ts'
import { type Bench, against, bounded } from '../harness.ts'
import type { Figures } from '../storage/fiftyMillion.ts'
import { placeOn } from '../storage/support.ts'

const STEP = join(import.meta.dirname, '..', 'storage', 'fiftyMillion.ts')
const SYMBOLS = 4000
const QUICK_SYMBOLS = 160
const PEAK_MB = 1024
/** Nobody set a bound. */
const NO_TARGET = 0

/** 50,016,000 hourly bars of 4,000 symbols: loaded, compacted and read, each in a process of its own. */
export const storage50m: Bench = async (options) => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-bench-'))
  const postgres = await startPostgres()
  try {
    const database = await placeOn(postgres.url, folder).openDatabase('fifty')
    const symbols = options.quick ? QUICK_SYMBOLS : SYMBOLS
    const run = (step: string): Figures => {
      const args = [...process.execArgv, STEP, step, database.url, database.lakeDirectory, String(symbols)]
      const figures = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Figures
      console.error(step, JSON.stringify(figures))
      return figures
    }
    const load = run('load')
    const compact = run('compact')
    const read = run('read')
    await database.close()
    if (read.hotRows! + read.coldRows! !== load.rows) {
      throw new Error(`${read.hotRows} rows hot and ${read.coldRows} cold, of ${load.rows}`)
    }
    const size = `${(load.rows! / 1e6).toFixed(1)} M bars`
    const lower = { better: 'lower', unit: 'ms' } as const
    const megabytes = { better: 'lower', unit: 'MB', target: PEAK_MB } as const
    const rate = ({ rows, ms }: Figures) => (rows! / ms!) * 1000
    const higher = { better: 'higher', unit: 'rows/s', target: NO_TARGET } as const
    const alone = { better: 'lower', unit: 'ms', peerName: 'DuckDB on the same files' } as const
    const year = `one symbol and year of ${size}`
    const day = `one day of all symbols of ${size}`
    return {
      cases: [
        bounded(options, { ...higher, case: `load ${size}`, ours: rate(load) }),
        bounded(options, { ...megabytes, case: `load ${size}: peak memory`, ours: load.peakMb! }),
        bounded(options, { ...higher, case: `compact ${size}`, ours: rate(compact) }),
        bounded(options, { ...megabytes, case: `compact ${size}: peak memory`, ours: compact.peakMb! }),
        bounded(options, {
          case: `lake of ${size}`,
          unit: 'bytes/bar',
          ours: read.coldBytes! / read.coldRows!,
          better: 'lower',
          target: 12.6,
        }),
        bounded(options, { ...lower, case: `${year}, with DuckDB`, ours: read.yearEngine!, target: 10 }),
        bounded(options, {
          ...lower,
          case: `${year}, plain JavaScript`,
          ours: read.yearJavascript!,
          target: 60,
        }),
        against(options, {
          ...alone,
          case: year,
          ours: read.yearEngine!,
          peer: read.yearAlone!,
          target: 0.8,
        }),
        against(options, {
          ...alone,
          case: `${day}, with DuckDB`,
          ours: read.dayEngine!,
          peer: read.dayAlone!,
          target: NO_TARGET,
        }),
        against(options, {
          ...alone,
          case: `${day}, plain JavaScript`,
          ours: read.dayJavascript!,
          peer: read.dayAlone!,
          target: NO_TARGET,
        }),
        bounded(options, { ...megabytes, case: `reads of ${size}: peak memory`, ours: read.peakMb! }),
      ],
      skipped: [],
    }
  } finally {
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}
