import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createMemoryStateStore } from './memoryStateStore.ts'
import { createStateManager } from './StateManager.ts'
import { globMatcher } from './glob.ts'

const setUp = () => {
  const clock = createTestClock()
  const store = createMemoryStateStore({ clock })
  return { clock, store, state: createStateManager({ store, clock }) }
}

describe('state manager', () => {
  it('finds keys by pattern, inside one namespace', async () => {
    const { state } = setUp()
    for (const key of ['orders:1', 'orders:22', 'order', 'fills:1']) await state.save('book', key, 1)
    await state.save('other', 'orders:3', 1)
    expect(await state.keys('book', 'orders:*')).toEqual(['orders:1', 'orders:22'])
    expect(await state.keys('book', 'orders:?')).toEqual(['orders:1'])
    expect(await state.keys('book')).toEqual(['fills:1', 'order', 'orders:1', 'orders:22'])
    expect(await state.removeMatching('book', '*:1')).toBe(2)
    expect(await state.keys('book')).toEqual(['order', 'orders:22'])
  })

  it('updates, creates and removes in one step', async () => {
    const { state } = setUp()
    expect(await state.update('a', 'k', (found) => [found ?? null])).toEqual([null])
    expect(await state.update('a', 'k', async (found) => ({ found }))).toEqual({ found: [null] })
    expect(await state.update('a', 'k', () => undefined)).toBeUndefined()
    expect(await state.update('a', 'k', () => undefined)).toBeUndefined()
    expect(await state.load('a', 'k')).toBeUndefined()
    await expect(
      state.update('a', 'k', () => {
        throw new Error('mine')
      }),
    ).rejects.toThrow('mine')
    expect(await state.update('a', 'k', () => 1)).toBe(1)
  })

  it('keeps the time a document has left through an update, unless told otherwise', async () => {
    const { clock, state } = setUp()
    await state.save('a', 'k', 1, { ttlMs: 100 })
    await clock.advance(60)
    await state.update('a', 'k', () => 2)
    await clock.advance(39)
    expect(await state.load('a', 'k')).toBe(2)
    await clock.advance(1)
    expect(await state.load('a', 'k')).toBeUndefined()
    await state.save('a', 'k', 1, { ttlMs: 100 })
    await state.update('a', 'k', () => 2, { ttlMs: 1_000 })
    await clock.advance(500)
    expect(await state.load('a', 'k')).toBe(2)
  })

  it('gives up an update that others always win', async () => {
    const { store } = setUp()
    const clock = createTestClock(0, { autoAdvance: true })
    const state = createStateManager({ store, clock, updateAttempts: 5 })
    const updating = state.update('a', 'k', async () => {
      await store.put('a', 'k', '"theirs"')
      return 'mine'
    })
    await expect(updating).rejects.toMatchObject({ code: 'STATE_CONFLICT', retryable: true })
    expect(state.metrics().conflicts).toBe(5)
    expect(await state.load('a', 'k')).toBe('theirs')
  })

  it('sets only what it has seen', async () => {
    const { state } = setUp()
    const version = await state.compareAndSet('a', 'k', 0, 'first')
    expect(await state.compareAndSet('a', 'k', 0, 'no')).toBeUndefined()
    expect(await state.read('a', 'k')).toEqual({ value: 'first', version })
    expect(await state.compareAndSet('a', 'k', version!, 'second')).toBeGreaterThan(version!)
  })

  it('lets what had a time when saved run out after a restore as it would have', async () => {
    const { clock, state } = setUp()
    await state.save('a', 'brief', 1, { ttlMs: 100 })
    await state.save('a', 'longer', 1, { ttlMs: 1_000 })
    await state.save('a', 'always', 1)
    await state.checkpoint('now')
    await clock.advance(200)
    expect(await state.restore('now')).toEqual({ entries: 2 })
    await clock.advance(799)
    expect(await state.keys('a')).toEqual(['always', 'longer'])
    await clock.advance(1)
    expect(await state.keys('a')).toEqual(['always'])
  })

  it('counts what it does', async () => {
    const { state } = setUp()
    await state.save('a', 'k', 1)
    await state.load('a', 'k')
    await state.load('a', 'none')
    await state.compareAndSet('a', 'k', 0, 2)
    await state.remove('a', 'k')
    await state.checkpoint('c')
    await state.restore('c')
    expect(state.metrics()).toEqual({
      reads: 2,
      hits: 1,
      writes: 1,
      deletes: 1,
      conflicts: 1,
      checkpoints: 1,
      restores: 1,
    })
  })

  const circle: unknown[] = []
  circle.push({ circle })
  it.each([
    ['undefined', { a: undefined }],
    ['a hole', [1, , 2]],
    ['NaN', [Number.NaN]],
    ['a date', new Date(0)],
    ['a map', new Map()],
    ['a function', { f: () => 1 }],
    ['a bigint', 1n],
    ['a circle', circle],
  ])('refuses %s, which JSON would change', async (_name, value) => {
    const { state } = setUp()
    await expect(state.save('a', 'k', value)).rejects.toMatchObject({ code: 'STATE_NOT_JSON' })
  })

  it.each([
    ['', 'k'],
    ['.checkpoints', 'k'],
    ['a', ''],
    ['a', 'a\u0000b'],
    ['a', '\ud800'],
    ['a b', 'k'],
    ['a', 'x'.repeat(513)],
  ])('refuses the namespace "%s" with the key "%s"', async (namespace, key) => {
    const { state } = setUp()
    await expect(state.save(namespace, key, 1)).rejects.toMatchObject({ code: 'STATE_KEY_INVALID' })
  })

  it('refuses a document that is too large or a time that is none', async () => {
    const { store, state } = setUp()
    const small = createStateManager({ store, valueBytes: 10 })
    await expect(small.save('a', 'k', 'x'.repeat(9))).rejects.toMatchObject({ code: 'STATE_TOO_LARGE' })
    await expect(state.save('a', 'k', 1, { ttlMs: -1 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })

  it('hands out copies', async () => {
    const { state } = setUp()
    const mine = { list: [1] }
    await state.save('a', 'k', mine)
    mine.list.push(2)
    const found = (await state.load('a', 'k')) as typeof mine
    found.list.push(3)
    expect(await state.load('a', 'k')).toEqual({ list: [1] })
  })
})

describe('key patterns', () => {
  it('mean what the obvious regular expression means', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b', ':', '*', '?', '.', '🜁'), maxLength: 10 })
    fc.assert(
      fc.property(text, text, (pattern, key) => {
        const expression = [...pattern]
          .map((part) => (part === '*' ? '.*' : part === '?' ? '.' : part.replace('.', '\\.')))
          .join('')
        expect(globMatcher(pattern)(key)).toBe(new RegExp(`^${expression}$`, 'su').test(key))
      }),
      { numRuns: 2_000 },
    )
  })

  it('stay quick on a pattern made to be slow', () => {
    expect(globMatcher('a*'.repeat(100) + 'b')('a'.repeat(512))).toBe(false)
  })
})
