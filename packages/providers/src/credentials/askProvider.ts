import { errorMessage, type Clock } from '@varve/core'
import { asObject } from '../polygon/fields.ts'
import { type AskProvider } from './model.ts'

export interface AskOptions {
  readonly timeoutMs: number
  readonly userAgent: string
  readonly fetch: typeof fetch
  readonly clock: Clock
  readonly signal: AbortSignal | undefined
}

/** A GET with a time-out over the whole answer, body included. Redirects are answers: keys do not follow them. */
export function askWithin({ timeoutMs, userAgent, fetch, clock, signal }: AskOptions): AskProvider {
  return async (url, headers) => {
    const late = new AbortController()
    const done = new AbortController()
    clock.sleep(timeoutMs, { signal: done.signal }).then(
      () => late.abort(),
      () => undefined,
    )
    try {
      const response = await fetch(url, {
        headers: { accept: 'application/json', 'user-agent': userAgent, ...headers },
        redirect: 'manual',
        signal: signal === undefined ? late.signal : AbortSignal.any([late.signal, signal]),
      })
      return { status: response.status, body: parseBody(await response.text()) }
    } catch (error) {
      if (signal?.aborted) throw error
      return {
        status: undefined,
        why: late.signal.aborted
          ? `did not answer in ${timeoutMs} ms`
          : `cannot be reached: ${reasonOf(error)}`,
      }
    } finally {
      done.abort()
    }
  }
}

function parseBody(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return asObject(JSON.parse(text))
  } catch {
    return undefined
  }
}

/** The code of the system where there is one. Texts of fetch may quote headers, which hold the key: they stay here. */
function reasonOf(error: unknown): string {
  const cause: unknown = error instanceof Error && error.cause !== undefined ? error.cause : error
  const code = (cause as { code?: unknown }).code
  if (typeof code === 'string') return code
  return /redirect/i.test(errorMessage(error)) ? 'it redirects elsewhere' : 'the connection failed'
}
