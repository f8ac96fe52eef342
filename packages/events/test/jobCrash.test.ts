import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createJobEngine } from '../src/index.ts'
import type { JobEngine } from '../src/index.ts'
import { type TestDatabase, createTestDatabase } from './support/databases.ts'
import { sqlOverPglite } from './support/sqlOverPglite.ts'

describe('jobs while workers are killed', () => {
  let db: TestDatabase
  let jobs: JobEngine
  const children = new Set<ChildProcess>()
  const queues = [{ name: 'work', retryLimit: 3, retryDelayMs: 1 }]

  beforeAll(async () => {
    db = await createTestDatabase('postgres')
    // No unique keys: a doubled effect shows.
    await db.sql.exec('CREATE TABLE effects (key text, by text); CREATE TABLE unfenced (key text)')
    jobs = createJobEngine({ sql: db.sql, queues, heartbeatSeconds: 1, superviseSeconds: 0.2 })
    await jobs.start()
  })
  afterAll(async () => {
    for (const child of children) child.kill('SIGKILL')
    await jobs.stop()
    await db.drop()
  })

  const start = async (database: string, heard: string[], name: string): Promise<ChildProcess> => {
    const child = fork(join(import.meta.dirname, 'support/jobChild.ts'), [database, name], {
      execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    children.add(child)
    child.on('exit', () => children.delete(child))
    child.on('message', (message: string) => heard.push(message))
    await expect.poll(() => heard.includes('ready'), { timeout: 20_000 }).toBe(true)
    return child
  }
  const kill = async (child: ChildProcess): Promise<void> => {
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }
  const counted = async (prefix: string, table = 'effects'): Promise<{ total: number; distinct: number }> => {
    const { rows } = await db.sql.query<{ total: number; distinct: number }>(
      `SELECT count(*)::int AS total, count(DISTINCT key)::int AS "distinct" FROM ${table} WHERE key LIKE $1`,
      [`${prefix}%`],
    )
    return rows[0]!
  }
  const enqueue = (prefix: string, count: number): Promise<unknown> =>
    db.sql.tx((tx) =>
      jobs.enqueue(
        tx,
        'work',
        Array.from({ length: count }, (_, n) => ({ key: `${prefix}${n}`, priority: 0, data: {} })),
      ),
    )

  it('loses nothing and doubles nothing over many kill -9', async () => {
    const total = 3_000
    await enqueue('k', total)
    let workers: ChildProcess[] = await Promise.all(['w0', 'w1', 'w2'].map((name) => start(db.url, [], name)))
    let kills = 0
    const deadline = Date.now() + 25_000
    while ((await jobs.counts('work')).completed < total && Date.now() < deadline) {
      if (kills < 20) {
        const victim = kills % workers.length
        await kill(workers[victim]!)
        kills++
        workers = workers.with(victim, await start(db.url, [], `w${victim}-${kills}`))
      }
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    for (const worker of workers) await kill(worker)
    const counts = await jobs.counts('work')
    console.log(
      `${kills} kills, counts ${JSON.stringify(counts)}, effects ${JSON.stringify(await counted('k'))}`,
    )
    expect(kills).toBeGreaterThanOrEqual(5)
    expect(counts).toMatchObject({ completed: total, failed: 0 })
    expect(await counted('k')).toEqual({ total, distinct: total })
  }, 60_000)

  it('fences a worker that slept past its heartbeat', async () => {
    const heard: string[] = []
    await enqueue('z', 40)
    const zombie = await start(db.url, heard, 'zombie')
    await expect.poll(() => heard.includes('holding'), { interval: 1, timeout: 10_000 }).toBe(true)
    zombie.kill('SIGSTOP')
    const other = await start(db.url, [], 'other')
    // Taken away from the sleeper, taken over, and done: only then does it wake.
    const live = async () => {
      const { created, active, retry } = await jobs.counts('work')
      return created + active + retry
    }
    await expect.poll(live, { timeout: 15_000 }).toBe(0)
    zombie.kill('SIGCONT')
    await expect.poll(() => heard.includes('JOB_LOST'), { timeout: 10_000 }).toBe(true)
    console.log(`zombie heard: ${[...new Set(heard)].join(', ')}`)
    expect(heard).toContain('JOB_LOST')
    expect(await counted('z')).toEqual({ total: 40, distinct: 40 })
    // Control: the effect that was not in the completing transaction happened twice.
    expect((await counted('z', 'unfenced')).total).toBeGreaterThan(40)
    await kill(zombie)
    await kill(other)
  }, 60_000)

  it('loses nothing and doubles nothing when an embedded process is killed', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-jobs-'))
    const directory = join(folder, 'pg')
    let recoveredMs = 0
    for (let round = 0; round < 4; round++) {
      const heard: string[] = []
      const child = await start(directory, heard, `r${round}`)
      const ready = performance.now()
      await expect
        .poll(() => heard.filter((line) => line === 'holding').length, { interval: 1, timeout: 20_000 })
        .toBeGreaterThan(3)
      recoveredMs = Math.max(recoveredMs, performance.now() - ready)
      await new Promise((resolve) => setTimeout(resolve, 150 * Math.random()))
      await kill(child)
    }
    const sql = await sqlOverPglite(directory)
    const engine = createJobEngine({ sql, queues, exclusive: true })
    await engine.start()
    await engine.drain('work', { batchSize: 50, concurrency: 1 }, (batch) =>
      sql.tx(async (tx) => {
        await tx.query('INSERT INTO effects SELECT unnest($1::text[])', [batch.map((job) => job.key)])
        await engine.complete(tx, 'work', batch)
      }),
    )
    const { rows } = await sql.query(
      'SELECT count(*)::int AS total, count(DISTINCT key)::int AS "distinct" FROM effects',
    )
    expect(rows[0]).toEqual({ total: 600, distinct: 600 })
    expect(await engine.counts('work')).toEqual({
      created: 0,
      active: 0,
      retry: 0,
      completed: 600,
      failed: 0,
    })
    expect(recoveredMs).toBeLessThan(3_000)
    await engine.stop()
    await sql.close()
    rmSync(folder, { recursive: true, force: true })
  }, 60_000)
})
