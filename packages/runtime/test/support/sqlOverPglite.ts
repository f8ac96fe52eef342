import { PGlite, type Transaction } from '@electric-sql/pglite'
import type { SqlClient, SqlTx } from '@varve/core'
import { wrap } from './sqlOverPg.ts'

const unchanged = new Proxy({} as Record<number, (value: unknown) => string>, {
  get: () => (value: unknown) => value as string,
})

/** A small `SqlClient` over PGlite in this very thread. */
export async function sqlOverPglite(): Promise<SqlClient> {
  const db = await PGlite.create()
  const on = (target: PGlite | Transaction): SqlTx => ({
    async query<Row>(text: string, params: readonly unknown[] = []) {
      try {
        const result = await target.query<Row>(text, params.map(toText), {
          serializers: unchanged,
          parsers: { 20: BigInt, 1082: (value) => value },
        })
        return { rows: result.rows, rowCount: result.rowCount ?? 0 }
      } catch (error) {
        throw wrap(error)
      }
    },
    async exec(text) {
      try {
        await target.exec(text)
      } catch (error) {
        throw wrap(error)
      }
    },
    copyIn: () => Promise.reject(new Error('not here')),
    copyOut: () => {
      throw new Error('not here')
    },
  })
  const close = async (): Promise<void> => {
    if (!db.closed) await db.close()
  }
  return {
    engine: 'pglite',
    ...on(db),
    tx: (work) => db.transaction((tx) => work(on(tx))),
    listen: (channel, handler) => db.listen(`"${channel}"`, handler),
    close,
    [Symbol.asyncDispose]: close,
  }
}

function toText(value: unknown): unknown {
  if (value === null || value === undefined) return null
  if (Array.isArray(value))
    return `{${value.map((item) => `"${String(item).replace(/["\\]/g, '\\$&')}"`).join(',')}}`
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? JSON.stringify(value) : String(value)
}
