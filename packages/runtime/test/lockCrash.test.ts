import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { afterAll, describe, expect, it } from 'vitest'
import { createLock, createPostgresLockStore } from '../src/index.ts'
import { createRedisLockStore, redisClientOptions } from '../src/redis/index.ts'
import { createTestDatabase } from './support/databases.ts'
import { protectedInPostgres, protectedInRedis } from './support/protectedValue.ts'

const redisUrl = process.env.VARVE_TEST_REDIS_URL
const TTL_MS = 1_500

const places = {
  async postgres() {
    const db = await createTestDatabase('postgres')
    return {
      url: db.url,
      prefix: '',
      lock: createLock({ store: createPostgresLockStore({ sql: db.sql }) }),
      guarded: protectedInPostgres(db.sql),
      close: () => db.drop(),
    }
  },
  async redis() {
    const client = new Redis(redisUrl!, redisClientOptions())
    const prefix = `test-${randomUUID()}`
    return {
      url: redisUrl!,
      prefix,
      lock: createLock({ store: createRedisLockStore({ client, prefix }) }),
      guarded: protectedInRedis(client, prefix),
      close: async () => client.disconnect(),
    }
  },
}

const children = new Set<ChildProcess>()
afterAll(() => {
  for (const child of children) child.kill('SIGKILL')
})

/** A process that holds the lock. */
async function holder(place: string, url: string, prefix: string, name: string) {
  const child = fork(
    join(import.meta.dirname, 'support/lockChild.ts'),
    [place, url, prefix, name, String(TTL_MS)],
    {
      execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    },
  )
  children.add(child)
  const heard: string[] = []
  child.on('message', (message: string) => heard.push(message))
  await expect.poll(() => heard.length, { timeout: 20_000 }).toBe(1)
  return {
    child,
    token: BigInt(heard[0]!),
    ask: (message: string) => void child.send(message),
    answer: async (message: string): Promise<string> => {
      await expect
        .poll(() => heard.some((line) => line.startsWith(`${message}: `)), { timeout: 20_000 })
        .toBe(true)
      return heard.find((line) => line.startsWith(`${message}: `))!.slice(message.length + 2)
    },
    async kill() {
      const ended = once(child, 'exit')
      child.kill('SIGKILL')
      await ended
      children.delete(child)
    },
  }
}

// Side by side: most of the time is spent waiting for a lock to end.
describe.concurrent.each(['postgres', 'redis'] as const)('a lock in %s and real processes', (place) => {
  const skip = process.platform === 'win32' || (place === 'redis' && redisUrl === undefined)

  it.skipIf(skip)('is free again after its holder was killed, with a larger token', async () => {
    const { url, prefix, lock, close } = await places[place]()
    const victim = await holder(place, url, prefix, 'killed')
    // While it lives it keeps the lock, beyond the time of one renewal.
    await expect(lock.acquire('killed', { waitMs: TTL_MS * 1.2 })).rejects.toMatchObject({
      code: 'LOCK_TIMEOUT',
    })
    await victim.kill()
    await using next = await lock.acquire('killed', { waitMs: 20_000 })
    expect(next.token).toBeGreaterThan(victim.token)
    await next.release()
    await close()
  })

  it.skipIf(skip)('refuses a holder that was stopped and woke up after the next one had begun', async () => {
    const { url, prefix, lock, guarded, close } = await places[place]()
    const zombie = await holder(place, url, prefix, 'stopped')
    zombie.ask('write before')
    expect(await zombie.answer('write before')).toBe('done')

    zombie.child.kill('SIGSTOP')
    await using next = await lock.acquire('stopped', { waitMs: 20_000 })
    expect(next.token).toBeGreaterThan(zombie.token)
    await guarded.write('stopped', next.token, 'ours')
    // The first thing it does on waking is the write it was about to do.
    zombie.ask('write late')
    zombie.child.kill('SIGCONT')
    expect(await zombie.answer('write late')).toBe('LOCK_FENCED')
    expect(await guarded.read('stopped')).toBe('ours')
    zombie.ask('check')
    expect(await zombie.answer('check')).toBe('LOCK_LOST')
    await next.check()

    // Control: a lock alone, without the fence, lets the very same process overwrite the new holder's value.
    zombie.ask('writeUnguarded late')
    expect(await zombie.answer('writeUnguarded late')).toBe('done')
    expect(await guarded.read('stopped')).toBe('late')
    await zombie.kill()
    await next.release()
    await close()
  })
})
