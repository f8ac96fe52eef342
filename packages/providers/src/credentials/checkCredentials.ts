import { checkedOptions, sha256Hex, systemClock, VarveError, type Clock, type KeyValue } from '@varve/core'
import { z } from 'zod'
import { askWithin } from './askProvider.ts'
import {
  type CredentialCheck,
  type CredentialFinding,
  type CredentialReport,
  type CredentialResult,
} from './model.ts'
import { credentialCheckSchema } from './schema.ts'

export interface CheckCredentialsOptions extends z.input<typeof credentialCheckSchema> {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** @defaultValue the global `fetch` */
  readonly fetch?: typeof fetch
  /** Where accepted keys are remembered, by hash. @defaultValue the memory of this process */
  readonly cache?: KeyValue
  readonly signal?: AbortSignal
}

const cachedSchema = z.strictObject({ at: z.number(), warnings: z.array(z.string()) })

/**
 * Asks every provider whether it accepts the keys configured, all at once. Each result says what was found and what to
 * do; neither keys nor parts of them appear in it.
 *
 * Critical keys stop the start unless they are accepted, with two exceptions: `rate_limited` never stops it, and
 * `unreachable` does not with `startWithoutAnswer`. Accepted keys are remembered for `cacheMs`, by SHA-256; failures
 * are not, so that a corrected account is seen at once.
 *
 * @throws `OPTION_INVALID`; the signal's reason when aborted
 */
export async function checkCredentials(
  checks: readonly CredentialCheck[],
  options: CheckCredentialsOptions = {},
): Promise<CredentialReport> {
  const { clock = systemClock, cache = processCache, signal } = options
  const numbers = checkedOptions(
    credentialCheckSchema,
    {
      timeoutMs: options.timeoutMs,
      cacheMs: options.cacheMs,
      startWithoutAnswer: options.startWithoutAnswer,
      userAgent: options.userAgent,
    },
    'checkCredentials',
  )
  const { timeoutMs, cacheMs, userAgent } = numbers
  const ask = askWithin({ timeoutMs, userAgent, fetch: options.fetch ?? fetch, clock, signal })

  const remembered = async (key: string): Promise<readonly string[] | undefined> => {
    if (cacheMs === 0) return undefined
    try {
      const found = await cache.get(key)
      if (found === undefined) return undefined
      const { at, warnings } = cachedSchema.parse(JSON.parse(Buffer.from(found).toString('utf8')))
      const ageMs = clock.now() - at
      return ageMs >= 0 && ageMs < cacheMs ? warnings : undefined
    } catch {
      return undefined // without a memory the provider is asked
    }
  }

  const one = async (check: CredentialCheck): Promise<CredentialResult> => {
    signal?.throwIfAborted()
    const key = cacheKey(check)
    const inspected = check.inspect()
    const warnings = inspected === undefined ? await remembered(key) : undefined
    const finding: CredentialFinding =
      inspected ??
      (warnings === undefined
        ? await check.ask(ask)
        : {
            outcome: 'ok',
            message: `${check.name}: the key was accepted less than ${Math.ceil(cacheMs / 60_000)} min ago`,
            remedy: '',
            warnings,
          })
    if (finding.outcome === 'ok' && warnings === undefined && cacheMs > 0) {
      const text = JSON.stringify({ at: clock.now(), warnings: finding.warnings })
      await cache.set(key, Buffer.from(text), { ttlMs: cacheMs }).catch(() => undefined)
    }
    const lets =
      finding.outcome === 'ok' ||
      finding.outcome === 'rate_limited' ||
      (finding.outcome === 'unreachable' && numbers.startWithoutAnswer)
    return {
      ...finding,
      name: check.name,
      critical: check.critical,
      blocks: check.critical && !lets,
      cached: warnings !== undefined,
    }
  }

  const results = await Promise.all(checks.map(one))
  return { ok: results.every(({ blocks }) => !blocks), results }
}

/**
 * The report as one error, for a start that must stop.
 *
 * @returns `CREDENTIALS_INVALID`, retryable when the providers could merely not be reached; `undefined` when nothing
 *   blocks
 */
export function credentialError({ ok, results }: CredentialReport): VarveError | undefined {
  if (ok) return undefined
  const blocking = results.filter(({ blocks }) => blocks)
  return new VarveError(blocking.map(({ message, remedy }) => `${message}; ${remedy}`).join('\n'), {
    code: 'CREDENTIALS_INVALID',
    retryable: blocking.every(({ outcome }) => outcome === 'unreachable'),
    details: { failed: blocking.map(({ name, outcome }) => ({ name, outcome })) },
  })
}

/** From the provider, what the key was accepted for, and the key: only its hash is kept. */
function cacheKey({ name, scope, secrets }: CredentialCheck): string {
  return `credential:${sha256Hex(JSON.stringify([name, scope, ...secrets.map((secret) => secret.reveal())]))}`
}

const memory = new Map<string, Uint8Array>()

/** Ages are judged by the entry's own instant, so entries need not end by themselves. */
const processCache: KeyValue = {
  get: (key) => Promise.resolve(memory.get(key)),
  set: (key, value) => Promise.resolve(void memory.set(key, value)),
  delete: (key) => Promise.resolve(memory.delete(key)),
}
