import { DAY_MS } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { createLocalLake, createPostgresClient } from '../src/index.ts'
import { createRecordStore } from '../src/records/index.ts'
import { FEED } from './recordsSupport.ts'

/**
 * The work a crash test kills again and again: ratings of some symbols, loaded day by day with corrections, archived,
 * compacted, expired and swept. A step that was cut off is done again from its beginning.
 */
export const CRASH_SYMBOLS = ['A', 'B', 'C', 'D', 'E']
export const CRASH_STEPS = 30
/** Days kept before the last expiry. */
export const CRASH_KEPT = 22
export const CRASH_START = Date.UTC(2024, 1, 1)

async function main(): Promise<void> {
  const sql = createPostgresClient({ connectionString: process.argv[2]!, maxConnections: 3 })
  const lake = createLocalLake({ directory: process.argv[3]! })
  const clock = createTestClock(Date.UTC(2030, 0, 1))
  const store = createRecordStore({
    sql,
    lake,
    clock,
    pageRows: 20,
    maxFileRows: 60,
    rowGroupRows: 15,
    compactSpareFiles: 1,
    deleteRows: 10,
  })
  const { rows } = await sql.query<{ step: number }>('SELECT step FROM crash_progress')
  process.send?.('ready')
  for (let step = rows[0]!.step; step < CRASH_STEPS; step++) {
    const at = CRASH_START + step * DAY_MS
    await store.load({
      dataset: 'ratings',
      source: FEED,
      recordedAt: at,
      rows: CRASH_SYMBOLS.flatMap((symbol) =>
        // The day's rating, and corrections of three before it.
        [step, step - 1, step - 7, step - 20]
          .filter((day) => day >= 0)
          .map((day) => ({
            symbol,
            time: CRASH_START + day * DAY_MS,
            values: { firm: 'f', target_price: BigInt(1 + step) },
          })),
      ),
    })
    if (step % 3 === 2)
      await store.archive('ratings', { before: (symbol) => at - (symbol.charCodeAt(0) % 4) * DAY_MS })
    if (step % 5 === 4) await store.compact('ratings')
    if (step % 10 === 9) await store.expire('ratings', { before: () => at - CRASH_KEPT * DAY_MS })
    // Real files are older than this clock; only what nobody refers to goes.
    if (step % 8 === 7) await store.sweep({ graceMs: 0 })
    await sql.query('UPDATE crash_progress SET step = $1', [step + 1])
  }
  await store.archive('ratings', { before: () => CRASH_START + (CRASH_STEPS - 5) * DAY_MS })
  await store.compact('ratings', { force: true })
  await store.sweep({ graceMs: 0 })
  await sql.close()
  process.disconnect?.()
}

if (process.argv[1] === import.meta.filename) await main()
