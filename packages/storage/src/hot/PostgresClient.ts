import {
  type Clock,
  type NotificationHandler,
  type Secret,
  type SqlClient,
  type SqlTx,
  checkedOptions,
  systemClock,
} from '@varve/core'
import type pg from 'pg'
import type { z } from 'zod'
import { postgresOptionsSchema } from '../options.ts'
import { type DrainResult, createConnectionPool } from './pool/ConnectionPool.ts'
import type { PoolStatus } from './pool/PoolStatus.ts'
import { postgresConnections } from './pool/postgresConnections.ts'
import {
  type Session,
  commit,
  createSession,
  run,
  runCopyIn,
  runCopyOut,
  runQuery,
  transactionOf,
} from './pool/session.ts'
import { createPostgresListener } from './postgresListener.ts'
import { abortedTxError, closedError, txEndedError } from './sqlErrors.ts'
import { sqlParser } from './sqlValues.ts'

const clientOptionsSchema = postgresOptionsSchema.refine(
  ({ overflow, maxConnections }) => overflow < maxConnections,
  {
    path: ['overflow'],
    message: 'expected less than maxConnections, which counts the extra connections too',
  },
)

/** Its data, with their defaults: `postgresOptionsSchema`. */
export interface PostgresClientOptions extends z.input<typeof clientOptionsSchema> {
  /** `postgres://user:password@host:port/database` */
  readonly connectionString: Secret | string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** A `SqlClient` over a pool of connections to a server. */
export interface PostgresClient extends SqlClient {
  /** The connections: how many, who has them, what is wrong with them. */
  readonly pool: {
    /** The pool at this moment; cheap. */
    status(): PoolStatus
  }
  /**
   * Closes, and says what that took: refuses new work, waits for work under way, cuts what is left. `close()` does
   * the same.
   *
   * @param options - `timeoutMs`: how long to wait. @defaultValue `drainTimeoutMs`
   */
  drain(options?: { readonly timeoutMs?: number }): Promise<DrainResult>
}

/**
 * Postgres through a pool. Sessions run in UTC. Nothing connects before the first call; a failed attempt can be
 * tried again. When a server that was reached before is lost, work under way fails and callers wait up to
 * `waitTimeoutMs` for it to come back.
 *
 * Calls fail with `DATABASE_UNREACHABLE` (no connection; retryable unless login was refused), `POOL_EXHAUSTED`
 * (none became free; retryable), `DATABASE_QUERY_FAILED` (`details.sqlState`; retryable after deadlock,
 * serialization failure and shutdown), `DATABASE_CLOSED` or `DATABASE_TX_ENDED`. When the connection is lost
 * during COMMIT the outcome is unknown: `DATABASE_UNREACHABLE` with `details.outcomeUnknown`.
 *
 * @throws `OPTION_INVALID`
 */
export function createPostgresClient(options: PostgresClientOptions): PostgresClient {
  const { clock = systemClock } = options
  const settings = checkedOptions(clientOptionsSchema, options, 'the Postgres client')
  const { connectTimeoutMs, statementTimeoutMs, applicationName } = settings
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

  const pool = createConnectionPool(
    postgresConnections(config, sessionSettings, target),
    settings,
    clock,
    target,
  )
  const listener = createPostgresListener({ ...settings, config, target, clock })
  let closing: Promise<DrainResult> | undefined

  /** Runs `work` on a connection of its own; one that broke is not given back to the pool. */
  const withSession = async <T>(
    label: string,
    work: (session: Session) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> => {
    const lease = await pool.acquire(label, signal)
    const session = createSession(lease)
    try {
      return await work(session)
    } finally {
      lease.release(session.condition())
    }
  }

  const tx = <T>(work: (tx: SqlTx) => Promise<T>): Promise<T> =>
    withSession('transaction', async (session) => {
      await run(session, 'BEGIN')
      let open = true
      const guarded = transactionOf(session, () => {
        if (!open) throw txEndedError()
      })
      let result: T
      try {
        result = await work(guarded)
      } catch (error) {
        open = false
        // When even the rollback fails the connection is gone, and the server rolls back by itself.
        await run(session, 'ROLLBACK').catch(() => undefined)
        throw error
      }
      open = false
      if ((await commit(session)) === 'ROLLBACK') throw abortedTxError()
      return result
    })

  const drain = (timeoutMs?: number): Promise<DrainResult> => {
    closing ??= (async () => {
      const drained = pool.drain(timeoutMs)
      await listener.close()
      return drained
    })()
    return closing
  }
  const close = async (): Promise<void> => {
    await drain()
  }

  return {
    engine: 'postgres',
    tx,
    query: (text, params) => withSession('query', (session) => runQuery(session, text, params)),
    exec: (text) =>
      withSession('exec', async (session) => {
        try {
          await run(session, text)
        } catch (error) {
          // The text may have begun a transaction of its own; the next user of the connection must not find it.
          await run(session, 'ROLLBACK').catch(() => undefined)
          throw error
        }
      }),
    copyIn: (text, chunks, { signal } = {}) =>
      withSession('copyIn', (session) => runCopyIn(session, text, chunks, signal), signal),
    async *copyOut(text) {
      const lease = await pool.acquire('copyOut')
      const session = createSession(lease)
      let whole = false
      try {
        yield* runCopyOut(session, text)
        whole = true
      } finally {
        // Reading stopped half-way: the rest is still on the wire, so the connection is thrown away.
        lease.release(whole ? session.condition() : 'unfit')
      }
    },
    listen(channel: string, handler: NotificationHandler) {
      if (closing !== undefined) return Promise.reject(closedError())
      return listener.listen(channel, handler)
    },
    pool: { status: () => pool.status() },
    drain: ({ timeoutMs } = {}) => drain(timeoutMs),
    close,
    [Symbol.asyncDispose]: close,
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
