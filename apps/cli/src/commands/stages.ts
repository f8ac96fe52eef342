import {
  backfill as backfillUseCase,
  chooseProvider,
  gaps as gapsUseCase,
  refuseUnsafeStart,
  retention as retentionUseCase,
  scan as scanUseCase,
} from '@varve/application'
import { isLayer, type Layer, VarveError } from '@varve/core'
import { print, printJson, table } from '../output/print.ts'
import { printSummary } from '../output/summary.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf, withApplication } from '../session.ts'

interface StageOptions extends GlobalOptions {
  readonly bars?: readonly string[]
  readonly asOf?: string
}

export async function scan(options: StageOptions & { readonly confirm?: boolean }): Promise<void> {
  const settings = await settingsOf(options)
  const dataDir = dataDirOf(options)
  const provider = chooseProvider(settings, options)
  await refuseUnsafeStart({ settings, dataDir, usesProvider: options.bars === undefined })
  const report = await withApplication(
    { settings, dataDir, provider, asOf: options.asOf, profile: 'scanner' },
    (app, signal) => scanUseCase(app, { confirm: options.confirm, signal }),
  )
  if (options.json === true) printJson(report)
  else printSummary(report, { dataDir, kind: 'run' })
}

export async function backfill(
  options: StageOptions & { readonly layer?: string; readonly symbols?: string; readonly days?: string },
): Promise<void> {
  const settings = await settingsOf(options)
  const dataDir = dataDirOf(options)
  // "layer2" is as good a list of symbols as any.
  const named = /^layer[0-9]$/i.test(options.symbols?.trim() ?? '') ? options.symbols!.trim() : undefined
  const wish = options.layer ?? named
  const layer = wish === undefined ? undefined : parseLayer(wish)
  const symbols = (named === undefined ? options.symbols : undefined)
    ?.split(',')
    .map((symbol) => symbol.trim())
    .filter((symbol) => symbol !== '')
  if ((layer === undefined) === (symbols === undefined)) {
    throw new VarveError('name what to backfill: either --layer N or --symbols A,B', {
      code: 'OPTIONS_CONFLICT',
    })
  }
  const provider = chooseProvider(settings, options)
  await refuseUnsafeStart({ settings, dataDir, usesProvider: options.bars === undefined })
  const report = await withApplication(
    { settings, dataDir, provider, asOf: options.asOf, profile: 'backfill', mustExist: true },
    (app, signal) => backfillUseCase(app, { layer, symbols, days: parseDays(options.days), signal }),
  )
  if (options.json === true) printJson(report)
  else printSummary(report, { dataDir, kind: 'run' })
}

export async function gaps(options: StageOptions & { readonly heal?: boolean }): Promise<void> {
  const settings = await settingsOf(options)
  const dataDir = dataDirOf(options)
  const heal = options.heal === true
  const provider = heal ? chooseProvider(settings, options) : undefined
  if (heal) await refuseUnsafeStart({ settings, dataDir, usesProvider: options.bars === undefined })
  const report = await withApplication(
    { settings, dataDir, provider, asOf: options.asOf, profile: 'backfill', mustExist: true },
    (app, signal) => gapsUseCase(app, { heal, signal }),
  )
  if (options.json === true) printJson(report)
  else
    print(
      `${report.gaps.detected} sessions missing in ${report.gaps.symbols} symbols, ${report.gaps.healed} healed, ${report.gaps.confirmedEmpty} confirmed empty, ${report.gaps.open} open`,
    )
}

export async function retention(options: StageOptions & { readonly dryRun?: boolean }): Promise<void> {
  const settings = await settingsOf(options)
  const result = await withApplication(
    { settings, dataDir: dataDirOf(options), asOf: options.asOf, mustExist: true },
    (app, signal) => retentionUseCase(app, { dryRun: options.dryRun, signal }),
  )
  if (options.json === true) {
    printJson(result)
    return
  }
  print(
    result.dryRun
      ? `Retention as of ${result.asOf} would do this; nothing has been changed`
      : `Retention as of ${result.asOf}`,
  )
  for (const report of result.records)
    for (const group of report.groups)
      print(
        `${report.dataset}, ${group.group}: ${group.archivedRows} to the lake, ${group.expiredRows} expired (${group.reason})`,
      )
  if (result.moves.length === 0) {
    if (result.records.length === 0) print('nothing to move')
    return
  }
  for (const line of table([
    [
      'interval',
      'layer',
      'source',
      'symbols',
      'to the lake',
      'from Postgres',
      'back to Postgres',
      'expired',
      'why',
    ],
    ...result.moves.map((move) => [
      move.interval,
      move.layer ?? '-',
      move.source,
      move.symbols,
      move.archivedRows,
      move.hotDeleted,
      move.hotRestored,
      move.coldExpired,
      move.why,
    ]),
  ])) {
    print(line)
  }
}

function parseLayer(text: string): Layer {
  const value = Number(text.replace(/^layer/i, ''))
  if (text.trim() !== '' && isLayer(value)) return value
  throw new VarveError(`"${text}" is not a layer; use 0, 1, 2 or 3`, {
    code: 'LAYER_UNKNOWN',
    details: { found: text },
  })
}

function parseDays(text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const days = Number(text)
  if (Number.isInteger(days) && days >= 1) return days
  throw new VarveError(`--days takes a whole number above 0, found "${text}"`, {
    code: 'OPTION_INVALID',
    details: { found: text },
  })
}
