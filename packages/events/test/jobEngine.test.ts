import { VarveError } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createJobEngine } from '../src/index.ts'
import type { Job, JobEngine } from '../src/index.ts'
import { type TestDatabase, createTestDatabase } from './support/databases.ts'

describe.each(['postgres', 'pglite'] as const)('job engine on %s', (engine) => {
  let db: TestDatabase
  let jobs: JobEngine
  const queues = ['plain', 'retrying', 'dead', 'bulk', 'live', 'lost', 'raise', 'abort'].map((name) => ({
    name,
    retryLimit: 2,
    retryDelayMs: 1,
  }))
  const options = { superviseSeconds: 1, pollMs: 200, exclusive: engine === 'pglite' }

  beforeAll(async () => {
    db = await createTestDatabase(engine)
    await db.sql.exec('CREATE TABLE effects (key text, attempt int)')
    jobs = createJobEngine({ sql: db.sql, queues, ...options })
    const start = performance.now()
    await jobs.start()
    console.log(`${engine}: job engine started in ${Math.round(performance.now() - start)} ms`)
  })
  afterAll(async () => {
    await jobs.stop()
    await jobs.stop()
    await db.drop()
  })

  const work =
    (queue: string) =>
    (batch: Job[]): Promise<void> =>
      db.sql.tx(async (tx) => {
        await tx.query('INSERT INTO effects SELECT unnest($1::text[]), $2::int', [
          batch.map((job) => job.key),
          batch[0]!.attempt,
        ])
        await jobs.complete(tx, queue, batch, { rows: 1 })
      })
  const add = (
    queue: string,
    keys: readonly string[],
    priority = 0,
  ): Promise<{ enqueued: number; coalesced: number }> =>
    db.sql.tx((tx) =>
      jobs.enqueue(
        tx,
        queue,
        keys.map((key) => ({ key, priority, data: { key } })),
      ),
    )
  const effects = async (prefix: string): Promise<string[]> =>
    (
      await db.sql.query<{ key: string }>('SELECT key FROM effects WHERE key LIKE $1 ORDER BY key', [
        `${prefix}%`,
      ])
    ).rows.map((row) => row.key)

  it('enqueues with the transaction, coalesces keys that are live, and drains by priority', async () => {
    await expect(
      db.sql.tx(async (tx) => {
        await jobs.enqueue(tx, 'plain', [{ key: 'p0', priority: 0, data: {} }])
        throw new Error('undo')
      }),
    ).rejects.toThrow('undo')
    expect(await add('plain', ['p1', 'p2', 'p1'])).toEqual({ enqueued: 2, coalesced: 1 })
    expect(await add('plain', ['p2'], 0)).toEqual({ enqueued: 0, coalesced: 1 })
    expect(await add('plain', ['p9'], 9)).toEqual({ enqueued: 1, coalesced: 0 })
    expect(await jobs.counts('plain')).toEqual({ created: 3, active: 0, retry: 0, completed: 0, failed: 0 })
    const order: string[] = []
    const tally = await jobs.drain('plain', { batchSize: 1, concurrency: 1 }, async (batch) => {
      order.push(batch[0]!.key)
      expect(batch[0]).toMatchObject({ queue: 'plain', attempt: 1, data: { key: batch[0]!.key } })
      expect((await jobs.counts('plain')).active).toBe(1)
      await work('plain')(batch)
    })
    expect(tally).toEqual({ completed: 3, failed: 0, retried: 0 })
    expect(order[0]).toBe('p9')
    expect(await effects('p')).toEqual(['p1', 'p2', 'p9'])
    expect(await add('plain', ['p1'])).toEqual({ enqueued: 1, coalesced: 0 })
    await jobs.drain('plain', { batchSize: 10, concurrency: 1 }, work('plain'))
  })

  it('does not enqueue an id twice, even after it was completed', async () => {
    const id = '11111111-1111-8111-8111-111111111111'
    const once = (): Promise<unknown> =>
      db.sql.tx((tx) => jobs.enqueue(tx, 'plain', [{ key: 'id', priority: 0, data: {}, id }]))
    expect(await once()).toEqual({ enqueued: 1, coalesced: 0 })
    await jobs.drain('plain', { batchSize: 10, concurrency: 1 }, work('plain'))
    expect(await once()).toEqual({ enqueued: 0, coalesced: 1 })
  })

  it('raises the priority of a waiting job, never lowers it', async () => {
    await add('raise', ['a', 'b', 'c'], 1)
    await add('raise', ['c'], 2)
    await add('raise', ['c', 'b'], 0)
    const seen: [string, number][] = []
    await jobs.drain('raise', { batchSize: 1, concurrency: 1 }, async (batch) => {
      seen.push([batch[0]!.key, batch[0]!.priority])
      await work('raise')(batch)
    })
    expect(seen).toEqual([
      ['c', 2],
      ['a', 1],
      ['b', 1],
    ])
  })

  it('retries what is worth it, waits for the delay, and fails the rest at once', async () => {
    await add('retrying', ['r-flaky', 'r-hopeless', 'r-silent'])
    const attempts: string[] = []
    const tally = await jobs.drain('retrying', { batchSize: 1, concurrency: 3 }, async (batch) => {
      const [job] = batch
      attempts.push(`${job!.key} ${job!.attempt}`)
      if (job!.key === 'r-hopeless') throw new VarveError('no such symbol', { code: 'SYMBOL_UNKNOWN' })
      if (job!.key === 'r-flaky' && job!.attempt < 3) throw new Error('flaky')
      if (job!.key === 'r-silent') return // forgets to complete
      await work('retrying')(batch)
    })
    expect(tally).toEqual({ completed: 1, failed: 2, retried: 4 })
    expect(attempts.sort()).toEqual([
      'r-flaky 1',
      'r-flaky 2',
      'r-flaky 3',
      'r-hopeless 1',
      'r-silent 1',
      'r-silent 2',
      'r-silent 3',
    ])
    expect(await effects('r-')).toEqual(['r-flaky'])
    const dead = await jobs.deadLetters('retrying')
    expect(dead.map((letter) => [letter.key, letter.error.code]).sort()).toEqual([
      ['r-hopeless', 'SYMBOL_UNKNOWN'],
      ['r-silent', 'JOB_NOT_COMPLETED'],
    ])
  })

  it('redrives dead letters with fresh retries, but not beside a live job of the same key', async () => {
    await add('dead', ['d1', 'd2'])
    await jobs.drain('dead', { batchSize: 2, concurrency: 1 }, () =>
      Promise.reject(new VarveError('no', { code: 'NO' })),
    )
    const ids = (await jobs.deadLetters('dead')).map((letter) => letter.id)
    expect(ids.length).toBe(2)
    expect(await add('dead', ['d1'])).toEqual({ enqueued: 1, coalesced: 0 })
    expect(await jobs.redrive('dead', ids)).toBe(1)
    expect(await jobs.redrive('dead', ids)).toBe(0)
    const tally = await jobs.drain('dead', { batchSize: 10, concurrency: 1 }, async (batch) => {
      if (batch.some((job) => job.key === 'd2' && job.attempt < 4)) throw new Error('again')
      await work('dead')(batch)
    })
    expect(tally).toMatchObject({ completed: 2, failed: 0 })
    expect(await effects('d')).toEqual(['d1', 'd2'])
    expect((await jobs.deadLetters('dead')).map((letter) => letter.key)).toEqual(['d1'])
  })

  it('rolls back a handler whose jobs were given to another, and refuses its late settling', async () => {
    await add('lost', ['l1', 'l2'])
    let stolen = false
    const tally = await jobs.drain('lost', { batchSize: 2, concurrency: 1 }, async (batch) => {
      if (!stolen) {
        stolen = true
        // Another worker took l1 and holds it as its second attempt.
        await db.sql.query(
          `UPDATE pgboss.job SET retry_count = 1 WHERE name = 'lost' AND singleton_key = 'l1'`,
        )
        const attempt = work('lost')(batch)
        await expect(attempt).rejects.toMatchObject({ code: 'JOB_LOST', details: { held: 1 } })
        expect(await effects('l')).toEqual([])
        await jobs.fail(
          'lost',
          batch.filter((job) => job.key === 'l1'),
          new Error('late'),
          { retry: false },
        )
        await db.sql.query(
          `UPDATE pgboss.job SET state = 'retry' WHERE name = 'lost' AND singleton_key = 'l1'`,
        )
        await attempt
      }
      await work('lost')(batch)
    })
    expect(tally).toEqual({ completed: 2, failed: 0, retried: 1 })
    expect(await effects('l')).toEqual(['l1', 'l2'])
  })

  it('gives jobs back, unspent, when it is aborted', async () => {
    await add('abort', ['a1', 'a2', 'a3'])
    const abort = new AbortController()
    const reason = new Error('enough')
    await expect(
      jobs.drain('abort', { batchSize: 1, concurrency: 1, signal: abort.signal }, async (_batch, signal) => {
        abort.abort(reason)
        await new Promise((_resolve, reject) => {
          if (signal.aborted) reject(signal.reason as Error)
        })
      }),
    ).rejects.toBe(reason)
    expect(await jobs.counts('abort')).toMatchObject({ active: 0, created: 2, retry: 1 })
    const tally = await jobs.drain('abort', { batchSize: 10, concurrency: 1 }, work('abort'))
    expect(tally).toEqual({ completed: 3, failed: 0, retried: 0 })
  })

  it('wakes a worker when a transaction with jobs commits', async () => {
    const done: number[] = []
    const worker = jobs.process('live', { batchSize: 10, concurrency: 2 }, async (batch) => {
      done.push(performance.now())
      await work('live')(batch)
    })
    await new Promise((resolve) => setTimeout(resolve, 300))
    const delays: number[] = []
    for (let n = 0; n < 10; n++) {
      await add('live', [`w${n}`])
      const committed = performance.now()
      await expect.poll(() => done.length, { interval: 2 }).toBe(n + 1)
      delays.push(done.at(-1)! - committed)
    }
    console.log(`${engine}: commit to handler, median ${delays.sort((a, b) => a - b)[5]!.toFixed(1)} ms`)
    expect(delays[5]).toBeLessThan(100)
    await worker.stop()
    await add('live', ['w-late'])
    expect(await jobs.counts('live')).toMatchObject({ created: 1, completed: 10 })
  })

  it('moves 6,000 jobs', async () => {
    const keys = Array.from({ length: 6_000 }, (_, n) => `bulk${n}`)
    let start = performance.now()
    expect(await add('bulk', keys)).toEqual({ enqueued: 6_000, coalesced: 0 })
    const enqueueMs = performance.now() - start
    start = performance.now()
    expect(await jobs.drain('bulk', { batchSize: 200, concurrency: 2 }, work('bulk'))).toMatchObject({
      completed: 6_000,
    })
    const drainMs = performance.now() - start
    console.log(
      `${engine}: 6,000 jobs enqueued in ${Math.round(enqueueMs)} ms, drained in ${Math.round(drainMs)} ms`,
    )
    expect((await effects('bulk')).length).toBe(6_000)
  })

  it('names what is wrong', async () => {
    const stopped = createJobEngine({ sql: db.sql, queues })
    await expect(db.sql.tx((tx) => stopped.enqueue(tx, 'plain', []))).rejects.toMatchObject({
      code: 'JOB_ENGINE_STOPPED',
    })
    await expect(jobs.counts('unheard')).rejects.toMatchObject({ code: 'QUEUE_UNKNOWN' })
    expect(() => createJobEngine({ sql: db.sql, queues: [] })).toThrow(/at least one queue/)
  })

  it('starts again after a stop, and takes back what was active', async () => {
    await add('plain', ['again'])
    await db.sql.query(
      `UPDATE pgboss.job SET state = 'active', started_on = now() - interval '1 minute', heartbeat_on = now() - interval '1 minute'
       WHERE name = 'plain' AND singleton_key = 'again' AND state = 'created'`,
    )
    await jobs.stop()
    await jobs.start()
    const tally = await jobs.drain('plain', { batchSize: 10, concurrency: 1 }, work('plain'))
    expect(tally).toEqual({ completed: 1, failed: 0, retried: 0 })
  })
})
