import {
  type QueryKind,
  bars as barsUseCase,
  status as statusUseCase,
  why as whyUseCase,
} from '@varve/application'
import { parseInterval, parseSessionDate } from '@varve/core'
import { parseInstant } from '../output/instant.ts'
import { bytes, count, print, printJson, table } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf } from '../session.ts'
import { openForReading } from '../reading.ts'

export async function status(options: GlobalOptions): Promise<void> {
  const report = await openForReading(await settingsOf(options), dataDirOf(options), (app) =>
    statusUseCase(app),
  )
  if (options.json === true) {
    printJson(report)
    return
  }
  print(`Store      ${report.dataDir} (${report.engine === 'pglite' ? 'embedded Postgres' : 'Postgres'})`)
  print(`Judged     ${report.evaluatedOn ?? 'never'}`)
  const { layers } = report.symbols
  print(
    `Symbols    ${count(report.symbols.active)} active; layer 0 ${count(layers[0])}, 1 ${count(layers[1])}, 2 ${count(layers[2])}, 3 ${count(layers[3])}`,
  )
  for (const item of report.series)
    print(`Series     ${item.interval} ${item.source}: ${count(item.symbols)} symbols`)
  print(
    `Bars       ${count(report.storage.hotRows)} hot, ${count(report.storage.coldRows)} in the lake (${count(report.storage.coldFiles)} files, ${bytes(report.storage.coldBytes)})`,
  )
  print(`Suspect    ${list(report.quarantine)}`)
  print(`Marked     ${list(report.warnings)}`)
  print(`Gaps       ${list(report.gaps)}`)
  print(`Jobs       ${list(report.jobs)}`)
  print(`Events     ${list(report.events)}`)
}

function list(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts).filter(([, number]) => number > 0)
  return parts.length === 0 ? 'none' : parts.map(([name, number]) => `${name} ${count(number)}`).join(', ')
}

export async function why(symbol: string, options: GlobalOptions): Promise<void> {
  const report = await openForReading(await settingsOf(options), dataDirOf(options), (app) =>
    whyUseCase(app, symbol),
  )
  if (options.json === true) {
    printJson(report)
    return
  }
  print(`${report.symbol}${report.name === null ? '' : ` (${report.name})`}`)
  print(
    report.layer === null
      ? `in no layer; judged ${report.evaluatedOn ?? 'never'}`
      : `layer ${report.layer} since ${report.layerSince ?? '?'}; judged ${report.evaluatedOn ?? 'never'}`,
  )
  for (const layer of report.reasons?.layers ?? []) {
    print(`layer ${layer.layer}: ${layer.outcome}`)
    for (const line of table(
      layer.criteria.map((item) => [
        `  ${item.outcome === 'pass' ? 'yes' : item.outcome === 'fail' ? 'no' : '?'}`,
        item.metric,
        show(item.value),
        `${item.test} ${show(item.threshold)}`,
        item.margin === null ? '' : `margin ${show(item.margin)}`,
      ]),
    )) {
      print(line)
    }
  }
  if (report.reasons?.held) print(`kept by ${report.reasons.held.replaceAll('_', ' ')}`)
  for (const item of report.held)
    print(`holds ${item.interval} ${item.from} to ${item.to} from ${item.source} (${item.state})`)
  for (const event of report.history) print(`${event.at.slice(0, 10)} ${event.type}`)
}

function show(value: unknown): string {
  if (value === null) return 'unknown'
  if (typeof value === 'number') return value.toLocaleString('en-US', { maximumFractionDigits: 6 })
  return Array.isArray(value) ? value.join('|') : String(value)
}

export interface BarsCommandOptions extends GlobalOptions {
  readonly interval: string
  readonly from?: string
  readonly to?: string
  readonly source?: string
  readonly includeSuspect?: boolean
  readonly knownAt?: string
  readonly tier?: 'both' | 'hot' | 'cold'
  readonly allowPartial?: boolean
  readonly for?: QueryKind
  readonly adjusted?: true | 'all' | 'split' | 'dividend'
  readonly asOf?: string
  readonly actions?: string
}

export async function bars(symbol: string, options: BarsCommandOptions): Promise<void> {
  const interval = parseInterval(options.interval)
  const from = options.from === undefined ? undefined : parseSessionDate(options.from)
  const to = options.to === undefined ? undefined : parseSessionDate(options.to)
  const knownAt = options.knownAt === undefined ? undefined : parseInstant(options.knownAt)
  const asOf = options.asOf === undefined ? undefined : parseSessionDate(options.asOf)
  const kinds = options.adjusted === true ? 'all' : options.adjusted
  const { rows, partial, warnings, route } = await openForReading(
    await settingsOf(options),
    dataDirOf(options),
    (app) =>
      barsUseCase(app, {
        knownAt,
        tiers: options.tier,
        allowPartial: options.allowPartial,
        kind: options.for,
        ...(kinds === undefined
          ? {}
          : {
              adjusted: {
                splits: kinds !== 'dividend',
                dividends: kinds !== 'split',
                asOf,
                actions: options.actions,
              },
            }),
        symbol,
        interval,
        from,
        to: to ?? asOf,
        source: options.source,
        includeSuspect: options.includeSuspect,
      }),
  )
  if (partial !== undefined) process.stderr.write(`warning: bars of the lake are missing: ${partial}\n`)
  for (const warning of warnings ?? []) process.stderr.write(`warning: ${warning}\n`)
  if (route?.complete === false)
    process.stderr.write(`warning: rows may be missing: read from ${route.answered}, ${route.why}\n`)
  if (options.json === true) {
    printJson(rows)
    return
  }
  const text = (value: string | null) => (value ?? '-').padStart(14)
  print(
    `${'time'.padEnd(24)}${['open', 'high', 'low', 'close', 'volume'].map((name) => name.padStart(14)).join('')}  source`,
  )
  for (const row of rows) {
    const cells = [row.open, row.high, row.low, row.close, row.volume].map(text).join('')
    print(
      `${row.time.padEnd(24)}${cells}  ${row.source}${row.suspect === undefined ? '' : `  suspect: ${row.suspect}`}`,
    )
  }
}
