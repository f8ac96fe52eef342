import { fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pass } from 'node:timers/promises'
import fc from 'fast-check'
import { Redis } from 'ioredis'
import { describe, expect, it } from 'vitest'
import { createFileStateStore, createMemoryStateStore, createStateManager } from '../src/index.ts'
import { createRedisStateStore, redisClientOptions } from '../src/redis/index.ts'
import { type StateStoreFixture, describeStateStoreContract } from '../src/testing/index.ts'
import { createTestDatabase } from './support/databases.ts'
import { stateInPostgres } from './support/stateInPostgres.ts'

const redisUrl = process.env.VARVE_TEST_REDIS_URL

const memory = async (): Promise<StateStoreFixture> => {
  const store = createMemoryStateStore()
  return {
    store,
    other: store,
    pass: (ms) => pass(ms),
    damage: async (namespace, key, text) => void (await store.put(namespace, key, text)),
    cleanUp: () => store.close(),
  }
}

const file = async (): Promise<StateStoreFixture> => {
  const folder = mkdtempSync(join(tmpdir(), 'varve-state-'))
  const store = createFileStateStore({ path: join(folder, 'state.json') })
  return {
    store,
    other: store,
    pass: (ms) => pass(ms),
    damage: async (namespace, key, text) => void (await store.put(namespace, key, text)),
    async cleanUp() {
      await store.close()
      rmSync(folder, { recursive: true })
    },
  }
}

const postgres = async (): Promise<StateStoreFixture> => {
  const db = await createTestDatabase('postgres')
  return stateInPostgres(db.sql, () => db.drop())
}

const redis = async (): Promise<StateStoreFixture> => {
  const client = new Redis(redisUrl!, redisClientOptions())
  const second = new Redis(redisUrl!, redisClientOptions())
  const prefix = `test-${randomUUID()}`
  const store = createRedisStateStore({ client, prefix })
  return {
    store,
    other: createRedisStateStore({ client: second, prefix }),
    pass: (ms) => pass(ms),
    damage: async (namespace, key, text) => void (await store.put(namespace, key, text)),
    async cleanUp() {
      client.disconnect()
      second.disconnect()
    },
  }
}

describeStateStoreContract('memory', memory)
describeStateStoreContract('file', file)
describeStateStoreContract('postgres', postgres)
describe.skipIf(redisUrl === undefined)('state in Redis', () => {
  describeStateStoreContract('redis', redis)

  it('fails in time when the server is away', async () => {
    const client = new Redis({ port: 1, maxRetriesPerRequest: null })
    client.on('error', () => undefined)
    const store = createRedisStateStore({ client, operationTimeoutMs: 100 })
    await expect(store.get('a', 'b')).rejects.toMatchObject({
      code: 'STATE_STORE_UNAVAILABLE',
      retryable: true,
    })
    client.disconnect()
  })
})

const places: [string, () => Promise<StateStoreFixture>][] = [
  ['memory', memory],
  ['file', file],
  ['postgres', postgres],
]
if (redisUrl !== undefined) places.push(['redis', redis])

describe.each(places)('any JSON in %s', (_name, make) => {
  it('comes back as it was, and any increments add up', async () => {
    const fixture = await make()
    const managers = [
      createStateManager({ store: fixture.store }),
      createStateManager({ store: fixture.other }),
    ]
    let run = 0
    await fc.assert(
      fc.asyncProperty(
        fc.jsonValue({ stringUnit: 'binary' }),
        fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 12 }),
        async (value, steps) => {
          const key = `run-${run++}`
          await managers[0]!.save('any', key, value)
          // As JSON text, where -0 is 0.
          expect(JSON.stringify(await managers[1]!.load('any', key))).toBe(JSON.stringify(value))
          await Promise.all(
            steps.map((step, turn) =>
              managers[turn % 2]!.update('sums', key, (sum) => ((sum as number | undefined) ?? 0) + step),
            ),
          )
          const sum = steps.reduce((total, step) => total + step, 0)
          expect((await managers[0]!.load('sums', key)) ?? 0).toBe(sum)
        },
      ),
      { numRuns: 25 },
    )
    await fixture.cleanUp()
  })
})

