import {
  type Clock,
  type NotificationHandler,
  type QueryResult,
  type SqlClient,
  type Secret,
  type SqlTx,
  VarveError,
  checkedOptions,
  publish,
  systemClock,
} from '@varve/core'
import pg from 'pg'
import { type PostgresSettings, postgresOptionsSchema } from '../options.ts'
import { copyRows, readRows } from './postgresCopy.ts'
import { createPostgresListener } from './postgresListener.ts'
import { abortedTxError, closedError, connectError, queryError, txEndedError } from './sqlErrors.ts'
import { encodeParameter, sqlParser } from './sqlValues.ts'

/** Its data, with their defaults: {@link postgresOptionsSchema}. */
export interface PostgresClientOptions extends PostgresSettings {
  /** `postgres://user:password@host:port/database` */
  readonly connectionString: Secret | string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/**
 * Postgres through a pool. Sessions run in UTC. Nothing connects before the first call; a failed attempt can be
 * tried again.
 *
 * Calls fail with `DATABASE_UNREACHABLE` (no connection; retryable unless login was refused),
 * `DATABASE_QUERY_FAILED` (`details.sqlState`; retryable after deadlock, serialization failure and shutdown),
 * `DATABASE_CLOSED` or `DATABASE_TX_ENDED`. When the connection is lost during COMMIT the outcome is unknown:
 * `DATABASE_UNREACHABLE` with `details.outcomeUnknown`.
 */
export function createPostgresClient(options: PostgresClientOptions): SqlClient {
  const { clock = systemClock } = options
  const settings = checkedOptions(postgresOptionsSchema, options, 'the Postgres client')
  const { maxConnections, connectTimeoutMs, statementTimeoutMs, applicationName } = settings
  const connectionString =
    typeof options.connectionString === 'string'
      ? options.connectionString
      : options.connectionString.reveal()
  const target = describeTarget(connectionString)
  const config: pg.ClientConfig = {
    connectionString,
    connectionTimeoutMillis: connectTimeoutMs,
    application_name: applicationName,
    keepAlive: true,
    types: {
      getTypeParser: ((typeId: number) => sqlParser(typeId)) as pg.CustomTypesConfig['getTypeParser'],
    },
  }
  const sessionSettings =
    "SET TimeZone = 'UTC'; SET DateStyle = 'ISO, MDY'; SET bytea_output = 'hex'" +
    (statementTimeoutMs > 0 ? `; SET statement_timeout = ${Math.round(statementTimeoutMs)}` : '')

  let pool: pg.Pool | undefined
  let closing: Promise<void> | undefined
  const listener = createPostgresListener({ ...settings, config, target, clock })

  const openPool = (): pg.Pool => {
    if (closing !== undefined) throw closedError()
    if (pool === undefined) {
      pool = new pg.Pool({
        ...config,
        max: maxConnections,
        onConnect: (client) => client.query(sessionSettings) as unknown as undefined,
      })
      // An idle connection that breaks is dropped by the pool; without a listener it would end the process.
      pool.on('error', (error) => {
        publish('log', () => ({
          level: 'warn',
          component: 'storage',
          message: `idle connection to ${target} lost: ${error.message}`,
        }))
      })
    }
    return pool
  }

  const connect = async (): Promise<pg.PoolClient> => {
    const from = openPool()
    try {
      return await from.connect()
    } catch (error) {
      if (closing !== undefined) throw closedError()
      throw connectError(error, target)
    }
  }

  /** Runs `work` on a connection of its own; one that broke is not given back to the pool. */
  const withConnection = async <T>(work: (client: pg.PoolClient) => Promise<T>): Promise<T> => {
    const client = await connect()
    let broken = false
    const onError = () => {
      broken = true
    }
    client.on('error', onError)
    try {
      return await work(client)
    } finally {
      client.removeListener('error', onError)
      // A connection left inside a transaction must not serve anybody else.
      client.release(broken || client.getTransactionStatus() !== 'I')
    }
  }

  const tx = <T>(work: (tx: SqlTx) => Promise<T>): Promise<T> =>
    withConnection(async (client) => {
      await run(client, 'BEGIN')
      let open = true
      const guarded = transactionOf(client, () => {
        if (!open) throw txEndedError()
      })
      let result: T
      try {
        result = await work(guarded)
      } catch (error) {
        open = false
        // When even the rollback fails the connection is gone, and the server rolls back by itself.
        await client.query('ROLLBACK').catch(() => undefined)
        throw error
      }
      open = false
      let command: string
      try {
        command = (await client.query('COMMIT')).command
      } catch (error) {
        const known = queryError(error, 'COMMIT')
        if (known instanceof VarveError && known.code === 'DATABASE_UNREACHABLE') {
          throw new VarveError(
            'the connection was lost during COMMIT; whether the transaction took effect is unknown',
            {
              code: 'DATABASE_UNREACHABLE',
              retryable: true,
              cause: error,
              details: { ...known.details, outcomeUnknown: true },
            },
          )
        }
        throw known
      }
      if (command === 'ROLLBACK') throw abortedTxError()
      return result
    })

  const close = (): Promise<void> => {
    closing ??= (async () => {
      await listener.close()
      await pool?.end()
    })()
    return closing
  }

  return {
    engine: 'postgres',
    tx,
    query: (text, params) => withConnection((client) => runQuery(client, text, params)),
    exec: (text) =>
      withConnection(async (client) => {
        try {
          await run(client, text)
        } catch (error) {
          // The text may have begun a transaction of its own; the next user of the connection must not find it.
          await client.query('ROLLBACK').catch(() => undefined)
          throw error
        }
      }),
    copyIn: (text, chunks, { signal } = {}) =>
      withConnection((client) => copyRows(client, text, chunks, signal)),
    async *copyOut(text) {
      const client = await connect()
      let whole = false
      try {
        yield* readRows(client, text)
        whole = true
      } finally {
        // Reading stopped half-way: the rest is still on the wire, so the connection is thrown away.
        client.release(!whole)
      }
    },
    listen(channel: string, handler: NotificationHandler) {
      if (closing !== undefined) return Promise.reject(closedError())
      return listener.listen(channel, handler)
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

function transactionOf(client: pg.ClientBase, check: () => void): SqlTx {
  return {
    async query(text, params) {
      check()
      return runQuery(client, text, params)
    },
    async exec(text) {
      check()
      await run(client, text)
    },
    async copyIn(text, chunks, { signal } = {}) {
      check()
      return copyRows(client, text, chunks, signal)
    },
    async *copyOut(text) {
      check()
      yield* readRows(client, text, { drain: true })
    },
  }
}

async function run(client: pg.ClientBase, text: string): Promise<void> {
  try {
    await client.query(text)
  } catch (error) {
    throw queryError(error, text)
  }
}

async function runQuery<Row>(
  client: pg.ClientBase,
  text: string,
  params: readonly unknown[] = [],
): Promise<QueryResult<Row>> {
  const values = params.map((value) => {
    const encoded = encodeParameter(value)
    return encoded instanceof Uint8Array
      ? Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
      : encoded
  })
  try {
    const result: unknown = await client.query(text, values)
    // Without parameters Postgres accepts several statements and answers each; the last one counts.
    const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: Row[]; rowCount: number | null }
    return { rows: last.rows, rowCount: last.rowCount ?? 0 }
  } catch (error) {
    throw queryError(error, text)
  }
}

/** Host, port and database of a connection string, without credentials. */
function describeTarget(connectionString: string): string {
  try {
    const url = new URL(connectionString)
    return `Postgres at ${url.hostname}:${url.port === '' ? '5432' : url.port}${url.pathname}`
  } catch {
    return 'Postgres'
  }
}
