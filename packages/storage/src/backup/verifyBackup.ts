import { type Secret, type SqlClient, errorMessage, isVarveError, publish, sqlName } from '@varve/core'
import { createPgliteClient } from '../hot/PgliteClient.ts'
import { createPostgresClient } from '../hot/PostgresClient.ts'
import { filesInUse, lakeCatalogs } from './catalogs.ts'
import { loadDatabase } from './loadDatabase.ts'
import { readManifest } from './manifest.ts'
import { readPart } from './partStore.ts'
import { type RestoreOptions, loadOptions } from './restoreBackup.ts'
import { sha256OfParts } from './stateParts.ts'

/** A database for one verification. */
export interface ScratchDatabase {
  readonly sql: SqlClient
  /** Closes and removes it. */
  drop(): Promise<void>
}

export interface VerifyOptions extends Omit<RestoreOptions, 'into' | 'at' | 'id' | 'afterLoad'> {
  readonly id: string
  /** Makes an empty database. @defaultValue {@link embeddedScratch} */
  readonly scratch?: (id: string) => Promise<ScratchDatabase>
}

/** Something a restore would trip over. */
export interface BackupProblem {
  /** `database`, `lake` or `state`. */
  readonly where: string
  /** Table, path or name. */
  readonly what: string
  readonly problem: string
}

export interface VerifyReport {
  readonly id: string
  readonly ok: boolean
  readonly tables: number
  readonly rows: number
  readonly lakeFiles: number
  readonly stateComponents: number
  readonly problems: readonly BackupProblem[]
}

/**
 * Restores a backup's database into a scratch one, compares every table's number of rows and checksum with the
 * manifest and its list of lake files with the backup's, reads every lake file and the state and compares hashes;
 * then removes the scratch database.
 *
 * @throws `BACKUP_NOT_FOUND`, `BACKUP_NEWER`, `ENCRYPTION_KEY_WRONG`, and `BACKUP_DAMAGED` for the manifest; what is
 * wrong with the rest is in the report
 */
export async function verifyBackup(options: VerifyOptions): Promise<VerifyReport> {
  const { source, id, keys, signal, scratch = embeddedScratch } = options
  const manifest = await readManifest(source, id, keys)
  const problems: BackupProblem[] = []
  let rows = 0
  if (manifest.database !== null) {
    const database = await scratch(id)
    try {
      const loaded = await loadDatabase(loadOptions(database.sql, manifest, { ...options, checkRows: true }))
      rows = loaded.rows
      for (const { table, problem } of loaded.differences)
        problems.push({ where: 'database', what: table, problem })
      if (loaded.differences.length === 0 && manifest.lake !== null) {
        const listed = new Map(manifest.lake.files.map((file) => [file.path, file]))
        for (const { path, sha256 } of await filesInUse(database.sql, catalogsOf(manifest.lake.files))) {
          if (listed.get(path)?.sha256 === sha256) continue
          problems.push({
            where: 'lake',
            what: path,
            problem: 'the database refers to it and the backup has it not',
          })
        }
      }
    } catch (error) {
      if (!isVarveError(error) || error.code === 'DATABASE_UNREACHABLE') throw error
      problems.push({ where: 'database', what: 'restore', problem: errorMessage(error) })
    } finally {
      await database.drop()
    }
  }
  const files = manifest.lake?.files ?? []
  for (const [index, file] of files.entries()) {
    signal?.throwIfAborted()
    await check('lake', file.path, async () => void (await readPart(source, file, keys)))
    publish('progress', () => ({ stage: 'verify lake', done: index + 1, total: files.length, unit: 'files' }))
  }
  for (const { name, parts, sha256 } of manifest.state) {
    await check('state', name, async () => {
      const found = await sha256OfParts(parts.map((part) => () => readPart(source, part, keys)))
      if (found !== sha256) throw new Error('its hash does not fit')
    })
  }
  return {
    id,
    ok: problems.length === 0,
    tables: manifest.database?.tables.length ?? 0,
    rows,
    lakeFiles: files.length,
    stateComponents: manifest.state.length,
    problems,
  }

  async function check(where: string, what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      problems.push({ where, what, problem: errorMessage(error) })
    }
  }
}

/** Our catalogs and any other one the backup names. */
function catalogsOf(files: readonly { readonly catalog: string }[]): typeof lakeCatalogs {
  const names = new Set(files.map((file) => file.catalog))
  const others = [...names].filter((name) => !lakeCatalogs.some((catalog) => catalog.table === name))
  return [...lakeCatalogs, ...others.map((table) => ({ ...lakeCatalogs[0]!, table }))]
}

/** An embedded database in memory. Fits backups of up to some hundred megabytes, from either engine. */
export async function embeddedScratch(): Promise<ScratchDatabase> {
  const sql = createPgliteClient({ directory: ':memory:' })
  return { sql, drop: () => sql.close() }
}

export interface ServerScratchOptions {
  /** A server on which the user may create databases. */
  readonly connectionString: Secret | string
}

/** Makes databases `varve_verify_<id>` on a server. One that a killed verification left is replaced. */
export function serverScratch({
  connectionString,
}: ServerScratchOptions): (id: string) => Promise<ScratchDatabase> {
  return async (id) => {
    const text = typeof connectionString === 'string' ? connectionString : connectionString.reveal()
    const name = sqlName(`varve_verify_${id.toLowerCase().replaceAll(/[^a-z0-9]/g, '_')}`)
    const admin = createPostgresClient({ connectionString: text, maxConnections: 1 })
    const url = new URL(text)
    url.pathname = `/${name}`
    try {
      await admin.exec(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
      await admin.exec(`CREATE DATABASE ${name}`)
    } catch (error) {
      await admin.close()
      throw error
    }
    const sql = createPostgresClient({ connectionString: url.href })
    return {
      sql,
      async drop() {
        await sql.close()
        try {
          await admin.exec(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`)
        } finally {
          await admin.close()
        }
      },
    }
  }
}
