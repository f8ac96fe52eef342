import { appendFileSync } from 'node:fs'
import { BarBatchBuilder, type SqlClient, applyMigrations, isVarveError } from '@varve/core'
import {
  type BarStore,
  createBarStore,
  createLocalLake,
  createPgliteClient,
  createPostgresClient,
  storageMigrations,
} from '../../src/index.ts'
import { SIP } from '../support.ts'
import {
  COLD_FROM,
  DEPTH,
  EXPIRED,
  FIRST,
  HOT_FROM,
  LAST,
  LATE_STEPS,
  type PlannedBar,
  STEPS,
  SYMBOLS,
  instant,
  lateBars,
  mainBars,
  recordedAt,
} from './plan.ts'
import { Watch, readDays, readInTwoStatements } from './watch.ts'

/** `worker.ts ENGINE TARGET LAKE SEED LOG`: TARGET is a connection string or a directory. Exit code 0 when all is done. */
const [engine, target, lakeDirectory, seedText, log] = process.argv.slice(2) as [
  'postgres' | 'pglite',
  string,
  string,
  string,
  string,
]
const seed = Number(seedText)

/** Tells the parent what is being done, so that kills can be counted by it. */
const phase = (name: string) => process.send?.(name)

phase('open')
const sql: SqlClient =
  engine === 'postgres'
    ? createPostgresClient({ connectionString: target, maxConnections: 4 })
    : createPgliteClient({ directory: target })
await sql.query('SELECT 1')
phase('migrate')
await applyMigrations(sql, [
  ...storageMigrations,
  {
    id: 'crash/0001-progress',
    sql: 'CREATE TABLE crash_progress (main int NOT NULL, late int NOT NULL); INSERT INTO crash_progress VALUES (0, 0)',
  },
])
const lake = createLocalLake({ directory: lakeDirectory })
const store = createBarStore({
  sql,
  lake,
  minDeltaRows: 20,
  maxFileRows: 250,
  rowGroupRows: 50,
  chunkSymbols: 4,
  deleteSeries: 4,
  batchSize: 7,
  compactSpareFiles: 1,
  partitionsAhead: 1,
})
const { rows } = await sql.query<{ main: number; late: number }>('SELECT main, late FROM crash_progress')
const progress = rows[0]!

let working = true
/** The embedded engine has one process only: its readers run here and write down what they see. */
const readers = engine === 'pglite' ? [watchStore(sql, createBarStore({ sql, lake }))] : []
await Promise.all([mainWork(), lateWork()])
phase('finish')
await quietly(() => retain(LAST - 4, () => HOT_FROM))
await store.compact('1d', { force: true })
working = false
await Promise.all(readers)
await sql.close()
process.disconnect?.()

async function mainWork(): Promise<void> {
  for (let step = progress.main; step < STEPS; step++) {
    phase('load')
    await load(mainBars(seed, step), recordedAt('main', step), 'main', step + 1)
    const last = FIRST + DEPTH + step - 1
    if (step % 3 === 1) {
      phase('retain')
      // Up by a few days, and down again where the symbol's turn has come.
      await quietly(() => retain(last - 4, (index) => last - 5 - ((index + step) % 5) * 7))
    }
    if (step % 3 === 2) {
      phase('compact')
      await quietly(() => store.compact('1d'))
    }
    if (step % 7 === 6) {
      phase('sweep')
      await store.sweep({ graceMs: 2_000 })
    }
  }
}

async function lateWork(): Promise<void> {
  for (let step = progress.late; step < LATE_STEPS; step++) {
    // Corrections come once there is something to correct.
    while ((await sql.query<{ main: number }>('SELECT main FROM crash_progress')).rows[0]!.main === 0)
      await new Promise((resolve) => setTimeout(resolve, 5))
    await load(lateBars(seed, step), recordedAt('late', step), 'late', step + 1)
  }
}

function retain(archiveTo: number, hotFrom: (symbol: number) => number) {
  return store.retain({
    interval: '1d',
    asOf: instant(archiveTo),
    archiveTo: instant(archiveTo),
    hotFrom: (symbol) => instant(hotFrom(SYMBOLS.indexOf(symbol))),
    // Whatever has come by now expires in the end, never more.
    coldFrom: () => instant(Math.min(COLD_FROM, archiveTo - DEPTH + EXPIRED)),
  })
}

/** Loads until it is done; the progress moves in the same transaction. */
async function load(
  bars: readonly PlannedBar[],
  recorded: number,
  column: 'main' | 'late',
  next: number,
): Promise<void> {
  const builder = new BarBatchBuilder('1d', SIP)
  for (const { symbol, day, price } of bars)
    builder.add(SYMBOLS[symbol]!, instant(day), price, price + 3n, price - 2n, price + 1n, price * 7n)
  const plan = { hotFrom: () => instant(FIRST + 20), initialWatermark: instant(FIRST + 30) }
  for (;;) {
    const staged = await store.stage(builder.build(), plan, { recordedAt: recorded })
    try {
      await sql.tx(async (tx) => {
        await store.commit(tx, staged)
        await tx.query(
          column === 'main' ? 'UPDATE crash_progress SET main = $1' : 'UPDATE crash_progress SET late = $1',
          [next],
        )
      })
      return
    } catch (error) {
      if (!isVarveError(error, 'STORAGE_STAGE_STALE')) throw error
    }
  }
}

/** Work that another load may get in the way of; it is tried again by the next step. */
async function quietly(work: () => Promise<unknown>): Promise<void> {
  try {
    await work()
  } catch (error) {
    if (!isVarveError(error, 'LAKE_COMPACT_CONFLICT') && !isVarveError(error, 'LAKE_VERIFY_FAILED'))
      throw error
  }
}

async function watchStore(client: SqlClient, bars: BarStore): Promise<void> {
  const watch = new Watch()
  const naive = new Watch()
  while (working) {
    watch.observe(await readDays(bars))
    naive.observe(await readInTwoStatements(client))
    const lines = [
      ...watch.faults.map((fault) => `fault ${fault}`),
      ...naive.faults.map(() => 'naive'),
      'read',
    ]
    appendFileSync(log, `${lines.join('\n')}\n`)
    watch.faults.length = 0
    naive.faults.length = 0
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}
