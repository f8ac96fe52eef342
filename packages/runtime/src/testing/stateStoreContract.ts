import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createStateManager } from '../state/StateManager.ts'
import type { VersionedStateStore } from '../state/VersionedStateStore.ts'

/** A store under test. */
export interface StateStoreFixture {
  readonly store: VersionedStateStore
  /** The same content as another process would see it; `store` itself where only one process may open it. */
  readonly other: VersionedStateStore
  /** Lets this much time pass at the store, milliseconds. */
  pass(ms: number): Promise<void>
  /** Puts a text where a document is, as a fault of the disk would. */
  damage(namespace: string, key: string, text: string): Promise<void>
  cleanUp(): Promise<void>
}

/** What every state store promises, below and through a state manager. */
export function describeStateStoreContract(name: string, factory: () => Promise<StateStoreFixture>): void {
  describe(`state store contract: ${name}`, () => {
    let fixture: StateStoreFixture
    let store: VersionedStateStore
    beforeAll(async () => {
      fixture = await factory()
      store = fixture.store
    })
    afterAll(() => fixture.cleanUp())

    it('gives back what was put, by namespace and key', async () => {
      expect(await store.get('plain', 'a')).toBeUndefined()
      await store.put('plain', 'a', '{"x":1}')
      await store.put('plain 2', 'a', '2')
      expect(await store.get('plain', 'a')).toMatchObject({
        key: 'a',
        text: '{"x":1}',
        remainingMs: undefined,
      })
      expect(await fixture.other.get('plain 2', 'a')).toMatchObject({ text: '2' })
      expect(await store.delete('plain', 'a')).toBe(true)
      expect(await store.delete('plain', 'a')).toBe(false)
      expect(await store.get('plain', 'a')).toBeUndefined()
    })

    it('writes only over the version that was expected', async () => {
      const first = await store.put('cas', 'k', '1', { expectedVersion: 0 })
      expect(first).toBeGreaterThan(0)
      expect(await store.put('cas', 'k', 'no', { expectedVersion: 0 })).toBeUndefined()
      const second = await store.put('cas', 'k', '2', { expectedVersion: first! })
      expect(second).toBeDefined()
      expect(await store.put('cas', 'k', 'no', { expectedVersion: first! })).toBeUndefined()
      expect(await store.delete('cas', 'k', { expectedVersion: first! })).toBe(false)
      expect((await store.get('cas', 'k'))?.text).toBe('2')
      expect(await store.delete('cas', 'k', { expectedVersion: second! })).toBe(true)
    })

    it('uses no version twice, so that a deleted and rewritten document is a new one', async () => {
      const old = await store.put('aba', 'k', '1')
      await store.delete('aba', 'k')
      await store.put('aba', 'k', '1')
      expect(await store.put('aba', 'k', 'no', { expectedVersion: old! })).toBeUndefined()
    })

    it('lets exactly one of many writers win a version', async () => {
      const wins = await Promise.all(
        Array.from({ length: 10 }, (_, writer) =>
          (writer % 2 === 0 ? store : fixture.other).put('race', 'k', String(writer), { expectedVersion: 0 }),
        ),
      )
      expect(wins.filter((version) => version !== undefined)).toHaveLength(1)
    })

    it('forgets a document when its time has passed, for every method', async () => {
      const version = await store.put('ttl', 'short', '1', { ttlMs: 40 })
      await store.put('ttl', 'long', '1', { ttlMs: 60_000 })
      expect((await store.get('ttl', 'long'))?.remainingMs).toBeGreaterThan(50_000)
      await fixture.pass(80)
      expect(await store.get('ttl', 'short')).toBeUndefined()
      expect((await store.snapshot(['ttl'])).get('ttl')?.map(({ key }) => key)).toEqual(['long'])
      expect(await store.delete('ttl', 'short')).toBe(false)
      expect(await store.put('ttl', 'short', 'no', { expectedVersion: version! })).toBeUndefined()
      expect(await store.put('ttl', 'short', '2', { expectedVersion: 0 })).toBeDefined()
      expect((await store.get('ttl', 'short'))?.remainingMs).toBeUndefined()
    })

    it('reads and replaces whole namespaces', async () => {
      await store.put('whole', 'old', '1')
      await store.put('beside', 'b', '1')
      await store.replace(
        new Map([
          [
            'whole',
            [
              { key: 'new', text: '2' },
              { key: 'brief', text: '3', ttlMs: 60_000 },
            ],
          ],
          [
            'whole-2',
            [
              { key: 'Z', text: '4' },
              { key: 'a', text: '5' },
            ],
          ],
        ]),
      )
      const found = await store.snapshot(['whole', 'whole-2', 'beside', 'nothing'])
      expect(
        [...found].map(([space, entries]) => [space, entries.map(({ key, text }) => [key, text])]),
      ).toEqual([
        [
          'whole',
          [
            ['brief', '3'],
            ['new', '2'],
          ],
        ],
        [
          'whole-2',
          [
            ['Z', '4'],
            ['a', '5'],
          ],
        ],
        ['beside', [['b', '1']]],
        ['nothing', []],
      ])
      expect(await store.namespaces()).toEqual(expect.arrayContaining(['beside', 'whole', 'whole-2']))
      expect(await store.namespaces()).not.toContain('nothing')
      await store.replace(new Map([['whole', []]]))
      expect(await store.namespaces()).not.toContain('whole')
    })

    it('keeps any text as it is', async () => {
      const odd = [
        '"\\u0000 \\ud800 \\n"',
        JSON.stringify('Ünïcode 🜁 \\ % _ * ?'),
        '1e-7',
        'x'.repeat(200_000),
      ]
      for (const [place, text] of odd.entries()) {
        await store.put('odd', `key ${place} %_*?'"\\🜁`, text)
        expect((await fixture.other.get('odd', `key ${place} %_*?'"\\🜁`))?.text).toBe(text)
      }
    })

    it('loses none of many concurrent increments', async () => {
      const managers = [createStateManager({ store }), createStateManager({ store: fixture.other })]
      await Promise.all(
        Array.from({ length: 60 }, (_, turn) =>
          managers[turn % 2]!.update('counters', 'all', (count) => ((count as number | undefined) ?? 0) + 1),
        ),
      )
      expect(await managers[0]!.load('counters', 'all')).toBe(60)
    })

    it('loses increments without compare-and-set (control)', async () => {
      await Promise.all(
        Array.from({ length: 20 }, async () => {
          const found = await store.get('counters', 'naive')
          await store.put('counters', 'naive', String(Number(found?.text ?? '0') + 1))
        }),
      )
      expect(Number((await store.get('counters', 'naive'))?.text)).toBeLessThan(20)
    })

    it('restores a check-point, and refuses a damaged one', async () => {
      const manager = createStateManager({ store })
      await manager.save('orders', 'open:1', { quantity: '100' })
      await manager.save('orders', 'open:2', { quantity: '5' }, { ttlMs: 60_000 })
      const made = await manager.checkpoint('evening', ['orders'])
      expect(made).toMatchObject({ entries: 2, checksum: expect.stringMatching(/^[0-9a-f]{64}$/) })
      await manager.save('orders', 'open:1', { quantity: '7' })
      await manager.save('orders', 'open:3', { quantity: '1' })
      await manager.save('elsewhere', 'k', 1)
      expect(await manager.restore('evening')).toEqual({ entries: 2 })
      expect(await manager.keys('orders')).toEqual(['open:1', 'open:2'])
      expect(await manager.load('orders', 'open:1')).toEqual({ quantity: '100' })
      expect(await manager.load('elsewhere', 'k')).toBe(1)
      expect(await manager.checkpoints()).toEqual(['evening'])

      const text = (await store.get('.checkpoints', 'evening'))!.text
      await fixture.damage('.checkpoints', 'evening', text.replace('100', '900'))
      await expect(manager.restore('evening')).rejects.toMatchObject({ code: 'STATE_CHECKPOINT_DAMAGED' })
      await fixture.damage('.checkpoints', 'evening', text.slice(0, -20))
      await expect(manager.restore('evening')).rejects.toMatchObject({ code: 'STATE_CHECKPOINT_DAMAGED' })
      expect(await manager.load('orders', 'open:1')).toEqual({ quantity: '100' })
      await expect(manager.restore('never')).rejects.toMatchObject({ code: 'STATE_CHECKPOINT_UNKNOWN' })
    })
  })
}
