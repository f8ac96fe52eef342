// The built `varve` on the whole US market of 2015 and on five years of the S&P 500: layers of the expected sizes, one
// backfill per qualification, histories of exactly the policy's depth, rows equal to the file's, nothing twice.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadSettings, openApplication, type RunReport, why, type WhyReport } from '@varve/application'
import { checker } from './checker.ts'
import { realData } from './marketSlice.ts'
import { checkStore, eventTotals, layersOf } from './realStore.ts'
import { checkVersions } from './realVersions.ts'
import { type CommandResult, varve } from './varve.ts'

const SESSION = '2015-06-30'
const NEXT_SESSION = '2015-07-01'
const MEMORY_LIMIT_MB = 1500
/** Symbols whose explanation is looked at. */
const EXPLAINED = 200

const market = realData('market/us_daily_2015-03_2016-03.parquet')
const restatements = realData('market/us_daily_restatements_2015-03_2016-03.parquet')
const demo = realData('demo/sp500_daily_2013_2018.parquet')
const { check, skip, finish } = checker()
const folder = mkdtempSync(join(tmpdir(), 'varve-real-'))
try {
  if (market === undefined) skip('the whole market: its file is not here; set VARVE_TEST_DATA')
  else await wholeMarket(market, join(folder, 'market'))
  if (market === undefined || restatements === undefined)
    skip('every crawled version of the market: its files are not here; set VARVE_TEST_DATA')
  else await checkVersions(market, restatements, check)
  if (demo === undefined) skip('five years of the S&P 500: its file is not here; set VARVE_TEST_DATA')
  else await importDemo(demo, join(folder, 'import'))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
finish()

function reportOf(name: string, result: CommandResult): RunReport | undefined {
  check(`${name} ends well`, result.code === 0, result.stderr.trim())
  if (result.code !== 0) return undefined
  const report = JSON.parse(result.stdout) as RunReport
  const { offered, inserted } = report.bars
  console.log(
    `${name}: ${(result.elapsedMs / 1000).toFixed(1)} s, ${report.barsPerSecond} bars/s, ${offered} offered, ${inserted} inserted, ${report.peakRssMb} MB`,
  )
  return report
}

async function wholeMarket(file: string, dataDir: string): Promise<void> {
  const runAt = (session: string) =>
    varve(['run', '--bars', file, '--as-of', session, '--data-dir', dataDir, '--json'])
  const settings = await loadSettings({ directory: null, env: {} })
  const open = () =>
    openApplication({
      settings,
      dataDir,
      asOf: SESSION,
      mustExist: true,
    })
  const first = reportOf(`whole market at ${SESSION}`, await runAt(SESSION))
  if (first === undefined) return
  const { layers, listed } = first.symbols
  console.log(
    `listed ${listed}, layers ${JSON.stringify(layers)}, events ${JSON.stringify(first.events)}, gaps ${JSON.stringify(first.gaps)}`,
  )
  check(
    `memory stays below ${MEMORY_LIMIT_MB} MB`,
    first.peakRssMb < MEMORY_LIMIT_MB,
    `${first.peakRssMb} MB`,
  )
  check('more than 6,000 symbols are listed', listed > 6000, `${listed}`)
  const between = (value: number, low: number, high: number) => value >= low && value <= high
  check('layer 1 holds 1,500 to 3,500 symbols', between(layers['1'], 1500, 3500), `${layers['1']}`)
  check('layer 2 holds 60 to 700 symbols', between(layers['2'], 60, 700), `${layers['2']}`)
  check('layer 3 holds 10 to 120 symbols', between(layers['3'], 10, 120), `${layers['3']}`)
  check(
    'every row offered is accepted or quarantined',
    first.bars.offered === first.bars.accepted + first.bars.quarantined,
  )
  let explained: string | undefined
  {
    await using app = await open()
    await checkStore(app, file, SESSION, check)
    const companies = (await app.context.companies.load(app.context.sql)).filter(
      ({ layer }) => layer !== null,
    )
    const unexplained: string[] = []
    for (const { symbol } of companies.slice(0, EXPLAINED))
      if (!isExplained(await why(app, symbol))) unexplained.push(symbol)
    check(
      'every criterion has its value, threshold and margin',
      unexplained.length === 0,
      unexplained.join(', '),
    )
    explained = companies[0]?.symbol
  }
  const answer = await varve(['why', explained ?? '', '--data-dir', dataDir, '--json'])
  check(
    'varve why explains a symbol',
    answer.code === 0 && isExplained(JSON.parse(answer.stdout) as WhyReport),
    answer.stderr,
  )
  await againAndOn(runAt, open, first)
}

/** The same session again, then the next one. */
async function againAndOn(
  runAt: (session: string) => Promise<CommandResult>,
  open: () => ReturnType<typeof openApplication>,
  first: RunReport,
): Promise<void> {
  const state = async () => {
    await using app = await open()
    return {
      hashes: await app.context.bars.checksums(),
      totals: await eventTotals(app),
      layers: await layersOf(app),
    }
  }
  const before = await state()
  const again = reportOf(`again at ${SESSION}`, await runAt(SESSION))
  if (again === undefined) return
  const { inserted, updated } = again.bars
  check(
    'a second run loads nothing',
    inserted === 0 && updated === 0,
    `${inserted} inserted, ${updated} updated`,
  )
  check(
    'a second run has no events',
    Object.values(again.events).every((count) => count === 0),
    JSON.stringify(again.events),
  )
  const settled = await state()
  check(
    'a second run leaves the content as it was',
    JSON.stringify(settled.hashes) === JSON.stringify(before.hashes),
  )
  const next = reportOf(`next session ${NEXT_SESSION}`, await runAt(NEXT_SESSION))
  if (next === undefined) return
  const after = await state()
  const moved = new Set(
    [...after.layers]
      .filter(([symbol, layer]) => (settled.layers.get(symbol) ?? null) !== layer)
      .map(([symbol]) => symbol),
  )
  const fresh = (types: readonly string[]) =>
    after.totals.filter(
      ({ id, type }) => types.includes(type) && !settled.totals.some((event) => event.id === id),
    )
  const changes = fresh(['SymbolQualified', 'SymbolPromoted', 'SymbolDemoted']).map(({ symbol }) => symbol)
  check(
    'the next session has one layer event for each symbol that changed, and no other',
    changes.length === moved.size && changes.every((symbol) => moved.has(symbol)),
    `${changes.length} events, ${moved.size} symbols changed`,
  )
  const gapped = new Set(fresh(['DataGapDetected']).map(({ symbol }) => symbol))
  const stray = fresh(['BackfillRequested', 'BackfillCompleted']).filter(
    ({ symbol }) => !moved.has(symbol) && !gapped.has(symbol),
  )
  check('backfills are asked for changed symbols and gaps only', stray.length === 0, `${stray.length} others`)
  for (const layer of ['0', '1', '2', '3'] as const) {
    const held = [...after.layers.values()].filter((value) => value !== null && value >= Number(layer)).length
    check(
      `the report counts layer ${layer} as the store does`,
      held === next.symbols.layers[layer],
      `${held}, ${next.symbols.layers[layer]}`,
    )
  }
  check(
    'the universe stays about the same from one day to the next',
    Math.abs(next.symbols.layers['1'] - first.symbols.layers['1']) < 100,
  )
}

async function importDemo(file: string, dataDir: string): Promise<void> {
  const report = reportOf(
    'import of five years of the S&P 500',
    await varve(['import', file, '--data-dir', dataDir, '--json']),
  )
  if (report === undefined) return
  check(
    '619,040 rows are accounted for',
    report.bars.accepted + report.bars.quarantined === 619_040,
    JSON.stringify(report.bars),
  )
  check(
    '51 sessions are missing in 6 symbols',
    report.gaps.detected === 51 && report.gaps.symbols === 6,
    JSON.stringify(report.gaps),
  )
}

function isExplained({ reasons }: WhyReport): boolean {
  return (
    reasons !== null &&
    reasons.layers.length === 4 &&
    reasons.layers.every((layer) =>
      layer.criteria.every(
        ({ value, threshold, margin, outcome }) =>
          threshold !== undefined &&
          value !== undefined &&
          outcome !== undefined &&
          (typeof value !== 'number' || typeof margin === 'number'),
      ),
    )
  )
}
