import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DAY_MS } from '@varve/core'
import { createRecordStore } from '../src/records/index.ts'
import { CRASH_KEPT, CRASH_STEPS, CRASH_START, CRASH_SYMBOLS } from './recordsCrashWorker.ts'
import { allRows, openRecordTest } from './recordsSupport.ts'
import { type TestStore, seededRandom } from './support.ts'

const ROUNDS = Number(process.env.VARVE_CRASH_ROUNDS ?? 4)

describe('records, killed at any point', () => {
  let crashed: TestStore
  let calm: TestStore

  beforeAll(async () => {
    ;[crashed, calm] = await Promise.all([openRecordTest('postgres'), openRecordTest('postgres')])
    for (const test of [crashed, calm])
      await test.sql.exec(
        'CREATE TABLE crash_progress (step int NOT NULL); INSERT INTO crash_progress VALUES (0)',
      )
  })
  afterAll(() => Promise.all([crashed.close(), calm.close()]))

  const start = (test: TestStore): ChildProcess =>
    fork(join(import.meta.dirname, 'recordsCrashWorker.ts'), [test.connectionString!, test.lakeDirectory], {
      execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })

  const ended = async (child: ChildProcess): Promise<boolean> => {
    let log = ''
    child.stderr!.on('data', (chunk: Buffer) => {
      log = (log + chunk.toString()).slice(-4000)
    })
    const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
    if (code !== 0 && signal !== 'SIGKILL')
      throw new Error(`the worker failed with ${code ?? signal}:\n${log}`)
    return signal === 'SIGKILL'
  }

  it('lose nothing, double nothing, and the work goes on to the same end', async () => {
    const random = seededRandom(Number(process.env.VARVE_CRASH_SEED ?? 7))
    const quiet = ended(start(calm))
    let kills = 0
    for (let round = 0; round < ROUNDS; round++) {
      const child = start(crashed)
      let timer: NodeJS.Timeout | undefined
      child.once('message', () => {
        timer = setTimeout(() => child.kill('SIGKILL'), Math.floor(random() * 250))
      })
      const wasKilled = await ended(child)
      clearTimeout(timer)
      if (!wasKilled) break
      kills++
    }
    await ended(start(crashed))
    await quiet
    const seen = []
    for (const test of [crashed, calm]) {
      const store = createRecordStore({ sql: test.sql, lake: test.lake })
      const all = await allRows(store, { dataset: 'ratings', versions: 'all' })
      seen.push(all)
      const { hotRows, coldRows, coldFiles } = await store.stats('ratings')
      // Each version is in one place only, and no file is left that nobody refers to.
      expect(hotRows + coldRows).toBe(all.length)
      const files = []
      for await (const file of test.lake.list('records')) files.push(file.path)
      expect(files.length).toBe(coldFiles)
    }
    console.log(`${kills} kills, ${seen[0]!.length} versions`)
    expect(seen[0]).toEqual(seen[1])
    const current = await allRows(createRecordStore({ sql: crashed.sql, lake: crashed.lake }), {
      dataset: 'ratings',
    })
    const first = CRASH_STEPS - 1 - CRASH_KEPT
    expect(current.length).toBe(CRASH_SYMBOLS.length * (CRASH_STEPS - first))
    expect(current.every((row) => row.time >= CRASH_START + first * DAY_MS)).toBe(true)
    expect(kills).toBeGreaterThan(1)
  }, 120_000)
})
