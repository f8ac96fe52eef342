/** Instants a JSON Web Token names, milliseconds since 1970-01-01T00:00Z. */
export interface JwtTimes {
  readonly issuedAt: number | undefined
  readonly expiresAt: number | undefined
}

/**
 * Reads `exp` and `iat` (RFC 7519 §4.1.4 and §4.1.6: seconds) of a token. The signature is not checked: the token is
 * ours to send, and only its receiver can judge it.
 *
 * @returns `undefined` for a text that is no JSON Web Token
 */
export function readJwtTimes(token: string): JwtTimes | undefined {
  const parts = token.split('.')
  if (parts.length !== 3 || !/^[\w-]+$/.test(parts[1]!)) return undefined
  let claims: unknown
  try {
    claims = JSON.parse(Buffer.from(parts[1]!, 'base64url').toString('utf8'))
  } catch {
    return undefined
  }
  if (claims === null || typeof claims !== 'object' || Array.isArray(claims)) return undefined
  const { exp, iat } = claims as { exp?: unknown; iat?: unknown }
  return { issuedAt: instantOf(iat), expiresAt: instantOf(exp) }
}

/** Largest instant a Date can hold, ECMA-262 §21.4.1.1. */
const LARGEST_MS = 8.64e15

function instantOf(seconds: unknown): number | undefined {
  if (typeof seconds !== 'number' || !Number.isFinite(seconds) || seconds <= 0) return undefined
  const ms = seconds * 1000
  return ms > LARGEST_MS ? undefined : ms
}
