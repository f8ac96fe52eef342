import { spawnSync } from 'node:child_process'
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { testDataDirectory } from '../../testing/testData.ts'
import { type Bench, type BenchCase, bounded, median } from '../harness.ts'

const CLI = join(import.meta.dirname, '..', '..', '..', 'apps', 'cli', 'bin', 'varve.js')
const HELP_RUNS = 7

/** What a command's JSON document says of the run. */
interface Report {
  readonly elapsedMs: number
  readonly barsPerSecond: number
  readonly peakRssMb: number
  readonly storage: { readonly coldRows: number; readonly coldBytes: number }
}

type Figure = 'elapsedMs' | 'barsPerSecond' | 'peakRssMb'

/** Whole commands, as a user starts them, on embedded Postgres in a new data directory. */
export const flow: Bench = async (options) => {
  const cases: BenchCase[] = []
  const skipped: string[] = []
  const rounds = options.quick ? 1 : 3
  const help = Array.from({ length: HELP_RUNS }, () => {
    const began = performance.now()
    varve(['--help'])
    return performance.now() - began
  })
  cases.push(
    bounded(options, { case: 'varve --help', unit: 'ms', ours: median(help), better: 'lower', target: 200 }),
  )

  const data = testDataDirectory()
  const daily = data === undefined ? '' : join(data, 'demo', 'sp500_daily_2013_2018.parquet')
  const market = data === undefined ? '' : join(data, 'market', 'us_daily_2015-03_2016-03.parquet')
  if (existsSync(daily)) {
    const name = 'varve import, 619,040 bars of 505 symbols'
    const [first, again] = reports(rounds, [['import', daily], ...(options.quick ? [] : [['import', daily]])])
    cases.push(...rates(first!, name, 50_000))
    if (again !== undefined) cases.push(...rates(again, `${name}, again`, 50_000))
  } else skipped.push('varve import: the market data folder is absent')
  if (existsSync(market)) {
    const [run] = reports(rounds, [['run', '--bars', market, '--as-of', '2015-06-30']])
    cases.push(
      ...rates(run!, 'varve run, whole market of 6,094 symbols', 10_000),
      bounded(options, {
        case: 'varve run, whole market of 6,094 symbols',
        unit: 's',
        ours: median(run!.map((report) => report.elapsedMs)) / 1000,
        better: 'lower',
        target: 30,
      }),
    )
    if (!options.quick) {
      const [load] = reports(rounds, [['import', market]])
      const { coldBytes, coldRows } = load![0]!.storage
      cases.push(
        ...rates(load!, 'varve import, 1,580,708 bars of 6,552 symbols', 50_000),
        bounded(options, {
          case: 'size of the lake, daily bars of the market',
          unit: 'bytes/bar',
          ours: coldBytes / coldRows,
          better: 'lower',
          target: 12.6,
        }),
      )
    }
  } else skipped.push('varve run: the market data folder is absent')
  return { cases, skipped }

  function rates(list: readonly Report[], name: string, target: number): BenchCase[] {
    const of = (key: Figure) => median(list.map((report) => report[key]))
    return [
      bounded(options, { case: name, unit: 'bars/s', ours: of('barsPerSecond'), better: 'higher', target }),
      bounded(options, {
        case: `${name}: peak memory`,
        unit: 'MB',
        ours: of('peakRssMb'),
        better: 'lower',
        target: 1024,
      }),
    ]
  }
}

/** Runs commands one after another in a directory of their own, several times; the reports by command. */
function reports(rounds: number, commands: readonly (readonly string[])[]): Report[][] {
  const results: Report[][] = commands.map(() => [])
  for (let round = 0; round < rounds; round++) {
    const folder = mkdtempSync(join(tmpdir(), 'varve-bench-'))
    try {
      commands.forEach((command, index) => {
        results[index]!.push(JSON.parse(varve([...command, '--json'], folder)) as Report)
      })
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  }
  return results
}

/** A folder without configuration means the built-in defaults and a data directory of its own. */
function varve(args: readonly string[], cwd = tmpdir()): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, ...args], {
    cwd,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  })
  if (status !== 0) throw new Error(`varve ${args.join(' ')} ended with ${status}:\n${stderr.slice(-2000)}`)
  return stdout
}
