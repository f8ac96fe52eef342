/**
 * A process that takes a lock and does what it is told: `check`, `write VALUE`, `writeUnguarded VALUE`. Arguments: where
 * the lock is kept, its connection string, prefix of keys, name, time the lock lasts.
 */
import { isVarveError } from '@varve/core'
import { Redis } from 'ioredis'
import { createLock, createPostgresLockStore } from '../../src/index.ts'
import { createRedisLockStore, redisClientOptions } from '../../src/redis/index.ts'
import { protectedInPostgres, protectedInRedis } from './protectedValue.ts'
import { sqlOverPg } from './sqlOverPg.ts'

const [, , place, url, prefix, name, ttl] = process.argv as string[] as [
  string,
  string,
  'postgres' | 'redis',
  string,
  string,
  string,
  string,
]
const ttlMs = Number(ttl)
const open = () => {
  if (place === 'redis') {
    const client = new Redis(url, redisClientOptions())
    return { store: createRedisLockStore({ client, prefix }), guarded: protectedInRedis(client, prefix) }
  }
  const sql = sqlOverPg(url, 2)
  return { store: createPostgresLockStore({ sql }), guarded: protectedInPostgres(sql) }
}
const { store, guarded } = open()
const handle = await createLock({ store, ttlMs, heartbeatMs: ttlMs / 4 }).acquire(name)
process.send!(String(handle.token))
process.on('message', (message: string) => {
  const [command, value = ''] = message.split(' ')
  const act = async (): Promise<void> => {
    if (command === 'check') await handle.check()
    else if (command === 'write') await guarded.write(name, handle.token, value)
    else await guarded.writeUnguarded(name, value)
  }
  act().then(
    () => process.send!(`${message}: done`),
    (error: unknown) => process.send!(`${message}: ${isVarveError(error) ? error.code : String(error)}`),
  )
})
process.on('disconnect', () => process.exit(0))
