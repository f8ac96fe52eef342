import { type SqlClient, type SqlTx } from '@varve/core'
import type { Redis } from 'ioredis'
import { assertFence, createMemoryFence } from '../../src/index.ts'
import { createRedisFence } from '../../src/redis/index.ts'

/** A text that a lock protects, with a way past the fence for controls. */
export interface ProtectedValue {
  write(name: string, token: bigint, value: string): Promise<void>
  writeUnguarded(name: string, value: string): Promise<void>
  read(name: string): Promise<string | undefined>
}

export function protectedInMemory(): ProtectedValue {
  const values = new Map<string, string>()
  const fence = createMemoryFence()
  return {
    write: async (name, token, value) => {
      fence.guard(name, token, () => values.set(name, value))
    },
    writeUnguarded: async (name, value) => void values.set(name, value),
    read: async (name) => values.get(name),
  }
}

export function protectedInPostgres(sql: SqlClient): ProtectedValue {
  const put = (tx: SqlTx, name: string, value: string): Promise<unknown> =>
    tx.query(
      'INSERT INTO protected (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value',
      [name, value],
    )
  return {
    async write(name, token, value) {
      await sql.tx(async (tx) => {
        await assertFence(tx, name, token)
        await put(tx, name, value)
      })
    },
    writeUnguarded: async (name, value) => void (await put(sql, name, value)),
    async read(name) {
      const { rows } = await sql.query<{ value: string }>('SELECT value FROM protected WHERE name = $1', [
        name,
      ])
      return rows[0]?.value
    },
  }
}

export function protectedInRedis(client: Redis, prefix: string): ProtectedValue {
  const fence = createRedisFence({ client, prefix })
  const key = (name: string): string => `${prefix}:protected:{${name}}`
  return {
    write: (name, token, value) => fence.write(name, token, [['SET', key(name), value]]),
    writeUnguarded: async (name, value) => void (await client.set(key(name), value)),
    read: async (name) => (await client.get(key(name))) ?? undefined,
  }
}
