import type * as Duckdb from '@duckdb/node-api'
import { VarveError } from '@varve/core'
import type { DuckdbReaderChecked } from './options.ts'

/** Some connections to one DuckDB in memory that can read one directory and nothing else. */
export interface DuckdbPool {
  /** Lends a connection to `work` alone; waits while all are lent. */
  use<Result>(work: (connection: Duckdb.DuckDBConnection) => Promise<Result>): Promise<Result>
  close(): Promise<void>
}

/** Whether `@duckdb/node-api` is installed and runs on this machine. */
export async function isDuckdbInstalled(): Promise<boolean> {
  try {
    await import('@duckdb/node-api')
    return true
  } catch {
    return false
  }
}

/** Opens on first use. A result that is still being streamed owns its connection, hence several of them. */
export function createDuckdbPool(directory: string, settings: DuckdbReaderChecked): DuckdbPool {
  let opened: Promise<Duckdb.DuckDBInstance> | undefined
  const idle: Duckdb.DuckDBConnection[] = []
  const waiting: (() => void)[] = []
  let lent = 0
  let closed = false

  const instance = () => {
    opened ??= openInstance(directory, settings)
    // A failed attempt may be repeated.
    opened.catch(() => (opened = undefined))
    return opened
  }
  return {
    async use(work) {
      while (lent >= settings.connections) await new Promise<void>((resolve) => waiting.push(resolve))
      if (closed) {
        throw new VarveError(`the reader of ${directory} has been closed; open another`, {
          code: 'LAKE_CLOSED',
        })
      }
      lent++
      try {
        const connection = idle.pop() ?? (await (await instance()).connect())
        try {
          return await work(connection)
        } finally {
          if (closed) connection.closeSync()
          else idle.push(connection)
        }
      } finally {
        lent--
        waiting.shift()?.()
      }
    },
    async close() {
      closed = true
      while (lent > 0) await new Promise<void>((resolve) => waiting.push(resolve))
      for (const connection of idle.splice(0)) connection.closeSync()
      const held = await opened?.catch(() => undefined)
      opened = undefined
      held?.closeSync()
      for (const next of waiting.splice(0)) next()
    },
  }
}

async function openInstance(
  directory: string,
  settings: DuckdbReaderChecked,
): Promise<Duckdb.DuckDBInstance> {
  const { DuckDBInstance } = await import('@duckdb/node-api').catch((cause: unknown) => {
    throw new VarveError(
      'reading the lake by DuckDB needs the package "@duckdb/node-api"; install it, or choose the engine "hyparquet"',
      { code: 'LAKE_DRIVER_MISSING', cause, details: { package: '@duckdb/node-api' } },
    )
  })
  const instance = await DuckDBInstance.create(':memory:', {
    threads: String(settings.threads),
    memory_limit: `${settings.memoryLimitMb}MB`,
    temp_directory: '',
    autoinstall_known_extensions: 'false',
    autoload_known_extensions: 'false',
    preserve_insertion_order: 'true',
  })
  const connection = await instance.connect()
  try {
    await connection.run('SET GLOBAL parquet_metadata_cache = true')
    await connection.run('SET GLOBAL allowed_directories = [$1]', [directory])
    await connection.run('SET GLOBAL enable_external_access = false')
    await connection.run('SET GLOBAL lock_configuration = true')
  } finally {
    connection.closeSync()
  }
  return instance
}
