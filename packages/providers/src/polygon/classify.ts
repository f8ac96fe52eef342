import { VarveError } from '@varve/core'

/** Codes of provider failures, one per class of the error taxonomy. */
export type ProviderErrorCode =
  | 'PROVIDER_AUTH'
  | 'PROVIDER_ENTITLEMENT'
  | 'PROVIDER_INVALID_REQUEST'
  | 'PROVIDER_NOT_FOUND'
  | 'PROVIDER_RATE_LIMITED'
  | 'PROVIDER_UNAVAILABLE'
  | 'PROVIDER_TIMEOUT'
  | 'PROVIDER_NETWORK'
  | 'PROVIDER_MALFORMED'
  | 'PROVIDER_INCOMPLETE'
  | 'PROVIDER_INTEGRITY'

interface ErrorClass {
  readonly retryable: boolean
  readonly countsForBreaker: boolean
  readonly opensBreaker?: boolean
  /** Ends the message: what to do. */
  readonly advice: string
}

const CLASSES: Readonly<Record<ProviderErrorCode, ErrorClass>> = {
  PROVIDER_AUTH: {
    retryable: false,
    countsForBreaker: true,
    opensBreaker: true,
    advice: 'check the API key',
  },
  PROVIDER_ENTITLEMENT: {
    retryable: false,
    countsForBreaker: false,
    advice: 'the plan does not include this; ask another provider or upgrade',
  },
  PROVIDER_INVALID_REQUEST: { retryable: false, countsForBreaker: false, advice: 'ask differently' },
  PROVIDER_NOT_FOUND: {
    retryable: false,
    countsForBreaker: false,
    advice: 'ask a second provider before believing it',
  },
  PROVIDER_RATE_LIMITED: {
    retryable: true,
    countsForBreaker: false,
    advice: 'wait; if it recurs, lower the rate limit',
  },
  PROVIDER_UNAVAILABLE: { retryable: true, countsForBreaker: true, advice: 'try again later' },
  PROVIDER_TIMEOUT: {
    retryable: true,
    countsForBreaker: true,
    advice: 'try again later, or ask for less at once',
  },
  PROVIDER_NETWORK: { retryable: true, countsForBreaker: true, advice: 'check the connection and try again' },
  PROVIDER_MALFORMED: { retryable: true, countsForBreaker: true, advice: 'try again' },
  PROVIDER_INCOMPLETE: { retryable: true, countsForBreaker: true, advice: 'fetch the range again' },
  PROVIDER_INTEGRITY: {
    retryable: true,
    countsForBreaker: true,
    advice: 'nothing of the range was used; compare with another provider',
  },
}

export interface ProviderErrorDetails {
  readonly cause?: unknown
  readonly details?: Readonly<Record<string, unknown>>
  /** Instead of what the class says. */
  readonly retryable?: boolean
}

/** A failure of one provider, classified once; `details` never hold a key. */
export function providerError(
  provider: string,
  code: ProviderErrorCode,
  found: string,
  options: ProviderErrorDetails = {},
): VarveError {
  const { retryable, countsForBreaker, opensBreaker, advice } = CLASSES[code]
  return new VarveError(`${provider}: ${found}; ${advice}`, {
    code,
    retryable: options.retryable ?? retryable,
    cause: options.cause,
    details: {
      provider,
      countsForBreaker,
      ...(opensBreaker === true ? { opensBreaker } : {}),
      ...options.details,
    },
  })
}

interface Answer {
  readonly status: number
  /** `status` of the body, such as `NOT_AUTHORIZED`. */
  readonly bodyStatus: string | undefined
  /** `error` or `message` of the body. */
  readonly message: string | undefined
}

/** Vendors of this API retry these too. */
const TRANSIENT = new Set([413, 499, 500, 502, 503, 504])

/** The class of an answered request; `undefined` for a success. */
export function classifyAnswer({ status, bodyStatus, message = '' }: Answer): ProviderErrorCode | undefined {
  if (status === 401) return 'PROVIDER_AUTH'
  if (status === 403) {
    return bodyStatus === 'NOT_AUTHORIZED' || /entitled|plan|today's data/i.test(message)
      ? 'PROVIDER_ENTITLEMENT'
      : 'PROVIDER_AUTH'
  }
  if (status === 404) return 'PROVIDER_NOT_FOUND'
  if (status === 408) return 'PROVIDER_TIMEOUT'
  if (status === 429) return 'PROVIDER_RATE_LIMITED'
  if (TRANSIENT.has(status) || status >= 500) return 'PROVIDER_UNAVAILABLE'
  if (status >= 300) return 'PROVIDER_INVALID_REQUEST'
  // Older endpoints answer 200 with an error inside.
  if (bodyStatus === 'NOT_AUTHORIZED') return 'PROVIDER_ENTITLEMENT'
  if (bodyStatus === 'NOT_FOUND') return 'PROVIDER_NOT_FOUND'
  if (bodyStatus !== 'ERROR') return undefined
  return /exceeded the maximum requests/i.test(message) ? 'PROVIDER_RATE_LIMITED' : 'PROVIDER_UNAVAILABLE'
}

/** `Retry-After` in milliseconds: seconds or an HTTP date; nonsense (negative, above `longestMs`, text) is `undefined`. */
export function parseRetryAfter(header: string | null, now: number, longestMs: number): number | undefined {
  if (header === null) return undefined
  const text = header.trim()
  const ms = /^\d+(\.\d+)?$/.test(text) ? Number(text) * 1000 : Date.parse(text) - now
  return /^-/.test(text) || !(ms >= 0) || ms > longestMs ? undefined : Math.ceil(ms)
}
