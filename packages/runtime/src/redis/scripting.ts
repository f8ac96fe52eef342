import { type Clock, VarveError, errorMessage } from '@varve/core'
import { withDeadline } from '../deadline.ts'

export type RedisArgument = string | number | Uint8Array

/** The part of a Redis client that is used; an `ioredis` client fits. */
export interface RedisScripting {
  eval(script: string, keyCount: number, ...values: (string | number | Buffer)[]): Promise<unknown>
}

/**
 * Runs a Lua script: one atomic step at the server. Always by its text, which the server compiles once: a name would
 * save few bytes and fail whenever the server forgot it.
 */
export function runScript(
  client: RedisScripting,
  script: string,
  keys: readonly string[],
  values: readonly RedisArgument[] = [],
): Promise<unknown> {
  const all = [...keys, ...values].map((value) =>
    typeof value === 'string' || typeof value === 'number' ? value : Buffer.from(value),
  )
  return client.eval(script, keys.length, ...all)
}

/** The same inside a limit. @throws `STATE_STORE_UNAVAILABLE` */
export async function runScriptInTime(
  options: { readonly client: RedisScripting; readonly clock: Clock; readonly timeoutMs: number },
  script: string,
  keys: readonly string[],
  values: readonly RedisArgument[] = [],
): Promise<unknown> {
  const { client, clock, timeoutMs } = options
  try {
    return await withDeadline(
      { clock, timeoutMs, expired: () => new Error(`no answer within ${timeoutMs} ms`) },
      () => runScript(client, script, keys, values),
    )
  } catch (error) {
    throw new VarveError(
      `Redis did not do its part: ${errorMessage(error)}; see whether it runs and can be reached`,
      { code: 'STATE_STORE_UNAVAILABLE', retryable: true, cause: error },
    )
  }
}
