import {
  backUp,
  listBackups,
  replayRecovery,
  restoreBackup as restoreStored,
  verifyBackup as verifyStored,
} from '@varve/application'
import { VarveError } from '@varve/core'
import { parseInstant } from '../output/instant.ts'
import { bytes, count, print, printJson, table } from '../output/print.ts'
import type { GlobalOptions } from '../program.ts'
import { configDirectoryOf, dataDirOf, settingsOf, withApplication } from '../session.ts'

/** `varve db migrate`: opening the store does it. */
export async function migrate(options: GlobalOptions): Promise<void> {
  const report = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    async (app) => {
      const { rows } = await app.context.sql.query<{ id: string; applied_at: Date }>(
        'SELECT id, applied_at FROM varve_migrations ORDER BY applied_at, id',
      )
      return rows.map((row) => ({ id: row.id, appliedAt: row.applied_at.toISOString() }))
    },
  )
  if (options.json === true) {
    printJson({ migrations: report })
    return
  }
  for (const line of table(report.map((row) => [row.id, row.appliedAt]))) print(line)
  print(`the schema is up to date (${count(report.length)} migrations)`)
}

export interface BackupCommandOptions extends GlobalOptions {
  readonly to?: string
  readonly kind?: 'full' | 'incremental' | 'differential'
}

export async function backup(options: BackupCommandOptions): Promise<void> {
  const report = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    (app, signal) =>
      backUp(app, {
        to: options.to,
        kind: options.kind,
        configDirectory: configDirectoryOf(options),
        signal,
      }),
  )
  if (options.json === true) {
    printJson(report)
    return
  }
  print(`${report.id} in ${report.destination}`)
  print(
    `${count(report.rows)} rows of ${count(report.tables)} tables, ${count(report.lakeFiles)} lake files; ${bytes(report.written.bytes)} written, ${bytes(report.reused.bytes)} were there already`,
  )
  print(`try it with: varve db restore --verify ${report.id}`)
}

export interface BackupsCommandOptions extends GlobalOptions {
  readonly from?: string
}

export async function backups(options: BackupsCommandOptions): Promise<void> {
  const list = await listBackups({
    settings: await settingsOf(options),
    dataDir: dataDirOf(options),
    from: options.from,
  })
  const found = list.backups.map((manifest) => ({
    id: manifest.id,
    snapshotAt: manifest.snapshotAt,
    kind: manifest.kind,
    job: manifest.job,
    rows: (manifest.database?.tables ?? []).reduce((sum, entry) => sum + entry.rows, 0),
    lakeFiles: manifest.lake?.files.length ?? 0,
    bytes: manifest.written.bytes + manifest.reused.bytes,
  }))
  if (options.json === true) {
    printJson({ location: list.location, backups: found, unreadable: list.unreadable })
    return
  }
  if (found.length === 0) print(`no backups in ${list.location}`)
  for (const line of table([
    ...(found.length === 0 ? [] : [['backup', 'of', 'kind', 'rows', 'lake files', 'bytes']]),
    ...found.map((entry) => [
      entry.id,
      entry.snapshotAt,
      entry.kind,
      entry.rows,
      entry.lakeFiles,
      bytes(entry.bytes),
    ]),
  ])) {
    print(line)
  }
  for (const { id, problem } of list.unreadable) print(`${id}: not a whole backup: ${problem}`)
}

export interface RestoreCommandOptions extends GlobalOptions {
  readonly from?: string
  readonly verify?: boolean
  readonly at?: string
  readonly into?: string
  readonly configInto?: string
  readonly sameLake?: boolean
}

export async function restore(id: string | undefined, options: RestoreCommandOptions): Promise<void> {
  const place = { settings: await settingsOf(options), dataDir: dataDirOf(options), from: options.from }
  if (options.verify === true) {
    await verify(place, id, options)
    return
  }
  if (options.into === undefined) {
    throw new VarveError(
      'name the data directory to make with --into, or only try the backup with --verify; nothing is ever restored over what is there',
      { code: 'OPTIONS_CONFLICT' },
    )
  }
  const report = await restoreStored({
    ...place,
    ...(id === undefined ? {} : { id }),
    ...(options.at === undefined ? {} : { at: parseInstant(options.at) }),
    into: options.into,
    sameLake: options.sameLake,
    ...(options.configInto === undefined ? {} : { configDirectory: options.configInto }),
  })
  if (options.json === true) {
    printJson(report)
    return
  }
  print(`restored ${report.id}, as of ${report.snapshotAt}`)
  for (const line of table(
    report.components.map((entry) => [entry.component, entry.status, count(entry.count)]),
  )) {
    print(line)
  }
}

async function verify(
  place: Parameters<typeof listBackups>[0],
  id: string | undefined,
  options: RestoreCommandOptions,
): Promise<void> {
  const wanted = id ?? (await listBackups(place)).backups[0]?.id
  if (wanted === undefined)
    throw new VarveError('there is no backup to try', { code: 'BACKUP_NOT_FOUND', details: {} })
  const report = await verifyStored({ ...place, id: wanted })
  if (options.json === true) printJson(report)
  else {
    for (const { where, what, problem } of report.problems) print(`${where}: ${what}: ${problem}`)
    if (report.ok)
      print(
        `${report.id} restores: ${count(report.rows)} rows of ${count(report.tables)} tables, ${count(report.lakeFiles)} lake files, ${count(report.stateComponents)} other parts`,
      )
  }
  if (!report.ok) {
    throw new VarveError(
      `the backup ${report.id} has ${report.problems.length} problems; restore another one, and find out what changed this one`,
      { code: 'BACKUP_DAMAGED', details: { problems: report.problems } },
    )
  }
}

export async function replay(options: GlobalOptions): Promise<void> {
  const result = await withApplication(
    { settings: await settingsOf(options), dataDir: dataDirOf(options), mustExist: true },
    (app, signal) => replayRecovery(app, { signal }),
  )
  if (options.json === true) printJson(result)
  else
    print(
      `${count(result.replayed)} batches loaded (${count(result.inserted)} new rows, ${count(result.updated)} restated), ${count(result.kept.length)} still wait`,
    )
}
