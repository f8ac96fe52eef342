import type { RunReport } from '@varve/application'
import { bytes, count, print } from './print.ts'

const LAYERS = [
  ['0', 'listed', 'tradable on an exchange'],
  ['1', 'liquid', 'liquid enough to trade'],
  ['2', 'catalyst', 'something is happening'],
  ['3', 'active', 'in play now'],
] as const

/** What a run did, for people. */
export function printSummary(
  report: RunReport,
  input: { readonly dataDir: string; readonly kind: 'run' | 'import'; readonly demo?: boolean },
): void {
  const { bars, symbols, events, gaps, storage, jobs } = report
  print(
    `${input.kind === 'import' ? 'Imported' : 'Cycle finished'} as of ${report.asOf} in ${seconds(report.elapsedMs)}${input.demo === true ? ' (synthetic demo market)' : ''}`,
  )
  print()
  if (input.kind === 'run') {
    print(`Listed     ${count(symbols.listed)} symbols`)
    for (const [layer, name, meaning] of LAYERS) {
      print(`  layer ${layer}  ${count(symbols.layers[layer]).padStart(6)}  ${name.padEnd(9)} ${meaning}`)
    }
    print(
      `Changed    ${count(events.qualified)} qualified, ${count(events.promoted)} promoted, ${count(events.demoted)} demoted`,
    )
    print(
      `Backfills  ${count(events.backfillRequested)} requested by events, ${count(jobs.completed)} done, ${count(jobs.retried)} tried again, ${count(jobs.failed)} failed`,
    )
  } else {
    print(`Symbols    ${count(symbols.listed)}`)
  }
  print(
    `Fetched    ${count(bars.offered)} bars${input.kind === 'run' ? ` in ${count(report.providerCalls)} provider calls` : ''}, ${count(report.barsPerSecond)}/s`,
  )
  print(
    `Stored     ${count(bars.inserted)} new, ${count(bars.updated)} corrected, ${count(bars.unchanged)} unchanged`,
  )
  print(`Suspect    ${count(bars.quarantined)} set aside${rules(report.quarantine)}`)
  if (Object.keys(report.warnings).length > 0) print(`Marked     ${rules(report.warnings).slice(2)}`)
  print(
    `Gaps       ${count(gaps.detected)} found in ${count(gaps.symbols)} symbols, ${count(gaps.healed)} healed, ${count(gaps.confirmedEmpty)} confirmed empty, ${count(gaps.open)} open`,
  )
  print(
    `Kept       ${count(storage.hotRows)} bars hot in ${report.engine.hot === 'pglite' ? 'embedded Postgres' : 'Postgres'}, ${count(storage.coldRows)} in the lake (${count(storage.coldFiles)} Parquet files, ${bytes(storage.coldBytes)})`,
  )
  print(`Where      ${input.dataDir}`)
  if (report.unservable.length > 0)
    print(`Not served ${report.unservable.join(', ')}: no configured provider has it`)
  print(`Memory     ${count(report.peakRssMb)} MB at most`)
}

function rules(counts: Readonly<Record<string, number>>): string {
  const parts = Object.entries(counts)
    .sort(([, a], [, b]) => b - a)
    .map(([rule, number]) => `${rule} ${count(number)}`)
  return parts.length === 0 ? '' : `: ${parts.join(', ')}`
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
