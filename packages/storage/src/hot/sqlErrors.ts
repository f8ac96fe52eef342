import { VarveError, errorMessage } from '@varve/core'

/** SQLSTATEs after which the same work may succeed: serialization, deadlock, shutdown, start-up, no slot. */
const RETRYABLE = new Set(['40001', '40P01', '57P01', '57P02', '57P03', '53300'])

/** Errors of the operating system and of `pg` that mean "no connection". */
const SYSTEM_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ECONNABORTED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ETIMEDOUT',
  'EPIPE',
  'ENOENT',
  'EACCES',
])
const CONNECTION_MESSAGE =
  /connection terminated|not queryable|timeout exceeded when trying to connect|connection timeout|socket|client was closed/i

interface DatabaseErrorShape {
  readonly code: string
  readonly severity?: string
  readonly constraint?: string
  readonly table?: string
  readonly column?: string
}

function isDatabaseError(error: unknown): error is Error & DatabaseErrorShape {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    /^[0-9A-Z]{5}$/.test(error.code) &&
    'severity' in error
  )
}

function systemCode(error: unknown): string | undefined {
  const seen = error instanceof AggregateError ? (error.errors[0] as unknown) : error
  if (seen instanceof Error && 'code' in seen && typeof seen.code === 'string') return seen.code
  return undefined
}

/**
 * What a failed statement means.
 *
 * @param statement - its text; the beginning is kept in the details. Parameters never are.
 * @returns `DATABASE_QUERY_FAILED` (details: `sqlState`), `DATABASE_UNREACHABLE` when the connection was lost, or
 * the error itself when it is neither
 */
export function queryError(error: unknown, statement: string): unknown {
  if (isDatabaseError(error)) {
    const { code: sqlState, constraint, table, column } = error
    return new VarveError(`${error.message} (SQLSTATE ${sqlState})`, {
      code: 'DATABASE_QUERY_FAILED',
      retryable: RETRYABLE.has(sqlState) || sqlState.startsWith('08'),
      cause: error,
      details: {
        sqlState,
        ...(constraint === undefined ? {} : { constraint }),
        ...(table === undefined ? {} : { table }),
        ...(column === undefined ? {} : { column }),
        statement: statement.slice(0, 200),
      },
    })
  }
  const code = systemCode(error)
  if ((code !== undefined && SYSTEM_CODES.has(code)) || CONNECTION_MESSAGE.test(errorMessage(error))) {
    return new VarveError(`the connection to the database was lost: ${errorMessage(error)}`, {
      code: 'DATABASE_UNREACHABLE',
      retryable: true,
      cause: error,
      details: code === undefined ? {} : { systemCode: code },
    })
  }
  return error
}

/**
 * What a failed connection attempt means: always `DATABASE_UNREACHABLE`; a refused login or an unknown database
 * is not retryable.
 *
 * @param target - host, port and database, without credentials
 */
export function connectError(error: unknown, target: string): VarveError {
  const sqlState = isDatabaseError(error) ? error.code : undefined
  const refused = sqlState !== undefined && (sqlState.startsWith('28') || sqlState === '3D000')
  const text = error instanceof AggregateError ? errorMessage(error.errors[0]) : errorMessage(error)
  return new VarveError(
    `cannot connect to ${target}: ${text}; check ${refused ? 'user, password and database name' : 'that the server runs and is reachable'}`,
    {
      code: 'DATABASE_UNREACHABLE',
      retryable: !refused,
      cause: error,
      details: { target, ...(sqlState === undefined ? {} : { sqlState }) },
    },
  )
}

export function closedError(): VarveError {
  return new VarveError('the database client is closed; create a new one', { code: 'DATABASE_CLOSED' })
}

export function txEndedError(): VarveError {
  return new VarveError(
    'this transaction has ended; use only the tx handed to the work, and await every call on it',
    {
      code: 'DATABASE_TX_ENDED',
    },
  )
}

/** A statement had failed inside the transaction, so Postgres would answer COMMIT with a rollback. */
export function abortedTxError(): VarveError {
  return new VarveError(
    'the transaction was rolled back: a statement in it had failed and the error was not passed on; let it reject the work',
    { code: 'DATABASE_QUERY_FAILED', details: { sqlState: '25P02' } },
  )
}
