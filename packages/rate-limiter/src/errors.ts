import { VarveError } from '@varve/core'

export function quotaOptionsInvalid(what: string, found: unknown): VarveError {
  return new VarveError(`expected ${what}, was ${String(found)}; correct the rate limit`, {
    code: 'QUOTA_OPTIONS_INVALID',
    details: { expected: what, found: String(found) },
  })
}

export function quotaKeyUnknown(key: string, known: readonly string[]): VarveError {
  return new VarveError(
    `no rate limit is set for "${key}"; add one, or pass unknownKey: 'allow' (known: ${known.join(', ') || 'none'})`,
    { code: 'QUOTA_KEY_UNKNOWN', details: { key, known } },
  )
}

export function quotaQueueFull(key: string, maxQueue: number): VarveError {
  return new VarveError(
    `${maxQueue} callers already wait for a permit of "${key}"; ask for less at once or raise maxQueue`,
    { code: 'QUOTA_QUEUE_FULL', retryable: true, details: { key, maxQueue, countsForBreaker: false } },
  )
}

export function quotaClosed(key: string): VarveError {
  return new VarveError(`the rate limiter was closed while "${key}" was asked for; make a new one`, {
    code: 'QUOTA_CLOSED',
    details: { key, countsForBreaker: false },
  })
}
