import { VarveError, errorMessage, isVarveError, sha256Hex } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { mkdir, open, readFile, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { formatBatch, parseBatch, rowCount } from './batchText.ts'
import type { LoadBatch } from './Loader.ts'

/** First line of a file; the second is the batch. */
interface Header {
  readonly format: typeof FORMAT
  readonly dataset: string
  readonly source: string
  readonly rows: number
  readonly writtenAt: string
  readonly error: { readonly code: string; readonly message: string } | null
  /** SHA-256 of the second line. */
  readonly sha256: string
}

const FORMAT = 'varve.load/1'
const SUFFIX = '.load.json'
const TEMPORARY = '.tmp'
/** Digits of a millisecond instant until the year 5138, and of a counter. */
const INSTANT_DIGITS = 14
const COUNTER_DIGITS = 8

/** Batches kept as files of one folder: exact, self-describing, never seen in part. */
export interface BatchFiles {
  /** Writes a batch durably; its file name, later ones sorting after earlier ones. */
  write(batch: LoadBatch, error: { readonly code: string; readonly message: string } | null): Promise<string>
  /** File names, oldest first. */
  list(): Promise<string[]>
  /** @throws `LOAD_RECOVERY_DAMAGED` when the file is not what was written */
  read(file: string): Promise<LoadBatch>
  remove(file: string): Promise<void>
  /** The whole path of a file. */
  path(file: string): string
}

/** Files of one folder, which is made when the first is written. */
export function createBatchFiles(directory: string, now: () => number): BatchFiles {
  let counter = 0
  const path = (file: string) => join(directory, file)
  return {
    path,
    async write(batch, error) {
      await mkdir(directory, { recursive: true })
      const at = now()
      const payload = formatBatch(batch, at)
      const header: Header = {
        format: FORMAT,
        dataset: batch.dataset,
        source: sourceOf(batch),
        rows: rowCount(batch),
        writtenAt: new Date(at).toISOString(),
        error,
        sha256: sha256Hex(payload),
      }
      counter++
      const order = `${String(at).padStart(INSTANT_DIGITS, '0')}-${String(counter).padStart(COUNTER_DIGITS, '0')}`
      const file = `${order}-${randomUUID()}${SUFFIX}`
      const temporary = path(file) + TEMPORARY
      try {
        const handle = await open(temporary, 'wx')
        try {
          await handle.writeFile(`${JSON.stringify(header)}\n${payload}\n`)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await rename(temporary, path(file))
        await syncFolder(directory)
      } catch (cause) {
        await rm(temporary, { force: true })
        throw cause
      }
      return file
    },
    async list() {
      try {
        return (await readdir(directory)).filter((name) => name.endsWith(SUFFIX)).sort()
      } catch (error) {
        if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
        throw error
      }
    },
    async read(file) {
      try {
        const [first = '', payload = ''] = (await readFile(path(file), 'utf8')).split('\n')
        const header = JSON.parse(first) as Header
        if (header.format !== FORMAT)
          throw new Error(`its format is ${header.format}, this version reads ${FORMAT}`)
        if (sha256Hex(payload) !== header.sha256) throw new Error('its content differs from its checksum')
        const batch = parseBatch(payload)
        if (rowCount(batch) !== header.rows)
          throw new Error(`it holds ${rowCount(batch)} rows where its header says ${header.rows}`)
        return batch
      } catch (cause) {
        throw new VarveError(
          `${path(file)} is not the batch that was written: ${errorMessage(cause)}; it was kept`,
          { code: 'LOAD_RECOVERY_DAMAGED', cause, details: { file } },
        )
      }
    },
    async remove(file) {
      await rm(path(file), { force: true })
      await syncFolder(directory)
    },
  }
}

/** Whether a file is not what was written, rather than out of reach. */
export function isDamaged(error: unknown): error is VarveError {
  return isVarveError(error, 'LOAD_RECOVERY_DAMAGED')
}

/** The source of a batch as one text. */
export function sourceOf(batch: LoadBatch): string {
  const { provider, feed, adjustment } = batch.dataset === 'bars' ? batch.batch.source : batch.source
  return `${provider}/${feed}/${adjustment}`
}

async function syncFolder(folder: string): Promise<void> {
  // Windows cannot open a directory; there a rename is durable by the file system's journal.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
