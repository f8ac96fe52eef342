import { BarBatchBuilder, isVarveError } from '@varve/core'
import { createBarStore, createLocalLake, createPostgresClient } from '../src/index.ts'
import { DAY, SIP, day, seededRandom } from './support.ts'

/**
 * The work a crash test kills again and again: days of bars of some symbols, loaded in order with corrections,
 * retained and compacted. It begins at `progress` in table `crash_progress`, which moves in the transaction of each
 * load, and ends with exit code 0 when all is done.
 */
export const CRASH_SYMBOLS = Array.from({ length: 12 }, (_, index) => `S${String(index).padStart(2, '0')}`)
export const CRASH_FIRST = 300
export const CRASH_STEPS = 90
/** Days of bars the first step brings; each later step brings one more and corrects some old ones. */
export const CRASH_DEPTH = 40

/** Price of a bar after `corrections` of it. */
export function crashPrice(symbol: number, at: number, corrections: number): bigint {
  return BigInt(symbol * 1_000_000 + at * 1_000 + corrections)
}

/** Days step `step` corrects, and how often each was corrected by then. */
export function crashCorrections(step: number): number[] {
  const random = seededRandom(step + 1)
  return Array.from({ length: 3 }, () => CRASH_FIRST + Math.floor(random() * (CRASH_DEPTH + step)))
}

async function main(): Promise<void> {
  const sql = createPostgresClient({ connectionString: process.argv[2]!, maxConnections: 3 })
  const lake = createLocalLake({ directory: process.argv[3]! })
  const store = createBarStore({
    sql,
    lake,
    minDeltaRows: 20,
    maxFileRows: 300,
    rowGroupRows: 50,
    chunkSymbols: 5,
    deleteSeries: 4,
    batchSize: 7,
    compactSpareFiles: 1,
  })
  const { rows } = await sql.query<{ step: number }>('SELECT step FROM crash_progress')
  process.send?.('ready')
  for (let step = rows[0]!.step; step < CRASH_STEPS; step++) {
    const last = CRASH_FIRST + CRASH_DEPTH + step
    const builder = new BarBatchBuilder('1d', SIP)
    const corrected = crashCorrections(step)
    CRASH_SYMBOLS.forEach((symbol, index) => {
      const days = step === 0 ? Array.from({ length: CRASH_DEPTH + 1 }, (_, at) => CRASH_FIRST + at) : [last]
      for (const at of days) addBar(builder, symbol, index, at, 0)
      for (const at of corrected) if (at < last) addBar(builder, symbol, index, at, step)
    })
    const batch = builder.build()
    const plan = { hotFrom: () => day(CRASH_FIRST + 20), initialWatermark: day(CRASH_FIRST + 30) }
    for (;;) {
      const staged = await store.stage(batch, plan)
      try {
        await sql.tx(async (tx) => {
          await store.commit(tx, staged)
          await tx.query('UPDATE crash_progress SET step = $1', [step + 1])
        })
        break
      } catch (error) {
        if (!isVarveError(error, 'STORAGE_STAGE_STALE')) throw error
      }
    }
    if (step % 4 === 3) {
      await store.retain({
        interval: '1d',
        asOf: day(last),
        archiveTo: day(last - 5),
        // Up by a few days, and down again where the symbol's turn has come.
        hotFrom: (symbol) => day(last - 6 - ((symbol.charCodeAt(2) + step) % 5) * 7),
        coldFrom: () => null,
      })
    }
    if (step % 3 === 2) await store.compact('1d')
    if (step % 10 === 9) await store.sweep({ graceMs: 2_000 })
  }
  await store.retain({
    interval: '1d',
    asOf: 0,
    archiveTo: day(CRASH_FIRST + CRASH_DEPTH + CRASH_STEPS - 5),
    hotFrom: () => day(CRASH_FIRST + CRASH_DEPTH + CRASH_STEPS - 10),
    coldFrom: () => null,
  })
  await store.compact('1d', { force: true })
  await sql.close()
  process.disconnect?.()
}

function addBar(
  builder: BarBatchBuilder,
  symbol: string,
  index: number,
  at: number,
  corrections: number,
): void {
  const price = crashPrice(index, at, corrections)
  builder.add(symbol, at * DAY, price, price + 3n, price - 2n, price + 1n, price * 7n)
}

if (process.argv[1] === import.meta.filename) {
  await main()
}
