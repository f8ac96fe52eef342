import { type SqlClient, type SqlTx, uuidFromName } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { EventPosition, EventStore } from '../EventStore.ts'
import type { NewEvent, StoredEvent } from '../types.ts'

/** A store under test, its database with the events tables in it, and what to do afterwards. */
export interface EventStoreFixture {
  readonly sql: SqlClient
  readonly store: EventStore
  cleanUp(): Promise<void>
}

/** An event of the contract's own; `name` decides its id. */
export function sampleEvent(
  name: string,
  stream = `symbol:${name}`,
  occurredAt = 1_435_622_400_000,
): NewEvent {
  return {
    id: uuidFromName(name),
    type: 'SymbolQualified',
    stream,
    occurredAt,
    data: {
      symbol: name.slice(0, 64),
      layer: 1,
      qualifiedOn: '2015-06-30',
      liquidityScore: 7.1234,
      previousLayer: 0,
      metadata: {},
    },
  }
}

/** What every event store promises. */
export function describeEventStoreContract(name: string, factory: () => Promise<EventStoreFixture>): void {
  describe(`event store contract: ${name}`, () => {
    let fixture: EventStoreFixture
    let sql: SqlClient
    let store: EventStore
    beforeAll(async () => {
      fixture = await factory()
      sql = fixture.sql
      store = fixture.store
    })
    afterAll(() => fixture.cleanUp())

    const append = (events: readonly NewEvent[]): Promise<{ appended: number; duplicates: number }> =>
      sql.tx((tx) => store.append(tx, events))
    const readAll = async (after?: EventPosition): Promise<StoredEvent[]> => {
      const all: StoredEvent[] = []
      for (let place = after; ;) {
        const page = await store.read({ after: place, limit: 7 })
        if (page.length === 0) return all
        all.push(...page)
        place = page.at(-1)
      }
    }

    it('stores the whole envelope and gives it back', async () => {
      const event: NewEvent = { ...sampleEvent('envelope'), metadata: { run: 'r1' } }
      expect(await append([event])).toEqual({ appended: 1, duplicates: 0 })
      const [stored] = await store.readStream('symbol:envelope')
      expect(stored).toEqual({
        ...event,
        version: 1,
        schemaVersion: 1,
        position: expect.any(BigInt) as bigint,
        transactionId: expect.stringMatching(/^\d+$/) as string,
        recordedAt: expect.any(Number) as number,
      })
    })

    it('says a fact once, however often it is appended', async () => {
      const event = sampleEvent('once')
      expect(await append([event, event])).toEqual({ appended: 1, duplicates: 1 })
      expect(await append([event, sampleEvent('once-more', 'symbol:once')])).toEqual({
        appended: 1,
        duplicates: 1,
      })
      expect((await store.readStream('symbol:once')).map((stored) => stored.version)).toEqual([1, 2])
    })

    it('keeps nothing of a transaction that rolled back', async () => {
      await expect(
        sql.tx(async (tx) => {
          await store.append(tx, [sampleEvent('undone')])
          throw new Error('undo')
        }),
      ).rejects.toThrow('undo')
      expect(await store.readStream('symbol:undone')).toEqual([])
      expect(await append([sampleEvent('undone')])).toEqual({ appended: 1, duplicates: 0 })
    })

    it('refuses what does not fit its type, before anything is written', async () => {
      const good = sampleEvent('good')
      const bad = { ...sampleEvent('bad'), data: { ...good.data, qualifiedOn: '2015-02-30' } } as NewEvent
      await expect(append([good, bad])).rejects.toMatchObject({
        code: 'EVENT_INVALID',
        details: { what: expect.stringContaining('qualifiedOn') as string },
      })
      await expect(append([{ ...good, id: 'not-a-uuid' }])).rejects.toMatchObject({ code: 'EVENT_INVALID' })
      await expect(append([{ ...good, type: 'Nonsense' } as unknown as NewEvent])).rejects.toMatchObject({
        code: 'EVENT_INVALID',
      })
      expect(await store.readStream('symbol:good')).toEqual([])
    })

    it('reads in order, page by page, and filters', async () => {
      await append(
        Array.from({ length: 20 }, (_, n) => sampleEvent(`page${n}`, `symbol:P${n % 2}`, 1_000 + n)),
      )
      const gap: NewEvent = {
        id: uuidFromName('gap'),
        type: 'DataGapDetected',
        stream: 'series:P0|bars|1d',
        occurredAt: 1_005,
        data: {
          symbol: 'P0',
          dataType: 'bars',
          interval: '1d',
          from: '2015-06-29',
          to: '2015-06-30',
          sessions: ['2015-06-29', '2015-06-30'],
          layer: 1,
          metadata: {},
        },
      }
      await append([gap])
      const all = await readAll()
      expect(new Set(all.map((event) => event.id)).size).toBe(all.length)
      const places = all.map((event) => [BigInt(event.transactionId), event.position] as const)
      for (const [index, [transaction, position]] of places.entries()) {
        const [previousTransaction, previous] = places[index - 1] ?? [-1n, -1n]
        expect(
          transaction > previousTransaction || (transaction === previousTransaction && position > previous),
        ).toBe(true)
      }
      expect((await store.read({ limit: 100, types: ['DataGapDetected'] })).map((event) => event.id)).toEqual(
        [gap.id],
      )
      expect((await store.read({ limit: 100, streams: ['symbol:P1'] })).length).toBe(10)
      expect(
        (await store.read({ limit: 100, from: 1_004, to: 1_006 })).map((event) => event.occurredAt).sort(),
      ).toEqual([1_004, 1_005, 1_005])
      expect(await store.countByType(undefined, { streams: ['symbol:P0', 'series:P0|bars|1d'] })).toEqual({
        DataGapDetected: 1,
        SymbolQualified: 10,
      })
      await expect(store.read({ limit: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    })

    it('gives strictly increasing versions to concurrent appenders of one stream', async () => {
      const writers = 12
      const each = 5
      await Promise.all(
        Array.from({ length: writers }, async (_, writer) => {
          for (let n = 0; n < each; n++) {
            await append([
              sampleEvent(`v${writer}-${n}-a`, 'symbol:BUSY'),
              sampleEvent(`v${writer}-${n}-other`, `symbol:BUSY${writer % 3}`),
              sampleEvent(`v${writer}-${n}-b`, 'symbol:BUSY'),
            ])
          }
        }),
      )
      const versions = (await store.readStream('symbol:BUSY')).map((event) => event.version)
      expect(versions).toEqual(Array.from({ length: writers * each * 2 }, (_, n) => n + 1))
    })

    it('stores a fact once when many say it at once', async () => {
      const results = await Promise.all(Array.from({ length: 10 }, () => append([sampleEvent('crowd')])))
      expect(results.reduce((sum, result) => sum + result.appended, 0)).toBe(1)
      expect(await store.readStream('symbol:crowd')).toHaveLength(1)
    })

    it('wakes listeners once the transaction commits', async () => {
      let woken = 0
      const stop = await sql.listen('varve_events', () => woken++)
      await append([sampleEvent('wake1'), sampleEvent('wake2')])
      await expect.poll(() => woken).toBe(1)
      await append([sampleEvent('wake1')]) // nothing new, nobody woken
      await append([sampleEvent('wake3')])
      await expect.poll(() => woken).toBe(2)
      await stop()
    })

    it('appends 1,000 events in one transaction quickly', async () => {
      const events = Array.from({ length: 1_000 }, (_, n) => sampleEvent(`many${n}`))
      const start = performance.now()
      const work = async (tx: SqlTx): Promise<void> => {
        await store.append(tx, events)
      }
      await sql.tx(work)
      expect(performance.now() - start).toBeLessThan(2_000)
    })
  })
}
