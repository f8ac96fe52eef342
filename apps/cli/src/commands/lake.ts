import { compactLake, verifyLake, writeLakeManifest } from '@varve/application'
import { VarveError } from '@varve/core'
import { bytes, count, print, printJson } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf, withApplication } from '../session.ts'

export async function verify(options: GlobalOptions): Promise<void> {
  const result = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    (app, signal) => verifyLake(app, { signal }),
  )
  if (options.json === true) printJson(result)
  else {
    for (const item of result.problems) print(`${item.kind}: ${item.path}: ${item.problem}`)
    if (result.orphans.length > 0)
      print(`${count(result.orphans.length)} files nobody refers to; "varve lake compact" removes old ones`)
    if (result.problems.length === 0)
      print(
        `every file of the lake is as it was written (${count(result.files)} files, ${count(result.rows)} rows)`,
      )
  }
  if (result.problems.length > 0) {
    throw new VarveError(
      `${result.problems.length} problems in ${result.files} lake files; restore damaged ones from a backup`,
      {
        code: 'LAKE_DAMAGED',
        details: { problems: result.problems },
      },
    )
  }
}

export async function compact(options: GlobalOptions): Promise<void> {
  const results = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    (app, signal) => compactLake(app, { signal }),
  )
  if (options.json === true) {
    printJson(results)
    return
  }
  for (const item of results) {
    print(
      `${item.interval}: ${count(item.filesBefore)} files → ${count(item.filesAfter)}, ${count(item.rows)} rows, ${bytes(item.bytes)}`,
    )
  }
}

export async function manifest(options: GlobalOptions): Promise<void> {
  const result = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    (app) => writeLakeManifest(app),
  )
  if (options.json === true) {
    printJson(result)
    return
  }
  print(
    `${count(result.files)} files, ${count(result.rows)} rows, ${bytes(result.bytes)} in ${result.paths.join(' and ')}`,
  )
}
