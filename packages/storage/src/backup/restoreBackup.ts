import {
  type Migration,
  type SqlClient,
  type SqlTx,
  VarveError,
  checkedOptions,
  errorMessage,
  publish,
} from '@varve/core'
import type { EncryptionKeys } from '../encryption/EncryptionKeys.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import type { StateComponent } from './StateComponent.ts'
import { backupsForTime } from './listBackups.ts'
import { type LoadOptions, loadDatabase, refuseRows } from './loadDatabase.ts'
import { type BackupManifest, type BackupPart, damagedBackup, readManifest, storedParts } from './manifest.ts'
import { type BackupSettings, backupOptionsSchema } from './options.ts'
import { readPart } from './partStore.ts'
import { sha256OfParts } from './stateParts.ts'

/** Where a restore point goes. What is left out is not restored. */
export interface RestoreTarget {
  /** A database without rows. */
  readonly sql?: SqlClient
  /** Files that are there already and whole are left alone. */
  readonly lake?: LakeFiles
  readonly state?: readonly StateComponent[]
}

/** Its data, with their defaults: {@link backupOptionsSchema}. */
export interface RestoreOptions extends BackupSettings {
  readonly source: LakeFiles
  /** The backup; or `at`: the last one of the database at or before a moment, milliseconds since 1970-01-01T00:00Z. */
  readonly id?: string
  readonly at?: number
  readonly into: RestoreTarget
  /** Needed for an encrypted backup. */
  readonly keys?: EncryptionKeys
  /** Of every package that keeps tables, as given to `applyMigrations`. */
  readonly migrations: readonly Migration[]
  /** Makes tables that no migration makes, before rows are loaded. @defaultValue nothing */
  readonly prepare?: (sql: SqlClient) => Promise<void>
  /**
   * Runs in the transaction of the load, after the rows were checked: `rebaseEvents` of `@varve/events` where there
   * are events, because transaction ids mean nothing in another database cluster.
   */
  readonly afterLoad?: (tx: SqlTx) => Promise<void>
  readonly signal?: AbortSignal
}

/** How one part of a restore went. */
export interface RestoredComponent {
  /** `database`, `lake`, or `state/` and a name. */
  readonly component: string
  readonly status: 'restored' | 'failed' | 'not asked for'
  /** Rows of the database, files of the lake, bytes of the state. */
  readonly count: number
  /** Why it failed. */
  readonly problem?: string
}

export interface RestoreReport {
  readonly id: string
  /** The moment that was brought back. */
  readonly snapshotAt: string
  readonly components: readonly RestoredComponent[]
}

/**
 * Brings a restore point back: lake files, then the database that refers to them, then the state. Every part's hash
 * is checked before it is used. Where one component fails the others are still tried, and the whole is a failure.
 *
 * @throws `BACKUP_NOT_FOUND`, `BACKUP_NEWER`, `BACKUP_DAMAGED`, `ENCRYPTION_KEY_WRONG`, `BACKUP_TARGET_NOT_EMPTY` before anything was changed;
 * `BACKUP_RESTORE_PARTIAL` with the report in its details when a component failed, whose error is the cause
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreReport> {
  const { source, keys, into, signal } = options
  const manifest = await readManifest(source, await chooseId(options), keys)
  await checkRestorable(source, manifest, options)
  const components: RestoredComponent[] = []
  let cause: unknown
  const restore = async (component: string, work: (() => Promise<number>) | undefined): Promise<void> => {
    if (work === undefined) {
      components.push({ component, status: 'not asked for', count: 0 })
      return
    }
    try {
      signal?.throwIfAborted()
      components.push({ component, status: 'restored', count: await work() })
    } catch (error) {
      cause ??= error
      components.push({ component, status: 'failed', count: 0, problem: errorMessage(error) })
    }
  }
  const { lake, sql } = into
  if (manifest.lake !== null) {
    await restore('lake', lake && (() => restoreLake(source, manifest, lake, keys, signal)))
  }
  if (manifest.database !== null) {
    await restore('database', sql && (() => restoreDatabase(sql, manifest, options)))
  }
  for (const held of manifest.state) {
    const component = into.state?.find(({ name }) => name === held.name)
    await restore(`state/${held.name}`, component && (() => restoreState(source, held, component, keys)))
  }
  for (const { name } of into.state ?? []) {
    if (manifest.state.some((held) => held.name === name)) continue
    components.push({
      component: `state/${name}`,
      status: 'failed',
      count: 0,
      problem: 'the backup holds none of it',
    })
  }
  const report = { id: manifest.id, snapshotAt: manifest.snapshotAt, components }
  const failed = components.filter(({ status }) => status === 'failed')
  if (failed.length === 0) return report
  throw new VarveError(
    `the restore of ${manifest.id} failed in part: ${failed.map(({ component, problem }) => `${component}: ${problem}`).join('; ')}. Do not use what was restored; correct the cause and restore again into an empty target`,
    { code: 'BACKUP_RESTORE_PARTIAL', cause, details: { report } },
  )
}

async function chooseId({ source, id, at }: RestoreOptions): Promise<string> {
  if (id !== undefined) return id
  if (at === undefined) {
    throw new VarveError('say which backup to restore: by id, or by the moment to bring back', {
      code: 'OPTION_INVALID',
    })
  }
  const { recommended, advice } = await backupsForTime({ source, at })
  if (recommended !== undefined) return recommended.id
  throw new VarveError(`${advice} Choose a backup by id`, { code: 'BACKUP_NOT_FOUND', details: { at } })
}

/** What can be known before anything is changed. */
async function checkRestorable(
  source: LakeFiles,
  manifest: BackupManifest,
  options: RestoreOptions,
): Promise<void> {
  if (manifest.encryption !== null && options.keys === undefined) {
    throw new VarveError(
      `the backup ${manifest.id} is encrypted with key ${manifest.encryption.keyId}; give that key`,
      { code: 'ENCRYPTION_KEY_WRONG', details: { keyId: manifest.encryption.keyId } },
    )
  }
  if (options.into.sql !== undefined && options.afterLoad === undefined) refuseTransactionIds(manifest)
  if (options.into.sql !== undefined && manifest.database !== null) {
    const { schemas } = checkedOptions(backupOptionsSchema, options, 'the restore')
    await refuseRows(options.into.sql, schemas)
  }
  for (const part of storedParts(manifest)) {
    const size = await source.size(part.stored)
    if (size === undefined) throw damagedBackup(part.stored, 'it is missing')
    if (size !== part.storedBytes) {
      throw damagedBackup(part.stored, `${size} bytes where ${part.storedBytes} were written`)
    }
  }
}

