import { checkFiles, importFiles } from '@varve/application'
import { parseInterval, parseSessionDate } from '@varve/core'
import { printJson } from '../output/print.ts'
import { printSummary } from '../output/summary.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf, withApplication } from '../session.ts'

export interface ImportCommandOptions extends GlobalOptions {
  readonly interval: string
  readonly source?: string
  readonly asOf?: string
}

export async function importCommand(files: readonly string[], options: ImportCommandOptions): Promise<void> {
  const settings = await settingsOf(options)
  const interval = parseInterval(options.interval)
  const asOf = options.asOf === undefined ? undefined : parseSessionDate(options.asOf)
  await checkFiles(files, settings, { interval })
  const dataDir = dataDirOf(options)
  const report = await withApplication(
    { settings, dataDir, asOf, profile: 'backfill' },
    (app, signal) => importFiles(app, { files, interval, sourceName: options.source, asOf, signal }),
    { brings: 'real' },
  )
  if (options.json === true) printJson(report)
  else printSummary(report, { dataDir, kind: 'import' })
}
