import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBarStore, createPostgresClient } from '../src/index.ts'
import { CRASH_DEPTH, CRASH_FIRST, CRASH_STEPS, CRASH_SYMBOLS } from './crashWorker.ts'
import { DAY, type TestStore, openTestStore, seededRandom } from './support.ts'

const ROUNDS = Number(process.env.VARVE_CRASH_ROUNDS ?? 25)

/**
 * What a read may show while the work goes on: per symbol an unbroken run of days from the first one, each once,
 * all symbols of a batch equally far, and further than any earlier read.
 */
class Watch {
  furthest = 0
  reads = 0
  readonly faults: string[] = []

  observe(days: ReadonlyMap<string, readonly number[]>): void {
    this.reads++
    if (days.size === 0) return
    let last = Infinity
    for (const [symbol, list] of days) {
      for (let index = 0; index < list.length; index++) {
        if (list[index] === CRASH_FIRST + index) continue
        this.faults.push(`${symbol}: day ${list[index]} at position ${index}`)
        break
      }
      last = Math.min(last, list.length)
    }
    if (days.size < CRASH_SYMBOLS.length) this.faults.push(`${days.size} symbols`)
    if (last < this.furthest) this.faults.push(`only ${last} days after ${this.furthest}`)
    this.furthest = Math.max(this.furthest, last)
  }
}

describe('killed at any point', () => {
  let crashed: TestStore
  let calm: TestStore

  beforeAll(async () => {
    crashed = await openTestStore('postgres')
    calm = await openTestStore('postgres')
    for (const test of [crashed, calm]) {
      await test.sql.exec(
        'CREATE TABLE crash_progress (step int NOT NULL); INSERT INTO crash_progress VALUES (0)',
      )
    }
  })
  afterAll(async () => {
    await crashed.close()
    await calm.close()
  })

  const start = (test: TestStore): ChildProcess =>
    fork(join(import.meta.dirname, 'crashWorker.ts'), [test.connectionString!, test.lakeDirectory], {
      execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })

  const ended = async (child: ChildProcess): Promise<number | string> => {
    let log = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4000)
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    if (code !== 0 && signal !== 'SIGKILL')
      throw new Error(`the worker failed with ${code ?? signal}:\n${log}`)
    return signal ?? code!
  }

  it('loses nothing, doubles nothing, and no reader ever sees a gap', async () => {
    const watch = new Watch()
    const naive = new Watch()
    const reader = createBarStore({ sql: crashed.sql, lake: crashed.lake })
    let stop = false
    const failures: unknown[] = []
    const exact = (async () => {
      while (!stop) {
        const days = new Map<string, number[]>()
        for await (const batch of reader.read({ interval: '1d', from: -Infinity, to: Infinity })) {
          for (let row = 0; row < batch.length; row++) {
            const symbol = batch.symbols[batch.symbolIndex[row]!]!
            const list = days.get(symbol) ?? []
            list.push(batch.time[row]! / DAY)
            days.set(symbol, list)
          }
        }
        watch.observe(days)
      }
    })().catch((error: unknown) => failures.push(error))
    // The control: bounds and rows by two statements. It must be caught, or the check has no teeth.
    const second = createPostgresClient({ connectionString: crashed.connectionString!, maxConnections: 1 })
    const twoStatements = (async () => {
      while (!stop) naive.observe(await readInTwoStatements(second))
    })().catch((error: unknown) => failures.push(error))

    const random = seededRandom(Number(process.env.VARVE_CRASH_SEED ?? 42))
    let kills = 0
    for (let round = 0; round < ROUNDS; round++) {
      const child = start(crashed)
      let timer: NodeJS.Timeout | undefined
      child.once('message', () => {
        timer = setTimeout(() => child.kill('SIGKILL'), Math.floor(random() * 350))
      })
      const outcome = await ended(child)
      clearTimeout(timer)
      if (outcome !== 'SIGKILL') break
      kills++
    }
    await ended(start(crashed))
    stop = true
    await exact
    await twoStatements
    await second.close()
    expect(failures).toEqual([])

    await ended(start(calm))
    const [left, right] = [
      createBarStore({ sql: crashed.sql, lake: crashed.lake }),
      createBarStore({ sql: calm.sql, lake: calm.lake }),
    ]
    const [after, expected] = [await left.checksums(), await right.checksums()]
    console.log(
      `${kills} kills, ${watch.reads} reads, ${naive.faults.length} faults of the two-statement reader in ${naive.reads}`,
    )
    expect(watch.faults).toEqual([])
    expect(after).toEqual(expected)
    const held = await left.seriesSummary('1d')
    expect(held.map((entry) => entry.rows)).toEqual(CRASH_SYMBOLS.map(() => CRASH_DEPTH + CRASH_STEPS))
    await left.sweep({ graceMs: -60_000 })
    const files = []
    for await (const file of crashed.lake.list()) files.push(file.path)
    expect(files.length).toBe((await left.stats()).coldFiles)
    expect(kills).toBeGreaterThanOrEqual(10)
    expect(naive.faults.length).toBeGreaterThan(0)
  }, 180_000)
})

/** Watermark and hot rows by separate statements, with the lake stood in for by every day before `hot_from`. */
async function readInTwoStatements(
  sql: ReturnType<typeof createPostgresClient>,
): Promise<Map<string, number[]>> {
  const { rows: bounds } = await sql.query<{ id: number; symbol: string; hot_from: Date }>(
    'SELECT id, symbol, hot_from FROM series ORDER BY symbol',
  )
  await new Promise((resolve) => setTimeout(resolve, 5))
  const { rows: hot } = await sql.query<{ series_id: number; ts: Date }>(
    'SELECT b.series_id, b.ts FROM bars b JOIN series s ON s.id = b.series_id WHERE b.ts >= s.hot_from ORDER BY b.series_id, b.ts',
  )
  const days = new Map<string, number[]>()
  if (hot.length === 0) return days
  for (const bound of bounds) {
    const list: number[] = []
    for (let at = CRASH_FIRST; at < bound.hot_from.getTime() / DAY; at++) list.push(at)
    for (const row of hot) if (row.series_id === bound.id) list.push(row.ts.getTime() / DAY)
    days.set(bound.symbol, list)
  }
  return days
}
