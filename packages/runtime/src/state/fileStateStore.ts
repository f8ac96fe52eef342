import { type Clock, VarveError, checkedOptions, sha256Hex, systemClock } from '@varve/core'
import { mkdir, readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { z } from 'zod'
import { writeFileDurably } from '../durableFile.ts'
import { type FileStateSettings, fileStateOptionsSchema } from '../options.ts'
import { type FileOwnership, ownFile } from './fileOwner.ts'
import { type StateTable, createStateTable } from './stateTable.ts'
import type { VersionedStateStore } from './VersionedStateStore.ts'

/** Its data, with their defaults: {@link fileStateOptionsSchema}. */
export interface FileStateStoreOptions extends FileStateSettings {
  readonly path: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

const FORMAT = 1

const dataSchema = z.strictObject({
  newestVersion: z.int().nonnegative(),
  namespaces: z.array(
    z.strictObject({
      name: z.string(),
      entries: z.array(
        z.tuple([
          z.string(),
          z.strictObject({ text: z.string(), version: z.int(), endsAt: z.number().nullable() }),
        ]),
      ),
    }),
  ),
})

const fileSchema = z.strictObject({ format: z.literal(FORMAT), checksum: z.string(), content: z.string() })

interface Opened {
  table: StateTable
  readonly owner: FileOwnership
}

interface Operation {
  /** True when the table was changed. */
  readonly run: (table: StateTable) => boolean
  readonly done: () => void
  readonly failed: (error: unknown) => void
}

/**
 * Documents in one file, for one process: opened at the first use, and belonging to this process until `close`, which
 * must be called. Every write replaces the whole file (draft, sync, rename) before it resolves; writes that arrive
 * meanwhile share the next one. Meant for kilobytes to a few megabytes.
 *
 * Throws `STATE_FILE_LOCKED` and `STATE_FILE_DAMAGED` at the first use.
 */
export function createFileStateStore(options: FileStateStoreOptions): VersionedStateStore {
  const { path, clock = systemClock, ...data } = options
  const settings = checkedOptions(fileStateOptionsSchema, data, 'the state file')
  const now = (): number => clock.now()
  const queue: Operation[] = []
  let opening: Promise<Opened> | undefined
  let draining: Promise<void> | undefined
  let closing: Promise<void> | undefined

  const open = async (): Promise<Opened> => {
    await mkdir(dirname(path), { recursive: true, mode: 0o700 })
    const owner = await ownFile(path, { clock, ...settings })
    try {
      return { table: createStateTable(now, await readTable(path)), owner }
    } catch (error) {
      await owner.release()
      throw error
    }
  }
  const opened = (): Promise<Opened> => {
    if (closing !== undefined) {
      return Promise.reject(
        new VarveError(`the state file ${path} was closed; open it again`, {
          code: 'STATE_CLOSED',
          details: { path },
        }),
      )
    }
    opening ??= open().catch((error: unknown) => {
      // A failed attempt can be tried again.
      opening = undefined
      throw error
    })
    return opening
  }

  const drain = async (file: Opened): Promise<void> => {
    while (queue.length > 0) {
      const batch = queue.splice(0)
      // On a copy: what could not be written must not be seen either.
      const draft = file.table.copy()
      try {
        const changed = batch.map((operation) => operation.run(draft))
        if (changed.includes(true)) {
          await file.owner.check()
          const content = JSON.stringify(draft.data())
          await writeFileDurably(
            path,
            JSON.stringify({ format: FORMAT, checksum: sha256Hex(content), content }),
          )
          file.table = draft
        }
        for (const { done } of batch) done()
      } catch (error) {
        for (const { failed } of batch) failed(error)
      }
    }
  }
  const change = async <T>(work: (table: StateTable) => T, changed: (result: T) => boolean): Promise<T> => {
    const file = await opened()
    return new Promise<T>((resolve, reject) => {
      let result: T
      queue.push({
        run(table) {
          result = work(table)
          return changed(result)
        },
        done: () => resolve(result),
        failed: reject,
      })
      draining ??= drain(file).finally(() => {
        draining = undefined
      })
    })
  }

  const close = (): Promise<void> => {
    closing ??= (async () => {
      const file = await opening?.catch(() => undefined)
      // Let those that were let in put their writes into the queue.
      await Promise.resolve()
      while (draining !== undefined) await draining
      await file?.owner.release()
    })()
    return closing
  }

  return {
    get: async (namespace, key) => (await opened()).table.get(namespace, key),
    put: (namespace, key, text, put = {}) =>
      change(
        (table) => table.put(namespace, key, text, put),
        (version) => version !== undefined,
      ),
    delete: (namespace, key, { expectedVersion } = {}) =>
      change((table) => table.delete(namespace, key, expectedVersion), Boolean),
    async snapshot(namespaces) {
      const { table } = await opened()
      return new Map(namespaces.map((name) => [name, table.entries(name)]))
    },
    replace: (content) =>
      change(
        (table) => table.replace(content),
        () => true,
      ),
    namespaces: async () => (await opened()).table.namespaces(),
    close,
    [Symbol.asyncDispose]: close,
  }
}

async function readTable(path: string): Promise<z.output<typeof dataSchema> | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
  try {
    const { checksum, content } = fileSchema.parse(JSON.parse(text))
    if (sha256Hex(content) === checksum) return dataSchema.parse(JSON.parse(content))
  } catch {
    // Told below.
  }
  throw new VarveError(
    `${path} is damaged: its checksum does not match; restore it from a backup or remove it`,
    {
      code: 'STATE_FILE_DAMAGED',
      details: { path },
    },
  )
}