describe('state in a file', () => {
  const withFolder = async (work: (path: string) => Promise<void>): Promise<void> => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-state-'))
    try {
      await work(join(folder, 'deep', 'state.json'))
    } finally {
      rmSync(folder, { recursive: true })
    }
  }

  it('is there after the store was closed and opened again, with its versions still growing', () =>
    withFolder(async (path) => {
      const first = createFileStateStore({ path })
      const version = await first.put('a', 'k', '1')
      await first.close()
      await first.close()
      await using second = createFileStateStore({ path })
      expect(await second.get('a', 'k')).toMatchObject({ text: '1', version })
      expect(await second.put('a', 'k', '2')).toBeGreaterThan(version!)
    }))

  it('belongs to one store at a time', () =>
    withFolder(async (path) => {
      const first = createFileStateStore({ path })
      await first.put('a', 'k', '1')
      const second = createFileStateStore({ path })
      await expect(second.get('a', 'k')).rejects.toMatchObject({
        code: 'STATE_FILE_LOCKED',
        details: { pid: process.pid },
      })
      await first.close()
      await expect(first.get('a', 'k')).rejects.toMatchObject({ code: 'STATE_CLOSED' })
      // The attempt that failed did not spoil it.
      expect(await second.get('a', 'k')).toMatchObject({ text: '1' })
      await second.close()
    }))

  it('is taken over from a dead process, by one of many', () =>
    withFolder(async (path) => {
      const first = createFileStateStore({ path })
      await first.put('a', 'k', '1')
      const lock = readFileSync(`${path}.lock`, 'utf8')
      await first.close()
      // A pid that does not exist on Linux; elsewhere most likely not either.
      writeFileSync(`${path}.lock`, lock.replace(/"pid":\d+/, '"pid":4194305'))
      const takers = Array.from({ length: 6 }, () => createFileStateStore({ path }))
      const results = await Promise.allSettled(takers.map((taker) => taker.get('a', 'k')))
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
      for (const taker of takers) await taker.close()
    }))

  it('refuses to write once somebody else took it over', () =>
    withFolder(async (path) => {
      const store = createFileStateStore({ path })
      await store.put('a', 'k', '1')
      const lock = JSON.parse(readFileSync(`${path}.lock`, 'utf8')) as object
      writeFileSync(`${path}.lock`, JSON.stringify({ ...lock, token: 'other' }))
      await expect(store.put('a', 'k', '2')).rejects.toMatchObject({ code: 'STATE_FILE_LOCKED' })
      expect((await store.get('a', 'k'))?.text).toBe('1')
      await store.close()
    }))

  it('is refused when damaged, and opens once that is repaired', () =>
    withFolder(async (path) => {
      const store = createFileStateStore({ path })
      await store.put('a', 'k', '"value"')
      await store.close()
      const good = readFileSync(path, 'utf8')
      const again = createFileStateStore({ path })
      for (const bad of [good.replace('value', 'valve'), good.slice(0, 40), '', '{}']) {
        writeFileSync(path, bad)
        await expect(again.get('a', 'k')).rejects.toMatchObject({ code: 'STATE_FILE_DAMAGED' })
      }
      writeFileSync(path, good)
      expect((await again.get('a', 'k'))?.text).toBe('"value"')
      await again.close()
    }))

  it('shows nothing that could not be written', () =>
    withFolder(async (path) => {
      const store = createFileStateStore({ path })
      await store.put('a', 'k', '1')
      rmSync(join(path, '..'), { recursive: true })
      await expect(store.put('a', 'k', '2')).rejects.toThrow()
      expect((await store.get('a', 'k'))?.text).toBe('1')
      await store.close()
    }))

  it('holds everything that was stored when its process was killed, and belongs to the next one at once', () =>
    withFolder(async (path) => {
      let stored = 0
      for (let kills = 0; kills < 3; kills++) {
        const child = fork(join(import.meta.dirname, 'support/stateChild.ts'), [path], {
          execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
        })
        const goal = stored + 30
        child.on('message', (count: number) => (stored = count))
        await expect.poll(() => stored, { timeout: 20_000 }).toBeGreaterThan(goal)
        const ended = once(child, 'close')
        child.kill('SIGKILL')
        await ended
        await using state = createStateManager({ store: createFileStateStore({ path }) })
        const found = (await state.load('counters', 'all')) as number
        // The last one may have been stored without being told.
        expect([stored, stored + 1]).toContain(found)
        stored = found
      }
    }))
})
