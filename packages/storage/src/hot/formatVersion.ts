import { VarveError, errorMessage } from '@varve/core'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { LOCK_FILE } from './directoryLock.ts'

/** Version of the embedded directory's layout: `FORMAT`, `varve.lock` and the database in `pg/`. */
export const FORMAT_VERSION = 1

const FORMAT_FILE = 'FORMAT'
/** Present while the database is being made for the first time; becomes `FORMAT` when it is whole. */
const DRAFT_FILE = 'FORMAT.new'
const DATABASE_FOLDER = 'pg'

/** Where the database's own files lie. */
export function databaseFolder(directory: string): string {
  return join(directory, DATABASE_FOLDER)
}

/**
 * Looks at a directory without changing it.
 *
 * @returns `'ready'` when it holds a database of this format, `'empty'` when a new one may be made in it
 * @throws `DIRECTORY_NEWER`, `DIRECTORY_FOREIGN`, `DIRECTORY_NOT_WRITABLE`
 */
export async function readFormat(directory: string): Promise<'ready' | 'empty'> {
  let names: string[]
  try {
    names = await readdir(directory)
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return 'empty'
    throw notWritable(directory, error)
  }
  if (names.includes(FORMAT_FILE)) {
    const text = (await readFile(join(directory, FORMAT_FILE), 'utf8')).trim()
    const version = /^\d{1,9}$/.test(text) ? Number(text) : Number.NaN
    if (version > FORMAT_VERSION) {
      throw new VarveError(
        `${directory} was written by a newer Varve: it has format ${version}, this version reads up to ${FORMAT_VERSION}; update Varve`,
        { code: 'DIRECTORY_NEWER', details: { directory, found: version, supported: FORMAT_VERSION } },
      )
    }
    if (version === FORMAT_VERSION) return 'ready'
    throw foreign(directory, [`FORMAT says "${text.slice(0, 40)}"`])
  }
  const ours = names.includes(DRAFT_FILE)
  const strange = names.filter(
    (name) =>
      name !== LOCK_FILE &&
      !name.startsWith(`${LOCK_FILE}.`) &&
      !(ours && (name === DRAFT_FILE || name === DATABASE_FOLDER)),
  )
  if (strange.length > 0) throw foreign(directory, strange)
  return 'empty'
}

/**
 * Makes the directory and proves that it can be written.
 *
 * @throws `DIRECTORY_NOT_WRITABLE`
 */
export async function prepareDirectory(directory: string): Promise<void> {
  try {
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const probe = join(directory, `${LOCK_FILE}.probe-${process.pid}`)
    await writeFile(probe, '')
    await rm(probe, { force: true })
  } catch (error) {
    throw notWritable(directory, error)
  }
}

/** Before the first database is made: removes what an interrupted attempt left. Call it under the lock only. */
export async function beginFormat(directory: string): Promise<void> {
  await writeFile(join(directory, DRAFT_FILE), `${FORMAT_VERSION}\n`)
  await rm(databaseFolder(directory), { recursive: true, force: true })
}

/** The database is whole: from here on the directory counts as one of ours. */
export async function finishFormat(directory: string): Promise<void> {
  await rename(join(directory, DRAFT_FILE), join(directory, FORMAT_FILE))
}

function notWritable(directory: string, error: unknown): VarveError {
  return new VarveError(
    `the data directory ${directory} cannot be used: ${errorMessage(error)}; give this user write access or choose another directory`,
    { code: 'DIRECTORY_NOT_WRITABLE', cause: error, details: { directory } },
  )
}

function foreign(directory: string, found: readonly string[]): VarveError {
  return new VarveError(
    `${directory} holds something that is not Varve's (${found.slice(0, 5).join(', ')}); choose an empty or new directory`,
    { code: 'DIRECTORY_FOREIGN', details: { directory, found: found.slice(0, 20) } },
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
