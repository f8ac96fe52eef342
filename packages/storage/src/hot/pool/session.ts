import { type QueryResult, type SqlTx, VarveError, isVarveError } from '@varve/core'
import type pg from 'pg'
import { copyRows, readRows } from '../postgresCopy.ts'
import { queryError } from '../sqlErrors.ts'
import { encodeParameter } from '../sqlValues.ts'
import type { Lease } from './ConnectionPool.ts'

/** One connection while it is held, for the statements sent over it. */
export interface Session {
  readonly client: pg.Client
  /** Notes what is sent, for whoever asks who holds the connection. */
  started(text: string): void
  ended(): void
  /** Gives the error back, and remembers when the connection did not survive it. */
  noted(error: unknown): unknown
  /** How the connection goes back. */
  condition(): 'fit' | 'unfit' | 'dead'
}

/** SQLSTATEs with which the server says goodbye: shutdown, crash, start-up, dropped database, session time limits. */
const FAREWELLS = new Set(['57P01', '57P02', '57P03', '57P04', '57P05', '25P03', '25P04'])

/** Begins the use of a connection. */
export function createSession({ connection: client, holder }: Lease<pg.Client>): Session {
  let dead = false
  return {
    client,
    started(text) {
      holder.statement = text
      holder.running = true
    },
    ended() {
      holder.running = false
    },
    noted(error) {
      if (isVarveError(error)) {
        // The socket ends a moment later; until then the connection would look sound to the next caller.
        dead ||= error.code === 'DATABASE_UNREACHABLE' || FAREWELLS.has(error.details.sqlState as string)
      }
      return error
    },
    condition() {
      if (dead) return 'dead'
      // A connection left inside a transaction must not serve anybody else.
      return client.getTransactionStatus() === 'I' ? 'fit' : 'unfit'
    },
  }
}

/** Runs statements without parameters; returns the command tag of the last one. */
export async function run(session: Session, text: string): Promise<string> {
  session.started(text)
  try {
    const result: unknown = await session.client.query(text)
    const last = (Array.isArray(result) ? result.at(-1) : result) as { command: string }
    return last.command
  } catch (error) {
    throw session.noted(queryError(error, text))
  } finally {
    session.ended()
  }
}

/** Runs one statement with parameters. */
export async function runQuery<Row>(
  session: Session,
  text: string,
  params: readonly unknown[] = [],
): Promise<QueryResult<Row>> {
  const values = params.map((value) => {
    const encoded = encodeParameter(value)
    return encoded instanceof Uint8Array
      ? Buffer.from(encoded.buffer, encoded.byteOffset, encoded.byteLength)
      : encoded
  })
  session.started(text)
  try {
    const result: unknown = await session.client.query(text, values)
    // Without parameters Postgres accepts several statements and answers each; the last one counts.
    const last = (Array.isArray(result) ? result.at(-1) : result) as { rows: Row[]; rowCount: number | null }
    return { rows: last.rows, rowCount: last.rowCount ?? 0 }
  } catch (error) {
    throw session.noted(queryError(error, text))
  } finally {
    session.ended()
  }
}

/** `COPY … FROM STDIN`. */
export async function runCopyIn(
  session: Session,
  text: string,
  chunks: Parameters<typeof copyRows>[2],
  signal?: AbortSignal,
): Promise<number> {
  session.started(text)
  try {
    return await copyRows(session.client, text, chunks, signal)
  } catch (error) {
    throw session.noted(error)
  } finally {
    session.ended()
  }
}

/** `COPY … TO STDOUT`; with `drain` the connection stays usable when the reader stops early. */
export async function* runCopyOut(
  session: Session,
  text: string,
  options?: { readonly drain?: boolean },
): AsyncGenerator<Uint8Array> {
  session.started(text)
  try {
    yield* readRows(session.client, text, options)
  } catch (error) {
    throw session.noted(error)
  } finally {
    session.ended()
  }
}

/** What the work of a transaction is given; `check` throws when the transaction has ended. */
export function transactionOf(session: Session, check: () => void): SqlTx {
  return {
    async query(text, params) {
      check()
      return runQuery(session, text, params)
    },
    async exec(text) {
      check()
      await run(session, text)
    },
    async copyIn(text, chunks, { signal } = {}) {
      check()
      return runCopyIn(session, text, chunks, signal)
    },
    async *copyOut(text) {
      check()
      yield* runCopyOut(session, text, { drain: true })
    },
  }
}

/** Commits. A connection lost meanwhile leaves the outcome open, and the error says so. */
export async function commit(session: Session): Promise<string> {
  try {
    return await run(session, 'COMMIT')
  } catch (error) {
    if (!isVarveError(error, 'DATABASE_UNREACHABLE')) throw error
    throw new VarveError(
      'the connection was lost during COMMIT; whether the transaction took effect is unknown',
      {
        code: 'DATABASE_UNREACHABLE',
        retryable: true,
        cause: error.cause,
        details: { ...error.details, outcomeUnknown: true },
      },
    )
  }
}
