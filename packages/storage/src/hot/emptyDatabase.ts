import { PGlite } from '@electric-sql/pglite'
import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs'
import { mkdir, readFile, readdir, rename, rm, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { constants, zstdCompress, zstdDecompress } from 'node:zlib'

/**
 * A database as it is right after `initdb`, made when this package is built. Starting from it takes a third of the
 * time and less than half of the memory that running `initdb` takes.
 *
 * It lacks the two template databases: they serve `CREATE DATABASE` only, which an embedded database never runs, and
 * are two thirds of all files.
 */

/** Slowest and smallest; the file is made once and unpacked at the same speed as others. */
const ZSTD_LEVEL = 19
/** Window of the whole archive's repetitions: the template databases lie megabytes apart. */
const ZSTD_WINDOW_LOG = 24

/** Grows when the archive of one version of the engine is made in another way. */
const EDITION = 2

/** One at a time: a database is not dropped inside a transaction. */
const DROP_TEMPLATES = [
  "UPDATE pg_database SET datistemplate = false, datallowconn = true WHERE datname IN ('template0', 'template1')",
  'DROP DATABASE template0',
  'DROP DATABASE template1',
  'VACUUM FREEZE',
  'CHECKPOINT',
]

/** Fits one version of the engine only, hence the name. */
async function fileName(): Promise<string> {
  const home = dirname(dirname(fileURLToPath(import.meta.resolve('@electric-sql/pglite'))))
  const manifest = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { version: string }
  return `emptyDatabase-${manifest.version}-${EDITION}.tar.zst`
}

/**
 * Writes the database into `directory`, unless it is there already.
 *
 * @returns its path
 */
export async function writeEmptyDatabase(directory: string): Promise<string> {
  const target = join(directory, await fileName())
  if (existsSync(target)) return target
  const database = await PGlite.create({ initDbStartParams: ['--no-sync'] })
  try {
    for (const statement of DROP_TEMPLATES) await database.exec(statement)
    const dump = await database.dumpDataDir('none')
    const packed = await promisify(zstdCompress)(new Uint8Array(await dump.arrayBuffer()), {
      params: {
        [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL,
        [constants.ZSTD_c_windowLog]: ZSTD_WINDOW_LOG,
        [constants.ZSTD_c_checksumFlag]: 1,
      },
    })
    await mkdir(directory, { recursive: true })
    await writeFile(`${target}.new`, packed)
    await rename(`${target}.new`, target)
    await removeOthers(directory, basename(target))
    return target
  } finally {
    await database.close()
  }
}

/** What earlier versions of the engine needed must not be published with this one. */
async function removeOthers(directory: string, kept: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (name !== kept && /^emptyDatabase-.*\.tar\.zst$/.test(name)) await rm(join(directory, name))
  }
}

/** Beside this file once built; from source, where the build put it. */
async function archiveUrl(): Promise<URL> {
  return new URL(
    (import.meta.url.endsWith('.ts') ? '../../dist/' : './') + (await fileName()),
    import.meta.url,
  )
}

/** The archive; `undefined` where it is missing or damaged, and `initdb` has to run: slower, and the same database. */
async function readArchive(from?: URL): Promise<Buffer | undefined> {
  try {
    return await promisify(zstdDecompress)(await readFile(from ?? (await archiveUrl())))
  } catch {
    return undefined
  }
}

/** The database for `loadDataDir`, for one in memory; `undefined` when `initdb` has to run. */
export async function readEmptyDatabase(): Promise<Blob | undefined> {
  const archive = await readArchive()
  return archive === undefined ? undefined : new Blob([archive])
}

/**
 * Puts the database into a new folder. Nothing is synced: the caller must remember whether this went through.
 *
 * @param from - the archive. @defaultValue the one built with this package
 * @returns `false` when there is none, nothing was written and `initdb` has to run
 */
export async function unpackEmptyDatabase(folder: string, from?: URL): Promise<boolean> {
  const archive = await readArchive(from)
  if (archive === undefined) return false
  for (const { name, content } of tarEntries(archive)) {
    const path = join(folder, name)
    mkdirSync(content === undefined ? path : dirname(path), { recursive: true, mode: 0o700 })
    if (content !== undefined) writeSparse(path, content)
  }
  return true
}

/** The log's first segment is 16 MB of which the end is zeros: those are not written. */
function writeSparse(path: string, content: Buffer): void {
  let end = content.length
  while (end >= SPARSE_STEP && content.subarray(end - SPARSE_STEP, end).equals(ZEROS)) end -= SPARSE_STEP
  writeFileSync(path, content.subarray(0, end), { mode: 0o600 })
  if (end < content.length) truncateSync(path, content.length)
}

const SPARSE_STEP = 1 << 16
const ZEROS = Buffer.alloc(SPARSE_STEP)
const TAR_BLOCK = 512
const TAR_DIRECTORY = '5'

/**
 * Files and folders (without content) of a tar archive of ours.
 *
 * @see POSIX.1-1988, "ustar Interchange Format"
 */
function* tarEntries(archive: Buffer): Generator<{ readonly name: string; readonly content?: Buffer }> {
  const text = (start: number, length: number) =>
    archive.toString('latin1', start, start + length).split('\0', 1)[0]!
  let at = 0
  while (at + TAR_BLOCK <= archive.length) {
    const name = text(at, 100)
    if (name === '') return
    const size = Number.parseInt(text(at + 124, 12), 8)
    const content = at + TAR_BLOCK
    if (text(at + 156, 1) === TAR_DIRECTORY) yield { name }
    else yield { name, content: archive.subarray(content, content + size) }
    at = content + Math.ceil(size / TAR_BLOCK) * TAR_BLOCK
  }
}
