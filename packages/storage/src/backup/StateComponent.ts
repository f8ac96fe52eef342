import { type StateStore, VarveError, checkedOptions } from '@varve/core'
import { mkdir, open, readFile, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, extname, join, resolve, sep } from 'node:path'
import { randomUUID } from 'node:crypto'
import { z } from 'zod'
import { type DirectoryComponentSettings, directoryComponentOptionsSchema } from './options.ts'

/**
 * A part of the application's state: configuration, positions, model or strategy or risk state. Only data: nothing
 * that a restore would execute.
 */
export interface StateComponent {
  /** Names it in the manifest: lower-case letters, digits and dashes. */
  readonly name: string
  /** Its content, to be given to `restore` one day. */
  read(): AsyncIterable<Uint8Array>
  /** Brings the content back. Called with whole and checked content only. */
  restore(content: AsyncIterable<Uint8Array>): Promise<void>
}

/** Its data, with their defaults: {@link directoryComponentOptionsSchema}. */
export interface DirectoryComponentOptions extends DirectoryComponentSettings {
  readonly name: string
  /** A missing one is empty. */
  readonly directory: string
}

const fileLine = z.strictObject({ path: z.string().min(1), base64: z.base64() })
const documentLine = z.strictObject({ namespace: z.string(), key: z.string(), value: z.unknown() })

/**
 * All files of a folder, as lines of JSON. A restore writes them and leaves other files alone.
 *
 * Reading rejects with `BACKUP_STATE_UNSUPPORTED` for a link, a file that is too large or one that is not data.
 */
export function createDirectoryComponent(options: DirectoryComponentOptions): StateComponent {
  const { name, directory } = options
  const settings = checkedOptions(directoryComponentOptionsSchema, options, `the folder ${directory}`)
  const root = resolve(directory)
  const unsupported = (path: string, what: string) =>
    new VarveError(
      `${join(root, path)} cannot be backed up: ${what}; move it elsewhere or name it in "ignored"`,
      {
        code: 'BACKUP_STATE_UNSUPPORTED',
        details: { path, component: name },
      },
    )

  async function* walk(folder: string): AsyncGenerator<string> {
    const entries = await readdir(join(root, folder), { withFileTypes: true }).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT' && folder === '') return []
      throw error
    })
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      if (settings.ignored.includes(entry.name)) continue
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) yield* walk(path)
      else if (!entry.isFile()) throw unsupported(path, 'it is neither a file nor a folder')
      else if (!settings.extensions.includes(extname(entry.name).toLowerCase())) {
        throw unsupported(path, `only data is (${settings.extensions.join(' ')})`)
      } else yield path
    }
  }

  return {
    name,
    async *read() {
      for await (const path of walk('')) {
        const full = join(root, path)
        const { size } = await stat(full)
        if (size > settings.maxFileBytes)
          throw unsupported(path, `it has more than ${settings.maxFileBytes} bytes`)
        yield line({ path, base64: (await readFile(full)).toString('base64') })
      }
    },
    async restore(content) {
      for await (const text of linesOf(content)) {
        const { path, base64 } = fileLine.parse(JSON.parse(text))
        const full = resolve(root, path)
        // Checked again: the content may come from anywhere.
        if (!full.startsWith(root + sep)) throw unsupported(path, 'it lies outside the folder')
        if (!settings.extensions.includes(extname(full).toLowerCase()))
          throw unsupported(path, 'it is not data')
        await replaceFile(full, Buffer.from(base64, 'base64'))
      }
    },
  }
}

export interface StateStoreComponentOptions {
  readonly name: string
  readonly store: StateStore
  readonly namespaces: readonly string[]
}

/**
 * Documents of some namespaces of a state store, as lines of JSON. A restore makes the namespaces hold exactly these.
 * A document's remaining time is not kept: it comes back without an end.
 */
export function createStateStoreComponent({
  name,
  store,
  namespaces,
}: StateStoreComponentOptions): StateComponent {
  return {
    name,
    async *read() {
      for (const namespace of namespaces) {
        for (const key of await store.keys(namespace)) {
          const value = await store.load(namespace, key)
          if (value !== undefined) yield line({ namespace, key, value })
        }
      }
    },
    async restore(content) {
      const restored = new Map<string, Set<string>>(namespaces.map((namespace) => [namespace, new Set()]))
      for await (const text of linesOf(content)) {
        const { namespace, key, value } = documentLine.parse(JSON.parse(text))
        const keys = restored.get(namespace)
        if (keys === undefined) continue
        await store.save(namespace, key, value)
        keys.add(key)
      }
      for (const [namespace, keys] of restored) {
        for (const key of await store.keys(namespace)) if (!keys.has(key)) await store.remove(namespace, key)
      }
    },
  }
}

function line(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value)}\n`)
}

async function* linesOf(content: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  let rest = ''
  for await (const chunk of content) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n')
    rest = lines.pop()!
    yield* lines
  }
  if (rest + decoder.decode() !== '') throw new Error('the state ends in the middle of a line')
}

/** A crash leaves the old file or the new one. */
async function replaceFile(path: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true })
  const draft = `${path}.${randomUUID()}.tmp`
  try {
    const handle = await open(draft, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await rename(draft, path)
  } catch (error) {
    await rm(draft, { force: true })
    throw error
  }
}
