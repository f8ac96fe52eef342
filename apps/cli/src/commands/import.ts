import { checkFiles, importFiles, importRecords } from '@varve/application'
import { parseInterval, parseSessionDate } from '@varve/core'
import { parseInstant } from '../output/instant.ts'
import { count, print, printJson } from '../output/print.ts'
import { printSummary } from '../output/summary.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf, withApplication } from '../session.ts'

export interface ImportCommandOptions extends GlobalOptions {
  readonly interval: string
  readonly source?: string
  readonly asOf?: string
  readonly dataset?: string
  readonly recordedAt?: string
}

export async function importCommand(files: readonly string[], options: ImportCommandOptions): Promise<void> {
  const settings = await settingsOf(options)
  const recordedAt = options.recordedAt === undefined ? undefined : parseInstant(options.recordedAt)
  if (options.dataset !== undefined && options.dataset !== 'bars') {
    await importDataset(files, options.dataset, recordedAt, options)
    return
  }
  const interval = parseInterval(options.interval)
  const asOf = options.asOf === undefined ? undefined : parseSessionDate(options.asOf)
  await checkFiles(files, settings, { interval })
  const dataDir = dataDirOf(options)
  const report = await withApplication(
    { settings, dataDir, asOf, profile: 'backfill' },
    (app, signal) =>
      importFiles(app, { files, interval, sourceName: options.source, asOf, recordedAt, signal }),
    { brings: 'real' },
  )
  if (options.json === true) printJson(report)
  else printSummary(report, { dataDir, kind: 'import' })
}

async function importDataset(
  files: readonly string[],
  dataset: string,
  recordedAt: number | undefined,
  options: ImportCommandOptions,
): Promise<void> {
  const report = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), profile: 'backfill' },
    (app, signal) => importRecords(app, { files, dataset, sourceName: options.source, recordedAt, signal }),
    { brings: 'real' },
  )
  if (options.json === true) {
    printJson(report)
    return
  }
  print(
    `${count(report.rows)} rows of ${report.dataset}: ${count(report.inserted)} new, ${count(report.updated)} restated, ${count(report.unchanged)} known already, ${count(report.failed)} refused`,
  )
  for (const { row, rule, message } of report.refused) print(`row ${row}: ${rule}: ${message}`)
  for (const { file, code, message } of report.waiting)
    print(`a batch waits in ${file}: ${code}: ${message}; load it with "varve db replay"`)
}
