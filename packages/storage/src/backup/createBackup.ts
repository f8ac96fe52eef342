import {
  type Clock,
  type SqlClient,
  VarveError,
  checkedOptions,
  publish,
  sha256Hex,
  systemClock,
} from '@varve/core'
import { createHash, randomBytes } from 'node:crypto'
import type { EncryptionKey, EncryptionKeys } from '../encryption/EncryptionKeys.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import type { StateComponent } from './StateComponent.ts'
import { type CatalogFile, type LakeCatalog, filesInUse, lakeCatalogs } from './catalogs.ts'
import { busy, isMarked, mark, unmark } from './destinationMarks.ts'
import { dumpDatabase, freeze } from './dumpDatabase.ts'
import { listBackups } from './listBackups.ts'
import { BACKUP_FORMAT, type BackupManifest, storedParts, writeManifest } from './manifest.ts'
import {
  type BackupContent,
  type BackupKind,
  type BackupSettings,
  type CheckedBackupSettings,
  backupOptionsSchema,
} from './options.ts'
import { type PartWriter, createPartWriter } from './partStore.ts'
import { inPieces } from './pieces.ts'

/** Its data, with their defaults: {@link backupOptionsSchema}. */
export interface BackupOptions extends BackupSettings {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  /** Where backups go: a directory (`createLocalLake`) or a bucket. One destination serves one store. */
  readonly destination: LakeFiles
  /** @defaultValue `full` */
  readonly kind?: BackupKind
  /** @defaultValue everything */
  readonly contents?: readonly BackupContent[]
  /** @defaultValue none */
  readonly state?: readonly StateComponent[]
  /** Encrypts everything but the list of tables and files. @defaultValue nothing is encrypted */
  readonly keys?: EncryptionKeys
  /** Tables that list lake files. @defaultValue {@link lakeCatalogs} */
  readonly catalogs?: readonly LakeCatalog[]
  /** The scheduled job it belongs to; each job's backups are kept and removed by themselves. @defaultValue none */
  readonly job?: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** Stops it: no backup comes into being, and what was stored is taken over or removed later. */
  readonly signal?: AbortSignal
}

/**
 * Makes one restore point: the database as of one moment, the lake files it refers to then, and the state. The
 * manifest is written last; a backup that was killed has none and does not exist. On the embedded engine other work
 * waits while the tables are read.
 *
 * @returns its manifest
 * @throws `BACKUP_BUSY` while old backups are removed, `BACKUP_LAKE_FILE_GONE` when a file vanished in every attempt,
 * `BACKUP_LAKE_FILE_DAMAGED`, `BACKUP_INCOMPLETE` when the destination lost a part, `BACKUP_STATE_UNSUPPORTED`
 */
export async function createBackup(options: BackupOptions): Promise<BackupManifest> {
  const { destination, clock = systemClock, keys, kind = 'full', state = [], job = null, signal } = options
  const contents = [...new Set(options.contents ?? (['database', 'lake', 'state'] as const))]
  const settings = checkedOptions(backupOptionsSchema, options, 'the backup')
  if (contents.includes('lake') && !contents.includes('database')) {
    throw new VarveError(
      'a backup of the lake needs the database, which lists its files; add "database" to contents',
      {
        code: 'OPTION_INVALID',
        details: { contents },
      },
    )
  }
  const startedAt = clock.now()
  const id = `${new Date(startedAt).toISOString().replace(/[-:]|\.\d+/g, '')}-${randomBytes(4).toString('hex')}`
  await mark(destination, 'backup', id, startedAt)
  try {
    if (await isMarked(destination, 'prune', startedAt, settings.pruneStaleMs)) {
      throw busy(destination, 'the removal of old backups')
    }
    const { backups: earlier } = await listBackups(destination)
    const encryption = keys === undefined ? undefined : { keys, key: await keyToUse(keys, earlier) }
    const trusted = kind === 'full' ? [] : kind === 'incremental' ? earlier : newestFull(earlier)
    const parts = createPartWriter(destination, settings, encryption, trusted)
    let snapshot: Snapshot | undefined
    let files: BackupManifest['lake'] = null
    for (let attempt = 1; contents.includes('database'); attempt++) {
      snapshot = await takeSnapshot(options, settings, parts)
      if (!contents.includes('lake')) break
      const copied = await copyLake(options.lake, parts, snapshot.files, signal)
      if (!('gone' in copied)) {
        files = { files: copied.files }
        break
      }
      if (attempt >= settings.attempts) throw lakeFileGone(copied.gone, attempt)
      publish('log', () => ({
        level: 'warn',
        component: 'storage',
        message: `lake file ${copied.gone} was swept away during a backup, which begins again`,
      }))
    }
    const manifest: BackupManifest = {
      format: BACKUP_FORMAT,
      id,
      job,
      kind,
      contents,
      startedAt: new Date(startedAt).toISOString(),
      snapshotAt: snapshot?.at ?? new Date(startedAt).toISOString(),
      finishedAt: '',
      encryption:
        encryption === undefined
          ? null
          : { keyId: encryption.key.id, derivation: encryption.key.derivation ?? null },
      compression: settings.compression,
      database: snapshot?.database ?? null,
      lake: files,
      state: contents.includes('state') ? await copyState(state, parts, settings, signal) : [],
      written: parts.written,
      reused: parts.reused,
    }
    await checkStored(destination, manifest)
    signal?.throwIfAborted()
    const finished = { ...manifest, finishedAt: new Date(clock.now()).toISOString() }
    await writeManifest(destination, finished, encryption?.key)
    return finished
  } finally {
    // When even this fails the mark counts as a killed backup's after a while.
    await unmark(destination, 'backup', id).catch(() => undefined)
  }
}

