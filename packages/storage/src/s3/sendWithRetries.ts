import { type Clock, publish, secureRandom } from '@varve/core'
import { AttemptTimeout, type RequestFailure, requestFailure } from './requestFailure.ts'

export interface SendOptions {
  readonly attempts: number
  readonly retryDelayMs: number
  readonly retryDelayMaxMs: number
  readonly requestTimeoutMs: number
  readonly deadlineMs: number
  readonly clock: Clock
  /** Texts that must not appear in messages. */
  readonly hidden: () => readonly string[]
}

/** What came of a request: its answer, or why there is none. */
export type Sent<Answer> =
  | { readonly ok: true; readonly answer: Answer }
  | { readonly ok: false; readonly failure: RequestFailure; readonly attempts: number }

/**
 * Sends a request until it is answered, as long as its failures may pass. Pauses are drawn evenly from zero to a
 * bound that doubles, so that clients turned away together do not come back together.
 *
 * @param send - one attempt; must let go of everything once its signal is aborted
 */
export async function sendWithRetries<Answer>(
  options: SendOptions,
  name: string,
  send: (signal: AbortSignal) => Promise<Answer>,
): Promise<Sent<Answer>> {
  const { clock, attempts, deadlineMs } = options
  const started = clock.monotonicMs()
  for (let attempt = 1; ; attempt++) {
    try {
      return { ok: true, answer: await oneAttempt(options, send) }
    } catch (error) {
      const failure = requestFailure(error, options.hidden())
      if (failure.kind !== 'transient' || attempt >= attempts)
        return { ok: false, failure, attempts: attempt }
      const bound = Math.min(options.retryDelayMaxMs, options.retryDelayMs * 2 ** (attempt - 1))
      const delayMs = Math.round(secureRandom() * bound)
      if (clock.monotonicMs() - started + delayMs > deadlineMs)
        return { ok: false, failure, attempts: attempt }
      publish('retry', () => ({ name, attempt, delayMs, code: failure.name }))
      await clock.sleep(delayMs)
    }
  }
}

async function oneAttempt<Answer>(
  options: SendOptions,
  send: (signal: AbortSignal) => Promise<Answer>,
): Promise<Answer> {
  const { clock, requestTimeoutMs } = options
  const request = new AbortController()
  const timer = new AbortController()
  const late = new AttemptTimeout(`no answer within ${requestTimeoutMs} ms`)
  const timedOut = clock.sleep(requestTimeoutMs, { signal: timer.signal }).then(
    () => {
      request.abort(late)
      throw late
    },
    // Stopped because the answer came first: leave the race to it.
    () => new Promise<never>(() => undefined),
  )
  const answered = send(request.signal)
  // Whatever loses the race must not count as unhandled.
  answered.catch(() => undefined)
  timedOut.catch(() => undefined)
  try {
    return await Promise.race([answered, timedOut])
  } finally {
    timer.abort()
  }
}
