import { checkedOptions } from '@varve/core'
import type { z } from 'zod'
import { redisClientOptionsSchema } from '../options.ts'

/** What {@link redisClientOptions} sets of the options of `ioredis`; by shape, since that is an optional peer. */
export interface FailingRedisOptions {
  readonly connectTimeout: number
  readonly commandTimeout: number
  readonly maxRetriesPerRequest: number
  readonly autoResendUnfulfilledCommands: boolean
  readonly retryStrategy: (times: number) => number
}

/**
 * Options for an `ioredis` client that fails in time instead of waiting for a server that is away. By default such a
 * client queues commands without an end, and repeats those that got no answer when it is back: a write that was given
 * up would happen minutes later.
 */
export function redisClientOptions(
  options: z.input<typeof redisClientOptionsSchema> = {},
): FailingRedisOptions {
  const settings = checkedOptions(redisClientOptionsSchema, options, 'the Redis client')
  return {
    connectTimeout: settings.connectTimeoutMs,
    commandTimeout: settings.commandTimeoutMs,
    // Commands wait for the first connection and for one more; then they fail.
    maxRetriesPerRequest: 1,
    autoResendUnfulfilledCommands: false,
    retryStrategy: (times) => Math.min(times * settings.reconnectDelayMs, settings.maxReconnectDelayMs),
  }
}