interface Snapshot {
  readonly at: string
  readonly database: NonNullable<BackupManifest['database']>
  readonly files: readonly CatalogFile[]
}

/** A passphrase keeps the salt of earlier backups, so that equal content keeps its name. */
async function keyToUse(keys: EncryptionKeys, earlier: readonly BackupManifest[]): Promise<EncryptionKey> {
  const last = earlier.find((backup) => backup.encryption !== null)?.encryption
  if (last !== undefined && last !== null && last.derivation !== null) {
    const before = await keys.continueWith(last.keyId, last.derivation)
    if (before !== undefined) return before
  }
  return keys.current()
}

function newestFull(earlier: readonly BackupManifest[]): BackupManifest[] {
  const full = earlier.find((backup) => backup.kind === 'full')
  return full === undefined ? [] : [full]
}

function takeSnapshot(
  { sql, catalogs = lakeCatalogs, signal }: BackupOptions,
  settings: CheckedBackupSettings,
  parts: PartWriter,
): Promise<Snapshot> {
  return sql.tx(async (tx) => {
    await freeze(tx)
    // The first query takes the snapshot; this is its moment by the server's clock.
    const { rows } = await tx.query<{ at: Date }>('SELECT clock_timestamp() AS at')
    const files = await filesInUse(tx, catalogs)
    return {
      at: rows[0]!.at.toISOString(),
      database: await dumpDatabase(tx, sql.engine, parts, settings, signal),
      files,
    }
  })
}

async function copyLake(
  lake: LakeFiles,
  parts: PartWriter,
  files: readonly CatalogFile[],
  signal: AbortSignal | undefined,
): Promise<{ readonly files: NonNullable<BackupManifest['lake']>['files'] } | { readonly gone: string }> {
  const copied: NonNullable<BackupManifest['lake']>['files'] = []
  for (const { path, catalog, bytes, sha256 } of files) {
    signal?.throwIfAborted()
    let part = parts.findLakeFile(path, sha256, bytes)
    if (part === undefined) {
      let content: Uint8Array
      try {
        const size = await lake.size(path)
        if (size === undefined) return { gone: path }
        content = await lake.read(path, 0, size)
      } catch (error) {
        if ((await lake.size(path)) === undefined) return { gone: path }
        throw error
      }
      if (content.length !== bytes || sha256Hex(content) !== sha256) {
        throw new VarveError(
          `lake file ${path} is not what its catalog says, so it was not backed up; verify the lake and bring the file back from an earlier backup`,
          { code: 'BACKUP_LAKE_FILE_DAMAGED', details: { path } },
        )
      }
      part = await parts.putLakeFile(path, content)
    }
    copied.push({ path, catalog, ...part })
    publish('progress', () => ({
      stage: 'backup lake',
      done: copied.length,
      total: files.length,
      unit: 'files',
    }))
  }
  return { files: copied }
}

async function copyState(
  components: readonly StateComponent[],
  parts: PartWriter,
  settings: CheckedBackupSettings,
  signal: AbortSignal | undefined,
): Promise<BackupManifest['state']> {
  const state: BackupManifest['state'] = []
  for (const component of components) {
    if (!/^[a-z][a-z0-9-]*$/.test(component.name) || state.some(({ name }) => name === component.name)) {
      throw new VarveError(
        `"${component.name}" names no part of the state, or a second one; use lower-case letters, digits and dashes, each name once`,
        { code: 'OPTION_INVALID', details: { name: component.name } },
      )
    }
    const hash = createHash('sha256')
    const stored = []
    let bytes = 0
    for await (const piece of inPieces(component.read(), settings.partBytes)) {
      signal?.throwIfAborted()
      hash.update(piece)
      bytes += piece.length
      stored.push(await parts.put(piece))
    }
    state.push({ name: component.name, bytes, sha256: hash.digest('hex'), parts: stored })
  }
  return state
}

/** Whatever removed a part meanwhile, a manifest must not speak of it. */
async function checkStored(destination: LakeFiles, manifest: BackupManifest): Promise<void> {
  for (const { stored, storedBytes } of storedParts(manifest)) {
    if ((await destination.size(stored)) === storedBytes) continue
    throw new VarveError(
      `the destination ${destination.location} has lost ${stored} during the backup; see who removes files there, and back up again`,
      { code: 'BACKUP_INCOMPLETE', retryable: true, details: { path: stored } },
    )
  }
}

function lakeFileGone(path: string, attempts: number): VarveError {
  return new VarveError(
    `lake file ${path} was replaced and swept away while it was backed up, ${attempts} times in a row; sweep with a longer grace, or back up when nothing compacts`,
    { code: 'BACKUP_LAKE_FILE_GONE', retryable: true, details: { path, attempts } },
  )
}
