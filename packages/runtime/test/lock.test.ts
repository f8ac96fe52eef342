import { randomUUID } from 'node:crypto'
import { type AddressInfo, createServer } from 'node:net'
import { setTimeout as pass } from 'node:timers/promises'
import { isVarveError } from '@varve/core'
import { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  assertFence,
  createLock,
  createMemoryLockStore,
  createPostgresLockStore,
  runStartupChecks,
  sqlCheck,
} from '../src/index.ts'
import { createRedisFence, createRedisLockStore, redisClientOptions } from '../src/redis/index.ts'
import { describeLockContract } from '../src/testing/index.ts'
import { type TestDatabase, createTestDatabase } from './support/databases.ts'
import { protectedInMemory, protectedInPostgres, protectedInRedis } from './support/protectedValue.ts'

const redisUrl = process.env.VARVE_TEST_REDIS_URL

describeLockContract('memory', async () => {
  const store = createMemoryLockStore()
  return {
    createLock: (options) => createLock({ store, ...options }),
    pass: (ms) => pass(ms),
    ...protectedInMemory(),
    cleanUp: async () => undefined,
  }
})

describeLockContract('postgres', async () => {
  const db = await createTestDatabase('postgres')
  const store = createPostgresLockStore({ sql: db.sql })
  return {
    createLock: (options) => createLock({ store, ...options }),
    pass: (ms) => pass(ms),
    ...protectedInPostgres(db.sql),
    cleanUp: () => db.drop(),
  }
})

describe.skipIf(redisUrl === undefined)('locks in Redis', () => {
  describeLockContract('redis', async () => {
    const client = new Redis(redisUrl!, redisClientOptions())
    const prefix = `test-${randomUUID()}`
    const store = createRedisLockStore({ client, prefix })
    return {
      createLock: (options) => createLock({ store, ...options }),
      pass: (ms) => pass(ms),
      ...protectedInRedis(client, prefix),
      cleanUp: async () => client.disconnect(),
    }
  })

  it('work after the server forgot its scripts', async () => {
    const client = new Redis(redisUrl!, redisClientOptions())
    const prefix = `test-${randomUUID()}`
    const lock = createLock({ store: createRedisLockStore({ client, prefix }) })
    const fence = createRedisFence({ client, prefix })
    const handle = await lock.acquire('flushed')
    await client.script('FLUSH')
    await fence.write('flushed', handle.token, [['SET', `${prefix}:value`, Buffer.from([0, 255])]])
    await client.script('FLUSH')
    expect(await handle.release()).toBe(true)
    expect(await client.getBuffer(`${prefix}:value`)).toEqual(Buffer.from([0, 255]))
    client.disconnect()
  })

  it('keep growing tokens when the server lost everything', async () => {
    const client = new Redis(redisUrl!, redisClientOptions())
    const prefix = `test-${randomUUID()}`
    const lock = createLock({ store: createRedisLockStore({ client, prefix }) })
    const before = await lock.acquire('lost')
    await client.del(await client.keys(`${prefix}:*`))
    const after = await lock.acquire('lost')
    expect(after.token).toBeGreaterThan(before.token)
    expect(await before.release()).toBe(false)
    expect(await after.release()).toBe(true)
    client.disconnect()
  })
})

describe('a Redis that is away', () => {
  const settings = { operationTimeoutMs: 150, ttlMs: 1_000, heartbeatMs: 100 }

  it('fails an acquire with a retryable error when nobody listens, whatever the client would do', async () => {
    // Left to itself this client queues the command and waits without an end.
    const client = new Redis({ port: 1, maxRetriesPerRequest: null })
    client.on('error', () => undefined)
    const lock = createLock({ store: createRedisLockStore({ client }), ...settings })
    await expect(lock.acquire('any')).rejects.toMatchObject({
      code: 'LOCK_STORE_UNAVAILABLE',
      retryable: true,
    })
    client.disconnect()
  })

  it('fails in time when the server accepts and never answers', async () => {
    const server = createServer(() => undefined)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo
    const client = new Redis({
      port,
      ...redisClientOptions({ commandTimeoutMs: 100 }),
      enableReadyCheck: false,
    })
    client.on('error', () => undefined)
    const lock = createLock({ store: createRedisLockStore({ client }), ...settings })
    const fence = createRedisFence({ client, operationTimeoutMs: 150 })
    await expect(lock.acquire('any')).rejects.toSatisfy((error) =>
      isVarveError(error, 'LOCK_STORE_UNAVAILABLE'),
    )
    await expect(fence.write('any', 1n, [['SET', 'a', 'b']])).rejects.toMatchObject({
      code: 'STATE_STORE_UNAVAILABLE',
    })
    client.disconnect()
    server.close()
  })
})

describe('the fence in Postgres', () => {
  let db: TestDatabase
  beforeAll(async () => {
    db = await createTestDatabase('postgres')
  })
  afterAll(() => db.drop())

  it('refuses an old holder even before the new one has written', async () => {
    const lock = createLock({ store: createPostgresLockStore({ sql: db.sql }) })
    const old = await lock.acquire('early')
    await old.release()
    await using _new = await lock.acquire('early')
    await expect(db.sql.tx((tx) => assertFence(tx, 'early', old.token))).rejects.toMatchObject({
      code: 'LOCK_FENCED',
    })
  })

  it('makes a newer holder wait until a write that passed is committed', async () => {
    const order: string[] = []
    const passed = Promise.withResolvers<undefined>()
    const commit = Promise.withResolvers<undefined>()
    const older = db.sql.tx(async (tx) => {
      await assertFence(tx, 'queue', 1n)
      passed.resolve(undefined)
      await commit.promise
      order.push('older commits')
    })
    await passed.promise
    const newer = db.sql.tx(async (tx) => {
      await assertFence(tx, 'queue', 2n)
      order.push('newer begins')
    })
    // Wait until the database itself says that the newer one stands in line.
    await expect
      .poll(async () => {
        const { rows } = await db.sql.query<{ waiting: bigint }>(
          "SELECT count(*) AS waiting FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()",
        )
        return rows[0]!.waiting
      })
      .toBe(1n)
    commit.resolve(undefined)
    await Promise.all([older, newer])
    expect(order).toEqual(['older commits', 'newer begins'])
  })

  it('passes the start-up check', async () => {
    const { results } = await runStartupChecks([sqlCheck({ sql: db.sql })])
    expect(results).toMatchObject([{ status: 'ok', message: expect.stringContaining('Postgres 1') }])
  })

  it('fences a lock that lives elsewhere', async () => {
    await db.sql.tx((tx) => assertFence(tx, 'of redis', 7n))
    await expect(db.sql.tx((tx) => assertFence(tx, 'of redis', 6n))).rejects.toMatchObject({
      code: 'LOCK_FENCED',
      details: { token: '6', newest: '7' },
    })
    await db.sql.tx((tx) => assertFence(tx, 'of redis', 7n))
  })
})
