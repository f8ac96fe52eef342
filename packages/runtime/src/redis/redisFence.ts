import { type Clock, checkedOptions, systemClock } from '@varve/core'
import { lockFenced } from '../lock/fence.ts'
import { type RedisStoreSettings, redisStoreOptionsSchema } from '../options.ts'
import { lockKeys } from './redisLockStore.ts'
import { type RedisArgument, type RedisScripting, runScriptInTime } from './scripting.ts'

/** A Redis command with its arguments: `['SET', 'position:AAPL', '100']`. */
export type RedisCommand = readonly [name: string, ...values: RedisArgument[]]

/** Stands in front of keys that only the newest holder of a lock may change. */
export interface RedisFence {
  /**
   * Runs the commands, in order and as one step, unless a newer token of this name was seen or given out.
   *
   * @throws `LOCK_FENCED`; `STATE_STORE_UNAVAILABLE`, after which the write may or may not have happened
   */
  write(name: string, token: bigint, commands: readonly RedisCommand[]): Promise<void>
}

export interface RedisFenceOptions extends RedisStoreSettings {
  /** An `ioredis` client. Stays open. */
  readonly client: RedisScripting
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

const WRITE = `
local token = tonumber(ARGV[1])
local newest = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), tonumber(redis.call('GET', KEYS[2]) or '0'))
if token < newest then return string.format('%.0f', newest) end
redis.call('SET', KEYS[1], ARGV[1])
local at = 2
while at <= #ARGV do
  local count = tonumber(ARGV[at])
  redis.call(unpack(ARGV, at + 1, at + count))
  at = at + count + 1
end
return '0'`

/**
 * The check and the write are one script, so nothing comes between them. On a cluster the written keys must lie on the
 * lock's node: put the lock's name in braces into them.
 */
export function createRedisFence(options: RedisFenceOptions): RedisFence {
  const { client, clock = systemClock, ...data } = options
  const settings = checkedOptions(redisStoreOptionsSchema, data, 'the Redis fence')
  return {
    async write(name, token, commands) {
      const keys = lockKeys(settings.prefix, name)
      const newest = await runScriptInTime(
        { client, clock, timeoutMs: settings.operationTimeoutMs },
        WRITE,
        [keys.fence, keys.token],
        [String(token), ...commands.flatMap((command) => [command.length, ...command])],
      )
      if (newest !== '0') throw lockFenced(name, token, BigInt(String(newest)))
    },
  }
}
