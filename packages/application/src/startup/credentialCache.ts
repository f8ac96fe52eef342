import { randomUUID } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { KeyValue } from '@varve/core'

/** Hashes of accepted keys in a file of the data directory, readable by its owner only, so that commands share them. */
export function credentialCache(dataDir: string): KeyValue {
  const file = join(dataDir, 'credentials.json')
  const load = async (): Promise<Record<string, string>> => {
    try {
      return JSON.parse(await readFile(file, 'utf8')) as Record<string, string>
    } catch {
      return {} // none yet, or unreadable: then the provider is asked
    }
  }
  const store = async (entries: Readonly<Record<string, string>>): Promise<void> => {
    const draft = `${file}.${randomUUID()}`
    await writeFile(draft, JSON.stringify(entries), { mode: 0o600 })
    await rename(draft, file)
  }
  return {
    async get(key) {
      const found = (await load())[key]
      return found === undefined ? undefined : Buffer.from(found, 'base64')
    },
    async set(key, value) {
      if (!existsSync(dataDir)) return // whoever only looks leaves no folder behind
      await store({ ...(await load()), [key]: Buffer.from(value).toString('base64') })
    },
    async delete(key) {
      const { [key]: found, ...rest } = await load()
      if (found !== undefined) await store(rest)
      return found !== undefined
    },
  }
}
