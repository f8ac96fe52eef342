import { type SqlClient, type SqlTx, isVarveError } from '@varve/core'
import type { Db } from 'pg-boss'

/** An error as pg-boss expects it, with the SQLSTATE as `code`; the original is its cause. */
class SqlStateError extends Error {
  readonly code: string

  constructor(message: string, code: string, cause: unknown) {
    super(message, { cause })
    this.code = code
  }
}

/** pg-boss's view of our database or of one transaction on it. */
export function bossDb(sql: SqlClient | SqlTx): Db {
  return {
    async executeSql(text: string, values?: unknown[]) {
      try {
        if (values !== undefined && values.length > 0) return await sql.query(text, values)
        // Installation and migration are several statements at once, whose rows nobody reads.
        if (text.trim().replace(/;$/, '').includes(';')) {
          await sql.exec(text)
          return { rows: [] }
        }
        return await sql.query(text)
      } catch (error) {
        if (isVarveError(error) && typeof error.details.sqlState === 'string') {
          throw new SqlStateError(error.message, error.details.sqlState, error)
        }
        throw error
      }
    },
  }
}

/** Runs a call into pg-boss and gives our own error back when it fails. */
export async function callBoss<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw error instanceof SqlStateError ? error.cause : error
  }
}
