import { VarveError } from '@varve/core'
import { rebaseEvents } from '@varve/events'
import {
  type BackupKind,
  type BackupList,
  type BackupManifest,
  type LakeFiles,
  type RestoreReport,
  type VerifyReport,
  createBackup,
  createPgliteClient,
  createPostgresClient,
  listBackups as listStoredBackups,
  restoreBackup as restoreStoredBackup,
  serverScratch,
  verifyBackup as verifyStoredBackup,
} from '@varve/storage'
import { backupKeys, openBackups, stateComponents } from '../backups.ts'
import { MIGRATIONS } from '../migrations.ts'
import { type Application, locate } from '../openApplication.ts'
import { openLake } from '../openLake.ts'
import type { Settings } from '../settings/sections.ts'

/** Where backups are looked for. */
export interface BackupPlace {
  readonly settings: Settings
  readonly dataDir: string
  /** Folder of the backups. @defaultValue that of the settings */
  readonly from?: string
  readonly signal?: AbortSignal
}

export interface BackupReport {
  readonly id: string
  readonly destination: string
  readonly kind: BackupKind
  readonly snapshotAt: string
  readonly tables: number
  readonly rows: number
  readonly lakeFiles: number
  readonly encrypted: boolean
  /** Stored anew, and taken over from earlier backups. */
  readonly written: { readonly files: number; readonly bytes: number }
  readonly reused: { readonly files: number; readonly bytes: number }
}

/** Makes one restore point of database, lake and configuration. */
export async function backUp(
  app: Application,
  options: {
    /** Folder it goes to. @defaultValue that of the settings */
    readonly to?: string
    readonly kind?: BackupKind
    readonly configDirectory?: string | null
    readonly signal?: AbortSignal
  } = {},
): Promise<BackupReport> {
  const { settings, locations } = app
  const destination = openBackups(settings, locations.dataDir, options.to)
  const keys = backupKeys(settings)
  try {
    const manifest = await createBackup({
      ...settings.backup,
      sql: app.context.sql,
      lake: app.lake,
      destination: destination.files,
      kind: options.kind,
      keys,
      state: stateComponents(options.configDirectory),
      signal: options.signal,
    })
    return reportOf(manifest, destination.files.location, keys !== undefined)
  } finally {
    await destination.close()
  }
}

function reportOf(manifest: BackupManifest, destination: string, encrypted: boolean): BackupReport {
  const tables = manifest.database?.tables ?? []
  return {
    id: manifest.id,
    destination,
    kind: manifest.kind,
    snapshotAt: manifest.snapshotAt,
    tables: tables.length,
    rows: tables.reduce((sum, table) => sum + table.rows, 0),
    lakeFiles: manifest.lake?.files.length ?? 0,
    encrypted,
    written: manifest.written,
    reused: manifest.reused,
  }
}

/** All backups of a place, newest first, and folders that should be one and are not. */
export async function listBackups(place: BackupPlace): Promise<BackupList & { readonly location: string }> {
  const source = openBackups(place.settings, place.dataDir, place.from)
  try {
    return { ...(await listStoredBackups(source.files)), location: source.files.location }
  } finally {
    await source.close()
  }
}

/** Restores a backup into a scratch database, compares everything with its manifest, and drops it again. */
export async function verifyBackup(place: BackupPlace & { readonly id: string }): Promise<VerifyReport> {
  const { settings, id, signal } = place
  const { databaseUrl } = settings.connections
  const source = openBackups(settings, place.dataDir, place.from)
  try {
    return await verifyStoredBackup({
      ...settings.backup,
      source: source.files,
      id,
      keys: backupKeys(settings),
      migrations: MIGRATIONS,
      ...(databaseUrl === undefined ? {} : { scratch: serverScratch({ connectionString: databaseUrl }) }),
      signal,
    })
  } finally {
    await source.close()
  }
}

/**
 * Restores a backup into a data directory, or into the server the settings name; both must be empty.
 *
 * @throws `BACKUP_TARGET_NOT_EMPTY`, `BACKUP_NOT_FOUND`, `BACKUP_RESTORE_PARTIAL`, `OPTION_INVALID`
 */
export async function restoreBackup(
  place: BackupPlace & {
    readonly id?: string
    /** The last backup at or before this moment, milliseconds UTC. */
    readonly at?: number
    /** Data directory to make. */
    readonly into: string
    /** The lake may hold files already: to bring an installation back in its place. @defaultValue false */
    readonly sameLake?: boolean
    /** Folder that the configuration is restored to. @defaultValue it is not restored */
    readonly configDirectory?: string
  },
): Promise<RestoreReport> {
  const { settings, id, at, into, signal } = place
  if ((id === undefined) === (at === undefined)) {
    throw new VarveError('name the backup, or a moment with --at', { code: 'OPTION_INVALID' })
  }
  const { databaseUrl, postgres, embedded } = settings.connections
  const locations = locate({ settings, dataDir: into })
  const source = openBackups(settings, place.dataDir, place.from)
  const lake = await openLake(settings, locations.lake)
  const sql =
    databaseUrl === undefined
      ? createPgliteClient({ ...embedded, directory: locations.database })
      : createPostgresClient({ ...postgres, connectionString: databaseUrl })
  try {
    if (place.sameLake !== true) await refuseLiveLake(lake.files)
    return await restoreStoredBackup({
      ...settings.backup,
      source: source.files,
      ...(id === undefined ? { at: at! } : { id }),
      keys: backupKeys(settings),
      migrations: MIGRATIONS,
      afterLoad: rebaseEvents,
      into: {
        sql,
        lake: lake.files,
        ...(place.configDirectory === undefined ? {} : { state: stateComponents(place.configDirectory) }),
      },
      signal,
    })
  } finally {
    await sql.close()
    await lake.close()
    await source.close()
  }
}

/**
 * A copy of an older catalog over a lake in use would take every newer file for an orphan and sweep it away.
 *
 * @throws `BACKUP_TARGET_NOT_EMPTY`
 */
async function refuseLiveLake(lake: LakeFiles): Promise<void> {
  for (const folder of ['bars', 'records']) {
    for await (const { path } of lake.list(folder)) {
      throw new VarveError(
        `the lake at ${lake.location} holds files already, such as ${path}; restored beside a store in use, the copy would delete what that store has written since. Name another lake (storage.lake.directory or lakePrefix), or --same-lake when the store it belongs to is gone`,
        { code: 'BACKUP_TARGET_NOT_EMPTY', details: { location: lake.location, path } },
      )
    }
  }
}
