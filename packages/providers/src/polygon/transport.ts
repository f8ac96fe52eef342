import type { AcquireOptions, Clock, QuotaGate, Secret } from '@varve/core'
import { errorMessage, isVarveError, publish } from '@varve/core'
import type { Resilience } from '@varve/resilience'
import type { ProviderErrorCode } from './classify.ts'
import { classifyAnswer, parseRetryAfter, providerError } from './classify.ts'
import type { JsonObject } from './fields.ts'
import { asObject, textOf } from './fields.ts'
import { parseJson } from './losslessJson.ts'

export interface TransportOptions {
  readonly provider: string
  readonly baseUrl: string
  readonly apiKey: Secret
  readonly allowedHosts: readonly string[]
  readonly quota: QuotaGate
  readonly quotaKey: string
  readonly resilience: Resilience
  readonly deadlineMs: number
  readonly requestTimeoutMs: number
  /** Pause after a 429 that names none. */
  readonly rateLimitedPauseMs: number
  /** Longest pause a server is believed about. */
  readonly longestRetryAfterMs: number
  readonly userAgent: string
  readonly fetch: typeof fetch
  readonly clock: Clock
}

/** One logical call: its pages share a deadline, a priority and a count of requests. */
export interface Call {
  readonly signal: AbortSignal | undefined
  readonly priority: number
  /** What is left of the deadline, not counting waits for the quota. */
  leftMs: number
  requests: number
  readonly requestIds: string[]
}

/** Sends requests with the key, and only to hosts it may see. */
export interface Transport {
  begin(options: { readonly signal?: AbortSignal | undefined; readonly priority?: number | undefined }): Call
  /**
   * A JSON answer, classified and read. `endpoint` names it in errors and metrics, without symbols or keys. What
   * `read` throws is retried and counted like any failure of the provider.
   */
  get<T>(call: Call, url: string, endpoint: string, read: (body: JsonObject) => T): Promise<T>
  /** An absolute URL of a path under the base URL. */
  url(path: string, query: Readonly<Record<string, string | number | boolean>>): string
}

