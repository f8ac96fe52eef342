import {
  chooseProvider,
  DEMO_AS_OF,
  exampleSymbol,
  refuseUnsafeStart,
  run as runCycle,
  type Settings,
  startDemoMarket,
} from '@varve/application'
import { VarveError } from '@varve/core'
import { print, printJson } from '../output/print.ts'
import { printSummary } from '../output/summary.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf, withApplication } from '../session.ts'

export interface RunOptions extends GlobalOptions {
  readonly bars?: readonly string[]
  readonly demo?: boolean
  readonly asOf?: string
  readonly confirm?: boolean
  readonly serve?: boolean
}

export async function run(options: RunOptions): Promise<void> {
  const settings = await settingsOf(options)
  if (options.demo === true) await runDemo(options, settings)
  else await runReal(options, settings)
  if (options.serve === true) await (await import('./daemon.ts')).daemon(options)
}

async function runReal(options: RunOptions, settings: Settings): Promise<void> {
  const dataDir = dataDirOf(options)
  const provider = chooseProvider(settings, options)
  await refuseUnsafeStart({ settings, dataDir, usesProvider: options.bars === undefined })
  const report = await withApplication(
    { settings, dataDir, provider, asOf: options.asOf, profile: 'scanner' },
    (app, signal) => runCycle(app, { confirm: options.confirm, signal }),
  )
  if (options.json === true) printJson(report)
  else printSummary(report, { dataDir, kind: 'run' })
}

async function runDemo(options: RunOptions, settings: Settings): Promise<void> {
  if (options.bars !== undefined) {
    throw new VarveError('--demo and --bars exclude each other: demo rows never mix with real ones', {
      code: 'OPTIONS_CONFLICT',
    })
  }
  const dataDir = dataDirOf(options, true)
  const market = await startDemoMarket(settings)
  try {
    const { report, example } = await withApplication(
      { settings, dataDir, provider: market.provider, asOf: options.asOf ?? DEMO_AS_OF, embeddedOnly: true },
      async (app, signal) => ({
        report: await runCycle(app, { confirm: options.confirm, signal }),
        example: (await exampleSymbol(app)) ?? 'SYMBOL',
      }),
      { brings: 'demo' },
    )
    if (options.json === true) {
      printJson(report)
      return
    }
    printSummary(report, { dataDir, kind: 'run', demo: true })
    print()
    print('Look around:')
    print(`  npx varve status --data-dir ${dataDir}`)
    print(`  npx varve why ${example} --data-dir ${dataDir}`)
    print(`  npx varve bars ${example} --data-dir ${dataDir}`)
    print('With real data:')
    print('  npx varve import FILE.parquet                 your own bars, whatever their layer')
    print('  npx varve run --bars FILE.parquet             the whole flow on your own bars')
    print('  npx varve init && npx varve run               with a provider in config/providers.yaml')
  } finally {
    await market.close()
  }
}
