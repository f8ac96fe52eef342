import { type NotificationHandler, type SqlClient, type SqlTx, VarveError } from '@varve/core'
import pg from 'pg'

/** A small `SqlClient` over `pg`: what this package uses, no COPY. */
export function sqlOverPg(connectionString: string, max = 8): SqlClient {
  const pool = new pg.Pool({ connectionString, max, types: { getTypeParser: parserOf as never } })
  pool.on('error', () => undefined)
  const listeners = new Set<pg.Client>()
  const on = (client: pg.ClientBase | pg.Pool): SqlTx => ({
    async query<Row>(text: string, params: readonly unknown[] = []) {
      try {
        const result = await client.query(text, params.map(encode))
        return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 }
      } catch (error) {
        throw wrap(error)
      }
    },
    async exec(text) {
      await client.query(text).catch((error: unknown) => {
        throw wrap(error)
      })
    },
    copyIn: () => Promise.reject(new Error('not here')),
    copyOut: () => {
      throw new Error('not here')
    },
  })
  const close = async (): Promise<void> => {
    for (const client of listeners) await client.end()
    if (!pool.ended && !pool.ending) await pool.end()
  }
  return {
    engine: 'postgres',
    ...on(pool),
    async tx<T>(work: (tx: SqlTx) => Promise<T>) {
      const client = await pool.connect()
      let broken = false
      try {
        await client.query('BEGIN')
        const result = await work(on(client))
        await client.query('COMMIT')
        return result
      } catch (error) {
        await client.query('ROLLBACK').catch(() => (broken = true))
        throw error
      } finally {
        client.release(broken)
      }
    },
    async listen(channel: string, handler: NotificationHandler) {
      const client = new pg.Client(connectionString)
      client.on('error', () => undefined)
      client.on('notification', ({ payload }) => {
        handler(payload ?? '')
      })
      await client.connect()
      listeners.add(client)
      await client.query(`LISTEN ${pg.escapeIdentifier(channel)}`)
      return async () => {
        if (listeners.delete(client)) await client.end()
      }
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function parserOf(oid: number, format?: 'text'): (text: string) => unknown {
  if (oid === 20) return BigInt
  return pg.types.getTypeParser(oid, format)
}

export function encode(value: unknown): unknown {
  if (typeof value === 'bigint') return String(value)
  return value
}

export function wrap(error: unknown): unknown {
  const { code } = error as { code?: unknown }
  if (!(error instanceof Error) || typeof code !== 'string') return error
  return new VarveError(error.message, {
    code: 'DATABASE_QUERY_FAILED',
    retryable: code === '40P01' || code.startsWith('08') || code.startsWith('57'),
    cause: error,
    details: { sqlState: code },
  })
}