export function createTransport(options: TransportOptions): Transport {
  const { provider, baseUrl, apiKey, quota, quotaKey, resilience, clock } = options
  const base = new URL(baseUrl)
  const allowed = new Set([base.host, ...options.allowedHosts])

  const fail = (code: ProviderErrorCode, found: string, extra: Parameters<typeof providerError>[3] = {}) =>
    providerError(provider, code, redact(found, apiKey.reveal()), extra)

  /** The key is bound to its hosts: a paging URL from the server must not carry it elsewhere. */
  const checkHost = (url: URL): void => {
    if (allowed.has(url.host) && (url.protocol === 'https:' || url.protocol === base.protocol)) return
    throw fail('PROVIDER_INTEGRITY', `refused to send the key to ${url.protocol}//${url.host}`, {
      retryable: false,
      details: { host: url.host, allowed: [...allowed] },
    })
  }

  const send = async (url: URL, endpoint: string, signal: AbortSignal): Promise<JsonObject> => {
    const startedAt = clock.monotonicMs()
    const report = (outcome: string, status?: number) =>
      publish('providerRequest', () => ({
        provider,
        endpoint,
        outcome,
        ...(status === undefined ? {} : { status }),
        durationMs: clock.monotonicMs() - startedAt,
      }))
    const timeout = new AbortController()
    const done = new AbortController()
    const stop = AbortSignal.any([signal, timeout.signal])
    clock.sleep(options.requestTimeoutMs, { signal: done.signal }).then(
      () => timeout.abort(),
      () => undefined,
    )
    try {
      const response = await options.fetch(url, {
        headers: {
          authorization: `Bearer ${apiKey.reveal()}`,
          accept: 'application/json',
          'accept-encoding': 'gzip',
          'user-agent': options.userAgent,
        },
        redirect: 'manual',
        signal: stop,
      })
      const text = await response.text()
      const answer = interpret(response, text)
      report(answer instanceof Error ? answer.code : 'ok', response.status)
      if (answer instanceof Error) throw answer
      return answer
    } catch (error) {
      if (isVarveError(error)) throw error
      if (signal.aborted) throw error
      const late = timeout.signal.aborted
      const code = late ? 'PROVIDER_TIMEOUT' : 'PROVIDER_NETWORK'
      report(code)
      const found = late
        ? `${endpoint} did not answer in ${options.requestTimeoutMs} ms`
        : `${endpoint}: ${networkText(error)}`
      throw fail(code, found, { details: { endpoint } })
    } finally {
      done.abort()
    }

    function interpret(response: Response, text: string) {
      const parsed = parseBody(text)
      const body = asObject(parsed)
      const message = textOf(body?.['error']) ?? textOf(body?.['message'])
      const code = classifyAnswer({ status: response.status, bodyStatus: textOf(body?.['status']), message })
      if (code === undefined) {
        return (
          body ??
          fail(
            'PROVIDER_MALFORMED',
            `${endpoint} answered ${text.length} characters that are no JSON object`,
            {
              details: { endpoint, status: response.status },
            },
          )
        )
      }
      const details: Record<string, unknown> = { endpoint, status: response.status }
      const requestId = textOf(body?.['request_id'])
      if (requestId !== undefined) details['requestId'] = requestId
      if (code === 'PROVIDER_RATE_LIMITED') {
        const pauseMs =
          parseRetryAfter(response.headers.get('retry-after'), clock.now(), options.longestRetryAfterMs) ??
          options.rateLimitedPauseMs
        details['retryAfterMs'] = pauseMs
        quota.penalize(quotaKey, pauseMs)
      }
      const what = message === undefined ? '' : `: ${message.slice(0, 200)}`
      return fail(code, `${endpoint} answered ${response.status}${what}`, { details })
    }
  }

  return {
    begin: ({ signal, priority = 0 }) => ({
      signal,
      priority,
      leftMs: options.deadlineMs,
      requests: 0,
      requestIds: [],
    }),
    async get(call, address, endpoint, read) {
      const url = new URL(address)
      checkHost(url)
      const take = (signal: AbortSignal | undefined) =>
        takePermit(quota, quotaKey, { priority: call.priority, ...(signal === undefined ? {} : { signal }) })
      // The first permit is waited for outside the deadline: a long queue is not a slow provider. An open circuit
      // spends none.
      let permit = resilience.state === 'open' ? undefined : await take(call.signal)
      const startedAt = clock.monotonicMs()
      try {
        return await resilience.execute(
          async ({ signal }) => {
            const ours = permit ?? (await take(signal))
            permit = undefined
            call.requests++
            const body = await send(url, endpoint, signal).finally(() => ours.complete())
            const requestId = textOf(body['request_id'])
            if (requestId !== undefined) call.requestIds.push(requestId)
            return read(body)
          },
          {
            deadlineMs: Math.max(1, call.leftMs),
            ...(call.signal === undefined ? {} : { signal: call.signal }),
          },
        )
      } finally {
        permit?.complete()
        call.leftMs -= clock.monotonicMs() - startedAt
      }
    },
    url(path, query) {
      const url = new URL(base.pathname.replace(/\/$/, '') + path, base)
      for (const [name, value] of Object.entries(query)) url.searchParams.set(name, String(value))
      return url.href
    },
  }
}

/** The limiter of `@varve/rate-limiter` counts a request until its end; any other gate when it gives the permit. */
interface ReportingGate extends QuotaGate {
  begin(key: string, options?: AcquireOptions): Promise<{ complete(): void }>
}

async function takePermit(
  quota: QuotaGate,
  key: string,
  options: AcquireOptions,
): Promise<{ complete(): void }> {
  if ('begin' in quota && typeof quota.begin === 'function')
    return (quota as ReportingGate).begin(key, options)
  await quota.acquire(key, options)
  return { complete: () => undefined }
}

function parseBody(text: string): unknown {
  try {
    return parseJson(text)
  } catch {
    return undefined
  }
}

function networkText(error: unknown): string {
  const cause = error instanceof Error && error.cause !== undefined ? error.cause : error
  return errorMessage(cause)
}

/** Whatever a server echoes, the key does not reach a message. */
function redact(text: string, apiKey: string): string {
  const clean = apiKey === '' ? text : text.replaceAll(apiKey, '[key]')
  return clean.replace(/(apiKey=)[^&\s]+/gi, '$1[key]')
}
