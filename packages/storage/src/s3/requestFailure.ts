import { VarveError } from '@varve/core'

/** What a failed request comes to. */
export type FailureKind = 'transient' | 'denied' | 'missing' | 'no-bucket' | 'exists' | 'refused'

/** A failed request without anything that could hold a key: neither headers nor the request itself. */
export interface RequestFailure {
  readonly kind: FailureKind
  /** HTTP status; 0 when there was no answer. */
  readonly status: number
  /** What the store or the network called it: `SlowDown`, `ECONNRESET`. */
  readonly name: string
  readonly message: string
}

/** The body was cut short, or is not what was asked for. Worth another attempt. */
export class DamagedAnswer extends Error {
  override readonly name = 'DamagedAnswer'
}

/** One attempt took longer than it may. */
export class AttemptTimeout extends Error {
  override readonly name = 'AttemptTimeout'
}

const TRANSIENT_STATUS = new Set([408, 409, 425, 429, 500, 502, 503, 504])
/** Names the store gives to failures that pass, whatever their status: a damaged upload is a 400. */
const TRANSIENT_NAMES = new Set([
  'SlowDown',
  'RequestTimeout',
  'InternalError',
  'BadDigest',
  'ThrottlingException',
])

/**
 * Reads an error of the SDK. The error itself is not kept: it refers to the answer, that to its request, and that to
 * the signed headers.
 *
 * @param hidden - texts that must not appear in the message
 */
export function requestFailure(error: unknown, hidden: readonly string[]): RequestFailure {
  const found = (typeof error === 'object' && error !== null ? error : {}) as {
    readonly name?: unknown
    readonly code?: unknown
    readonly Code?: unknown
    readonly message?: unknown
    readonly $metadata?: { readonly httpStatusCode?: unknown }
  }
  const answered = found.$metadata?.httpStatusCode
  const status = typeof answered === 'number' ? answered : 0
  const name = [found.Code, found.code, found.name].find((text) => typeof text === 'string' && text !== '')
  // The answer to HEAD has no body that could name a reason.
  const unnamed = name === undefined || name === 'Unknown' || name === 'UnknownError'
  const failure = {
    status,
    name: unnamed ? `HTTP ${status}` : withoutHidden(String(name), hidden),
    message: unnamed || typeof found.message !== 'string' ? '' : withoutHidden(found.message, hidden),
  }
  return { ...failure, kind: kindOf(failure.status, failure.name) }
}

function kindOf(status: number, name: string): FailureKind {
  if (/Credentials|TokenProvider/.test(name)) return 'denied'
  if (name === 'NoSuchBucket') return 'no-bucket'
  if (status === 404) return 'missing'
  if (status === 412) return 'exists'
  if (status === 401 || status === 403) return 'denied'
  // Without a status the network failed; with a good one the answer was cut or could not be read.
  // A redirect means another region, and stays one.
  if (status < 300 || TRANSIENT_STATUS.has(status) || TRANSIENT_NAMES.has(name)) return 'transient'
  return 'refused'
}

function withoutHidden(text: string, hidden: readonly string[]): string {
  return hidden.reduce((rest, secret) => (secret === '' ? rest : rest.replaceAll(secret, '[secret]')), text)
}

/** The error a caller sees. */
export function lakeError(
  failure: RequestFailure,
  location: string,
  action: string,
  attempts: number,
): VarveError {
  const { kind, status, name } = failure
  const details = { location, status, reason: name, attempts }
  const said = failure.message === '' ? name : `${name}: ${failure.message}`
  const cause = new Error(said)
  switch (kind) {
    case 'denied':
      return new VarveError(
        `${location} refused to ${action} (${said}); check the credentials, the clock of this machine and the bucket's policy`,
        { code: 'LAKE_ACCESS_DENIED', details, cause },
      )
    case 'no-bucket':
      return new VarveError(`${location}: there is no such bucket; create it or correct its name`, {
        code: 'LAKE_BUCKET_MISSING',
        details,
        cause,
      })
    case 'missing':
      return new VarveError(
        `cannot ${action}: there is no such file in ${location}; restore it from a backup`,
        {
          code: 'LAKE_UNREADABLE',
          details,
          cause,
        },
      )
    case 'transient':
      return new VarveError(
        `${location} could not ${action} in ${attempts} ${attempts === 1 ? 'attempt' : 'attempts'} (${said}); try again later`,
        { code: 'LAKE_UNREACHABLE', retryable: true, details, cause },
      )
    default:
      return new VarveError(
        `${location} rejected the request to ${action} (${said}); check region, endpoint and bucket`,
        { code: 'LAKE_REQUEST_REJECTED', details, cause },
      )
  }
}
