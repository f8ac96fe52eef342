import {
  type BarBatch,
  BarBatchBuilder,
  type BarSource,
  type Interval,
  type SqlClient,
  applyMigrations,
} from '@varve/core'
import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createPgliteClient } from '../src/hot/PgliteClient.ts'
import { type LakeFiles, createLocalLake, createPostgresClient, storageMigrations } from '../src/index.ts'

export const DAY = 86_400_000
export const SIP: BarSource = { provider: 'polygon', feed: 'sip', adjustment: 'raw' }
export const IEX: BarSource = { provider: 'alpaca', feed: 'iex', adjustment: 'raw' }

export const engines = ['postgres', 'pglite'] as const
export type Engine = (typeof engines)[number]

export interface TestStore {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  readonly lakeDirectory: string
  /** `undefined` on PGlite. */
  readonly connectionString: string | undefined
  close(): Promise<void>
}

/** A migrated database of its own and an empty lake. */
export async function openTestStore(engine: Engine): Promise<TestStore> {
  const lakeDirectory = mkdtempSync(join(tmpdir(), 'varve-lake-'))
  const lake = createLocalLake({ directory: lakeDirectory })
  if (engine === 'pglite') {
    const sql = createPgliteClient({ directory: ':memory:' })
    await applyMigrations(sql, storageMigrations)
    return {
      sql,
      lake,
      lakeDirectory,
      connectionString: undefined,
      async close() {
        await sql.close()
        rmSync(lakeDirectory, { recursive: true, force: true })
      },
    }
  }
  const server = process.env.VARVE_TEST_DATABASE_URL
  if (server === undefined) throw new Error('VARVE_TEST_DATABASE_URL is not set; run through vitest')
  const name = `storage_${randomUUID().replaceAll('-', '')}`
  const admin = createPostgresClient({ connectionString: server, maxConnections: 1 })
  await admin.exec(`CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  const sql = createPostgresClient({ connectionString: url.href })
  await applyMigrations(sql, storageMigrations)
  return {
    sql,
    lake,
    lakeDirectory,
    connectionString: url.href,
    async close() {
      await sql.close()
      await admin.exec(`DROP DATABASE ${name} WITH (FORCE)`)
      await admin.close()
      rmSync(lakeDirectory, { recursive: true, force: true })
    },
  }
}

/** Days since 1970-01-01 as milliseconds. */
export function day(number: number): number {
  return number * DAY
}

/** Rows of `[symbol, time, price]`; open, high, low, close and volume follow from the price. */
export function batchOf(
  rows: readonly (readonly [symbol: string, time: number, price: number])[],
  source: BarSource = SIP,
  interval: Interval = '1d',
): BarBatch {
  const builder = new BarBatchBuilder(interval, source)
  for (const [symbol, time, price] of rows) {
    const base = BigInt(price)
    builder.add(symbol, time, base, base + 3n, base - 2n, base + 1n, base * 7n)
  }
  return builder.build()
}

/** Random numbers that are the same in every run. */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
}