/** Rows ordered by transaction ids would stand after everything to come in a cluster whose ids are lower. */
function refuseTransactionIds(manifest: BackupManifest): void {
  const table = manifest.database?.tables.find(
    ({ rows, columns }) => rows > 0 && columns.some(({ type }) => type === 'xid8'),
  )
  if (table === undefined) return
  throw new VarveError(
    `table ${table.name} of the backup holds transaction ids, which mean nothing in another database; give afterLoad, such as rebaseEvents of @varve/events`,
    { code: 'OPTION_INVALID', details: { table: table.name } },
  )
}

async function restoreLake(
  source: LakeFiles,
  manifest: BackupManifest,
  lake: LakeFiles,
  keys: EncryptionKeys | undefined,
  signal: AbortSignal | undefined,
): Promise<number> {
  const files = manifest.lake!.files
  let written = 0
  for (const [index, file] of files.entries()) {
    signal?.throwIfAborted()
    if (!(await isWhole(lake, file.path, file))) {
      await lake.write(file.path, await readPart(source, file, keys))
      written++
    }
    publish('progress', () => ({
      stage: 'restore lake',
      done: index + 1,
      total: files.length,
      unit: 'files',
    }))
  }
  return written
}

async function isWhole(lake: LakeFiles, path: string, { bytes, sha256 }: BackupPart): Promise<boolean> {
  try {
    if ((await lake.size(path)) !== bytes) return false
    return (await sha256OfParts([() => lake.read(path, 0, bytes)])) === sha256
  } catch {
    return false // what cannot be read is written anew
  }
}

async function restoreDatabase(
  sql: SqlClient,
  manifest: BackupManifest,
  options: RestoreOptions,
): Promise<number> {
  const { rows, differences } = await loadDatabase(loadOptions(sql, manifest, options))
  if (differences.length === 0) return rows
  throw damagedBackup(
    `of ${manifest.id}`,
    differences.map(({ table, problem }) => `table ${table}: ${problem}`).join('; '),
  )
}

/** What loading a manifest's database needs. */
export function loadOptions(
  sql: SqlClient,
  manifest: BackupManifest,
  options: Omit<RestoreOptions, 'into'>,
): LoadOptions {
  const { source, keys, migrations, prepare, afterLoad, signal } = options
  return {
    sql,
    dump: manifest.database!,
    migrations,
    prepare,
    afterLoad,
    readPart: (part) => readPart(source, part, keys),
    settings: checkedOptions(backupOptionsSchema, options, 'the restore'),
    signal,
  }
}

async function restoreState(
  source: LakeFiles,
  held: BackupManifest['state'][number],
  component: StateComponent,
  keys: EncryptionKeys | undefined,
): Promise<number> {
  const read = held.parts.map((part) => () => readPart(source, part, keys))
  // All of it is checked before the component sees any.
  if ((await sha256OfParts(read)) !== held.sha256)
    throw damagedBackup(`state/${held.name}`, 'its hash does not fit')
  await component.restore(
    (async function* () {
      for (const part of read) yield await part()
    })(),
  )
  return held.bytes
}
