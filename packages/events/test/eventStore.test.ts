import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createEventStore, rebaseEvents } from '../src/index.ts'
import type { EventPosition, EventStore } from '../src/index.ts'
import { describeEventStoreContract, sampleEvent } from '../src/testing/index.ts'
import { type TestDatabase, createTestDatabase } from './support/databases.ts'

for (const engine of ['postgres', 'pglite'] as const) {
  describeEventStoreContract(engine, async () => {
    const db = await createTestDatabase(engine)
    return { sql: db.sql, store: createEventStore({ sql: db.sql }), cleanUp: () => db.drop() }
  })
}

const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

describe('readers beside slow writers', () => {
  let db: TestDatabase
  let store: EventStore
  beforeAll(async () => {
    db = await createTestDatabase('postgres')
    store = createEventStore({ sql: db.sql })
  })
  afterAll(() => db.drop())

  it('reads every event once; control: reading position > last loses some', async () => {
    const writers = 6
    const each = 80
    let writing = true
    const writes = Promise.all(
      Array.from({ length: writers }, async (_, writer) => {
        for (let n = 0; n < each; n++) {
          await db.sql.tx(async (tx) => {
            await store.append(tx, [sampleEvent(`slow-${writer}-${n}`)])
            if (Math.random() < 0.3) await pause(Math.random() * 15)
          })
        }
      }),
    ).finally(() => {
      writing = false
    })
    const ours: string[] = []
    const readOurs = async (): Promise<void> => {
      let after: EventPosition | undefined
      for (let idle = false; !idle || writing;) {
        const events = await store.read({ after, limit: 50 })
        ours.push(...events.map((event) => event.id))
        after = events.at(-1) ?? after
        idle = events.length === 0
        if (!idle) continue
        await pause(2)
        idle = !writing && (await store.read({ after, limit: 1 })).length === 0
      }
    }
    const naive: string[] = []
    const readNaively = async (): Promise<void> => {
      let last = 0n
      for (let again = true; again;) {
        again = writing
        const { rows } = await db.sql.query<{ id: string; position: bigint }>(
          'SELECT id::text AS id, position FROM events WHERE position > $1 ORDER BY position LIMIT 50',
          [last],
        )
        naive.push(...rows.map((row) => row.id))
        last = rows.at(-1)?.position ?? last
        again ||= rows.length > 0
        await pause(1)
      }
    }
    await Promise.all([writes, readOurs(), readNaively()])
    const total = writers * each
    console.log(`of ${total} events the naive reader lost ${total - new Set(naive).size}`)
    expect(ours.length).toBe(total)
    expect(new Set(ours).size).toBe(total)
    expect(new Set(naive).size).toBeLessThan(total)
  })

  it('hides events behind an older transaction until it ends', async () => {
    const after = (await store.read({ limit: 10_000 })).at(-1)
    let finish: () => void = () => undefined
    let started: () => void = () => undefined
    const began = new Promise<void>((resolve) => (started = resolve))
    const older = db.sql.tx(async (tx) => {
      await store.append(tx, [sampleEvent('older')])
      started()
      await new Promise<void>((resolve) => (finish = resolve))
    })
    await began
    await db.sql.tx((tx) => store.append(tx, [sampleEvent('younger')]))
    expect(await store.read({ after, limit: 10 })).toEqual([])
    finish()
    await older
    const symbols = (await store.read({ after, limit: 10 })).map((event) => event.stream)
    expect(symbols).toEqual(['symbol:older', 'symbol:younger'])
  })

  it('keeps order and subscriptions through a move to another cluster', async () => {
    const before = await store.read({ limit: 10_000 })
    const place = before[Math.floor(before.length / 2)]!
    await db.sql.query(
      'INSERT INTO event_subscriptions (name, transaction_id, position) VALUES ($1, $2::xid8, $3::bigint)',
      ['moved', place.transactionId, place.position],
    )
    // As restored: written by transactions far in the future of this cluster.
    await db.sql
      .exec(`UPDATE events SET transaction_id = (transaction_id::text::bigint + 1000000000000)::text::xid8;
      UPDATE event_subscriptions SET transaction_id = (transaction_id::text::bigint + 1000000000000)::text::xid8`)
    expect(await store.read({ limit: 10 })).toEqual([])
    await db.sql.tx((tx) => rebaseEvents(tx))
    expect((await store.read({ limit: 10_000 })).map((event) => event.id)).toEqual(
      before.map((event) => event.id),
    )
    const { rows } = await db.sql.query<{ transaction_id: string; position: bigint }>(
      `SELECT transaction_id::text AS transaction_id, position FROM event_subscriptions WHERE name = 'moved'`,
    )
    const rest = await store.read({
      after: { transactionId: rows[0]!.transaction_id, position: rows[0]!.position },
      limit: 10_000,
    })
    expect(rest.map((event) => event.id)).toEqual(
      before.slice(before.indexOf(place) + 1).map((event) => event.id),
    )
    await db.sql.tx((tx) => store.append(tx, [sampleEvent('after the move')]))
    expect((await store.read({ limit: 10_000 })).at(-1)!.stream).toBe('symbol:after the move')
    await db.sql.tx((tx) => rebaseEvents(tx))
    expect((await store.read({ limit: 10_000 })).length).toBe(before.length + 1)
  })
})
