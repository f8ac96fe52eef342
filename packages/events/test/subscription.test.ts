import { type SqlTx, uuidFromName } from '@varve/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createEventStore, createSubscription } from '../src/index.ts'
import type { EventStore, StoredEvent } from '../src/index.ts'
import { sampleEvent } from '../src/testing/index.ts'
import { type TestDatabase, createTestDatabase } from './support/databases.ts'

describe.each(['postgres', 'pglite'] as const)('subscription on %s', (engine) => {
  let db: TestDatabase
  let store: EventStore
  beforeEach(async () => {
    db = await createTestDatabase(engine)
    store = createEventStore({ sql: db.sql })
    await db.sql.exec('CREATE TABLE handled (id uuid, by text)') // no unique key: a second handling shows
  })
  afterEach(() => db.drop())

  const append = (names: readonly string[]): Promise<unknown> =>
    db.sql.tx((tx) =>
      store.append(
        tx,
        names.map((name) => sampleEvent(name)),
      ),
    )
  const keep =
    (by: string) =>
    async (tx: SqlTx, events: StoredEvent[]): Promise<void> => {
      await tx.query('INSERT INTO handled SELECT unnest($1::uuid[]), $2', [
        events.map((event) => event.id),
        by,
      ])
    }
  const handled = async (): Promise<{ total: number; distinct: number }> => {
    const { rows } = await db.sql.query<{ total: number; distinct: number }>(
      'SELECT count(*)::int AS total, count(DISTINCT id)::int AS "distinct" FROM handled',
    )
    return rows[0]!
  }

  it('handles each event once, batch by batch, and goes on from its place', async () => {
    await append(Array.from({ length: 25 }, (_, n) => `e${n}`))
    const make = (): ReturnType<typeof createSubscription> =>
      createSubscription({ sql: db.sql, store, name: 's', batchSize: 10, handler: keep('s') })
    expect(await make().runOnce()).toBe(10)
    expect(await make().drain()).toBe(15)
    expect(await make().runOnce()).toBe(0)
    await append(['late'])
    expect(await make().drain()).toBe(1)
    expect(await handled()).toEqual({ total: 26, distinct: 26 })
  })

  it('brings a batch again when its handler threw, with nothing kept', async () => {
    await append(['a', 'b'])
    let broken = true
    const subscription = createSubscription({
      sql: db.sql,
      store,
      name: 's',
      batchSize: 10,
      async handler(tx, events) {
        await keep('s')(tx, events)
        if (broken) throw new Error('handler broke')
      },
    })
    await expect(subscription.runOnce()).rejects.toThrow('handler broke')
    expect(await handled()).toEqual({ total: 0, distinct: 0 })
    broken = false
    expect(await subscription.drain()).toBe(2)
    expect(await handled()).toEqual({ total: 2, distinct: 2 })
  })

  it('passes over other types and does not scan them again', async () => {
    await append(Array.from({ length: 30 }, (_, n) => `q${n}`))
    const seen: string[] = []
    const subscription = createSubscription({
      sql: db.sql,
      store,
      name: 'gaps',
      types: ['DataGapDetected'],
      batchSize: 10,
      handler: (_tx, events) => {
        seen.push(...events.map((event) => event.type))
        return Promise.resolve()
      },
    })
    expect(await subscription.drain()).toBe(0)
    const { rows } = await db.sql.query<{ left: number }>(
      `SELECT count(*)::int AS left FROM events e, event_subscriptions s
       WHERE s.name = 'gaps' AND (e.transaction_id, e.position) > (s.transaction_id, s.position)`,
    )
    expect(rows[0]!.left).toBe(0)
    await db.sql.tx((tx) =>
      store.append(tx, [
        sampleEvent('between'),
        {
          id: uuidFromName('gap'),
          type: 'DataGapDetected',
          stream: 'series:A|bars|1d',
          occurredAt: 0,
          data: {
            symbol: 'A',
            dataType: 'bars',
            interval: '1d',
            from: '2015-06-30',
            to: '2015-06-30',
            sessions: ['2015-06-30'],
            layer: 0,
            metadata: {},
          },
        },
      ]),
    )
    expect(await subscription.drain()).toBe(1)
    expect(seen).toEqual(['DataGapDetected'])
  })

  it('shares the work between two readers of one name without doing any twice', async () => {
    const readers = ['one', 'two'].map((by) =>
      createSubscription({ sql: db.sql, store, name: 'shared', batchSize: 3, handler: keep(by), pollMs: 50 }),
    )
    for (const reader of readers) reader.start()
    for (let n = 0; n < 40; n++) await append([`s${n}-a`, `s${n}-b`])
    await expect.poll(async () => (await handled()).total, { timeout: 10_000 }).toBeGreaterThanOrEqual(80)
    await Promise.all(readers.map((reader) => reader.stop()))
    expect(await handled()).toEqual({ total: 80, distinct: 80 })
  })

  it('hears of an event soon after its commit', async () => {
    let at = 0
    const subscription = createSubscription({
      sql: db.sql,
      store,
      name: 'quick',
      batchSize: 10,
      pollMs: 5_000,
      handler: () => {
        at = performance.now()
        return Promise.resolve()
      },
    })
    subscription.start()
    await append(['warm'])
    await expect.poll(() => at, { interval: 2, timeout: 10_000 }).toBeGreaterThan(0)
    const delays: number[] = []
    for (let n = 0; n < 10; n++) {
      at = 0
      await append([`quick${n}`])
      const committed = performance.now()
      await expect.poll(() => at, { interval: 2 }).toBeGreaterThan(0)
      delays.push(at - committed)
    }
    delays.sort((a, b) => a - b)
    console.log(
      `${engine}: commit to subscription handler, median ${delays[5]!.toFixed(1)} ms, longest ${delays[9]!.toFixed(1)} ms`,
    )
    expect(delays[5]).toBeLessThan(100)
    await subscription.stop()
  })

  it('goes on after its handler threw while it was running', async () => {
    let failures = 2
    await using subscription = createSubscription({
      sql: db.sql,
      store,
      name: 'stubborn',
      batchSize: 10,
      pollMs: 10,
      async handler(tx, events) {
        if (failures-- > 0) throw new Error('not yet')
        await keep('stubborn')(tx, events)
      },
    })
    subscription.start()
    await append(['x'])
    await expect.poll(async () => (await handled()).total).toBe(1)
  })
})
