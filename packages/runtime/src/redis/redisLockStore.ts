import { checkedOptions } from '@varve/core'
import type { LockStore } from '../lock/LockStore.ts'
import { type RedisStoreSettings, redisStoreOptionsSchema } from '../options.ts'
import { type RedisScripting, runScript } from './scripting.ts'

/** Keys of one lock; the braces keep them on one node of a cluster. */
export function lockKeys(
  prefix: string,
  name: string,
): { readonly held: string; readonly token: string; readonly fence: string } {
  const base = `${prefix}:lock:{${name}}`
  return { held: `${base}:held`, token: `${base}:token`, fence: `${base}:fence` }
}

// Tokens follow the server's clock in microseconds (exact in a double until the year 2255), so they grow even when a
// server without persistence lost everything.
const ACQUIRE = `
local held = redis.call('GET', KEYS[1])
if held then
  local owner, token = string.match(held, '^(.*) (%d+)$')
  if owner == ARGV[1] then
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
    return {1, token}
  end
  return {0, tostring(redis.call('PTTL', KEYS[1]))}
end
local time = redis.call('TIME')
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
local token = string.format('%.0f', math.max(last + 1, time[1] * 1000000 + time[2]))
redis.call('SET', KEYS[2], token)
redis.call('SET', KEYS[1], ARGV[1] .. ' ' .. token, 'PX', ARGV[2])
return {1, token}`

const RENEW = `
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^(.*) %d+$') ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

const RELEASE = `
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^(.*) %d+$') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

export interface RedisLockStoreOptions extends Pick<RedisStoreSettings, 'prefix'> {
  /** An `ioredis` client, best made with `redisClientOptions()`. Stays open. */
  readonly client: RedisScripting
}

/** Locks as keys that end by themselves. Time is the server's; each step is one script. */
export function createRedisLockStore(options: RedisLockStoreOptions): LockStore {
  const { client, ...data } = options
  const { prefix } = checkedOptions(redisStoreOptionsSchema, data, 'the Redis lock store')
  const whole = (ms: number): number => Math.max(1, Math.ceil(ms))
  return {
    async tryAcquire(name, owner, ttlMs) {
      const { held, token } = lockKeys(prefix, name)
      const [granted, text] = (await runScript(client, ACQUIRE, [held, token], [owner, whole(ttlMs)])) as [
        number,
        string,
      ]
      return granted === 1
        ? { granted: true, token: BigInt(text) }
        : { granted: false, freeInMs: Math.max(0, Number(text)) }
    },
    async renew(name, owner, ttlMs) {
      return (await runScript(client, RENEW, [lockKeys(prefix, name).held], [owner, whole(ttlMs)])) === 1
    },
    async release(name, owner) {
      return (await runScript(client, RELEASE, [lockKeys(prefix, name).held], [owner])) === 1
    },
  }
}
