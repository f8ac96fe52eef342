import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DAY_MS, isVarveError } from '@varve/core'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, allRows, openRecordTest } from './recordsSupport.ts'
import { type TestStore, seededRandom } from './support.ts'

const T0 = Date.UTC(2024, 1, 1)
const SYMBOLS = ['A', 'B', 'C', 'D']
const DAYS = 30
/** Versions of every rating; version v says v and was recorded on day 100 + v. */
const VERSIONS = 3
/** Rounds of loading at most. */
const ROUNDS = 40

describe('loads, archiving, compaction and reads of records at once', () => {
  let test: TestStore
  let store: RecordStore

  beforeAll(async () => {
    test = await openRecordTest('postgres')
    store = createRecordStore({
      sql: test.sql,
      lake: test.lake,
      pageRows: 40,
      rowGroupRows: 10,
      maxFileRows: 60,
      compactSpareFiles: 1,
    })
  })
  afterAll(() => test.close())

  it('lose no version, double none, and no reader ever sees a gap', async () => {
    const versions = SYMBOLS.flatMap((symbol) =>
      Array.from({ length: DAYS * VERSIONS }, (_, index) => ({
        symbol,
        time: T0 + (index % DAYS) * DAY_MS,
        recordedAt: T0 + (100 + Math.floor(index / DAYS)) * DAY_MS,
        values: { firm: 'f', target_price: BigInt(1 + Math.floor(index / DAYS)) },
      })),
    )
    const load = (rows: typeof versions) => store.load({ dataset: 'ratings', source: FEED, rows })
    // All of the first version is there before anybody reads.
    await load(versions.filter((row) => row.values.target_price === 1n))
    const whole = SYMBOLS.length * DAYS
    let working = true
    let inserted = 0
    const loader = async (seed: number) => {
      const random = seededRandom(seed)
      const mixed = versions.map((row) => ({ row, at: random() })).sort((a, b) => a.at - b.at)
      for (let start = 0; start < mixed.length; start += 40) {
        const done = await load(mixed.slice(start, start + 40).map((entry) => entry.row))
        expect(done.failed).toBe(0)
        inserted += done.inserted
      }
    }
    let archived = 0
    const mover = async () => {
      for (let step = 1; working; step++) {
        archived += (
          await store.archive('ratings', {
            before: (symbol) => T0 + ((step * 3 + symbol.charCodeAt(0)) % DAYS) * DAY_MS,
          })
        ).archivedRows
        await store.compact('ratings').catch((error: unknown) => {
          if (!isVarveError(error, 'LAKE_COMPACT_CONFLICT')) throw error
        })
        if (step % 4 === 0) await store.sweep({ graceMs: 0 })
      }
    }
    const faults: string[] = []
    let reads = 0
    const reader = async () => {
      const least = new Map<string, bigint>()
      while (working) {
        reads++
        const rows = await allRows(store, { dataset: 'ratings' })
        if (rows.length !== whole) faults.push(`${rows.length} records`)
        for (const row of rows) {
          const id = `${row.symbol} ${row.time}`
          const said = row.values.target_price!
          if (said < (least.get(id) ?? 1n)) faults.push(`${id} went back to ${said}`)
          least.set(id, said)
        }
        const known = await allRows(store, { dataset: 'ratings', knownAt: T0 + 100 * DAY_MS })
        if (known.some((row) => row.values.target_price !== 1n) || known.length !== whole)
          faults.push('the past changed')
      }
    }
    // The control: Postgres and the lake's catalog by two statements. It must be caught, or the check has no teeth.
    const naive: number[] = []
    const twoStatements = async () => {
      while (working) {
        const { hotRows } = await countHot()
        await new Promise((resolve) => setImmediate(resolve))
        naive.push(hotRows + (await countCold()))
      }
    }
    const wentBack = () => naive.some((count, index) => index > 0 && count < naive[index - 1]!)
    const isEnough = () => reads > 5 && archived > whole && wentBack()
    const loaders = async () => {
      // Once all is loaded the same again: whatever has moved since, nothing is new.
      for (let round = 1; round <= 2 || (round < ROUNDS && !isEnough()); round++)
        await Promise.all([loader(2 * round), loader(2 * round + 1)])
    }
    const work = loaders().finally(() => {
      working = false
    })
    await Promise.all([work, mover(), reader(), twoStatements()])
    expect(faults).toEqual([])
    expect(reads).toBeGreaterThan(2)
    expect(archived).toBeGreaterThan(whole)
    // Loaders raced for every version; each was written once.
    expect(inserted).toBe(0)
    const all = await allRows(store, { dataset: 'ratings', versions: 'all' })
    const ids = all.map((row) => `${row.symbol} ${row.time} ${row.recordedAt} ${row.values.target_price}`)
    expect(new Set(ids).size).toBe(ids.length)
    expect(all.length).toBe(versions.length)
    expect(all.length).toBe((await countHot()).hotRows + (await countCold()))
    expect(
      (await allRows(store, { dataset: 'ratings' })).every(
        (row) => row.values.target_price === BigInt(VERSIONS),
      ),
    ).toBe(true)
    expect((await load(versions)).failed).toBe(0)
    expect(wentBack()).toBe(true)
  })

  const countHot = async () => {
    const { rows } = await test.sql.query<{ n: number }>('SELECT count(*)::int AS n FROM records_ratings')
    return { hotRows: rows[0]!.n }
  }
  const countCold = async () => {
    const { rows } = await test.sql.query<{ n: number }>(
      'SELECT coalesce(sum(rows), 0)::int AS n FROM record_files WHERE removed_at IS NULL',
    )
    return rows[0]!.n
  }
})
