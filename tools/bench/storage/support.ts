import { type BarBatch, type SqlClient, applyMigrations } from '@varve/core'
import {
  type BarStore,
  type LakeFiles,
  type LoadCounts,
  createLocalLake,
  createPostgresClient,
  storageMigrations,
} from '@varve/storage'
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import pg from 'pg'

export const YEAR_MS = 365 * 86_400_000
/** Everything hot, or everything in the lake. */
export const ALL_HOT = { hotFrom: () => 0, initialWatermark: 0 }
export const ALL_COLD = { hotFrom: () => Date.UTC(2100, 0, 1), initialWatermark: Date.UTC(2100, 0, 1) }

/** Columns of `bars` as COPY takes them. */
export const BAR_COLUMNS = 'series_id, ts, recorded_at, open, high, low, close, volume'

/** What every topic of the bench is given. */
export interface BenchPlace {
  /** A folder that is removed afterwards. */
  readonly folder: string
  /** A migrated database and a lake of its own. */
  openDatabase(name: string): Promise<BenchDatabase>
}

/** A migrated database, our client and a plain one, and an empty lake. */
export interface BenchDatabase {
  readonly sql: SqlClient
  /** What the peers speak through. */
  readonly plain: pg.Client
  readonly url: string
  readonly lake: LakeFiles
  readonly lakeDirectory: string
  close(): Promise<void>
}

/** Opens databases on a server. */
export function placeOn(server: string, folder: string): BenchPlace {
  return {
    folder,
    async openDatabase(name) {
      const admin = new pg.Client(server)
      await admin.connect()
      await admin.query(`CREATE DATABASE ${name}`)
      await admin.end()
      const url = new URL(server)
      url.pathname = `/${name}`
      const sql = createPostgresClient({ connectionString: url.href })
      await applyMigrations(sql, storageMigrations)
      const plain = new pg.Client(url.href)
      await plain.connect()
      const lakeDirectory = join(folder, `${name}-lake`)
      mkdirSync(lakeDirectory)
      return {
        sql,
        plain,
        url: url.href,
        lake: createLocalLake({ directory: lakeDirectory }),
        lakeDirectory,
        async close() {
          await plain.end()
          await sql.close()
        },
      }
    },
  }
}

/** Stages and commits a batch. */
export async function load(
  sql: SqlClient,
  store: BarStore,
  batch: BarBatch,
  plan: Parameters<BarStore['stage']>[1],
): Promise<LoadCounts> {
  const staged = await store.stage(batch, plan)
  return sql.tx((tx) => store.commit(tx, staged))
}

/** Ids of all series by symbol. */
export async function seriesIds(sql: SqlClient): Promise<ReadonlyMap<string, number>> {
  const { rows } = await sql.query<{ id: number; symbol: string }>('SELECT id, symbol FROM series')
  return new Map(rows.map((row) => [row.symbol, row.id]))
}

/** What `bars` holds: enough to see that no contender lost a row or wrote another value. */
export interface TableSums {
  readonly rows: number
  readonly sums: string
}

export async function tableSums(plain: pg.Client): Promise<TableSums> {
  const { rows } = await plain.query<TableSums>(
    `SELECT count(*)::int AS rows, concat_ws(' ', sum(open), sum(high), sum(low), sum(close), sum(volume), sum(series_id),
       sum(extract(epoch FROM ts))) AS sums FROM bars`,
  )
  return rows[0]!
}

/** @throws when the table holds something else than expected */
export async function assertTable(plain: pg.Client, name: string, expected: TableSums): Promise<void> {
  const found = await tableSums(plain)
  if (found.rows !== expected.rows || found.sums !== expected.sums) {
    throw new Error(
      `${name} left ${found.rows} rows (${found.sums}), not ${expected.rows} (${expected.sums})`,
    )
  }
}

/** Whether `psql` can be run here. */
export function hasPsql(): boolean {
  return spawnSync('psql', ['--version']).status === 0
}

export const NO_PSQL = 'loads beside psql: there is no psql on this machine'

/** Remembers the first answer to each question and compares the others with it. */
export function createChecker(): (question: string, answer: string | number | bigint) => void {
  const answers = new Map<string, string>()
  return (question, answer) => {
    const known = answers.get(question)
    if (known === undefined) answers.set(question, String(answer))
    else if (known !== String(answer)) throw new Error(`${question}: one says ${known}, another ${answer}`)
  }
}
