import type { Clock } from '@varve/core'
import { checkedOptions, isVarveError, publish, secureRandom, systemClock } from '@varve/core'
import type { BreakerState, Outcome } from './CircuitBreaker.ts'
import { CircuitBreaker } from './CircuitBreaker.ts'
import { circuitOpen, deadlineExceeded } from './errors.ts'
import { type ResilienceConfig, resilienceSchema } from './schema.ts'

/** Its data, with their defaults: {@link resilienceSchema}. */
export interface ResilienceOptions extends ResilienceConfig {
  /** Named in errors and on channels: the service that is called. */
  readonly name: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** In [0, 1). @defaultValue `secureRandom` */
  readonly random?: () => number
}

/** What one attempt is told. */
export interface AttemptContext {
  /** Aborted at the deadline and when the caller gives up. */
  readonly signal: AbortSignal
  /** Counted from 1. */
  readonly attempt: number
  /** Milliseconds UTC. */
  readonly deadlineAt: number
}

export interface ExecuteOptions {
  /** Ends the call; it rejects with the signal's reason and the attempt in flight is aborted. */
  readonly signal?: AbortSignal
  /** Instead of the default of this instance. */
  readonly deadlineMs?: number
}

/** Calls a service under one deadline, with retries and a circuit breaker. */
export interface Resilience {
  /**
   * Runs `work` until it succeeds, fails for good, or the deadline passes. An error is tried again when it is a
   * `VarveError` with `retryable`; `details.retryAfterMs` is the least pause, and when that does not fit before the
   * deadline the error itself is thrown at once. `details.countsForBreaker === false` keeps an error from the
   * breaker; `details.opensBreaker === true` opens it.
   *
   * @throws `DEADLINE_EXCEEDED` with the last error as cause, `CIRCUIT_OPEN`, or the last error
   */
  execute<T>(work: (context: AttemptContext) => Promise<T>, options?: ExecuteOptions): Promise<T>
  readonly name: string
  /** `closed` when there is no breaker. */
  readonly state: BreakerState
}

/** @throws `OPTION_INVALID` */
export function createResilience(options: ResilienceOptions): Resilience {
  const { name, clock = systemClock, random = secureRandom } = options
  const settings = checkedOptions(resilienceSchema.strip(), options, `calls to ${name}`)
  const { deadlineMs: defaultDeadlineMs, attempts, initialBackoffMs, maxBackoffMs } = settings
  const breaker = settings.breaker === null ? undefined : new CircuitBreaker(name, settings.breaker)

  const settle = (permit: number | undefined, outcome: Outcome, opens = false) => {
    if (permit !== undefined) breaker?.settle(permit, outcome, clock.monotonicMs(), opens)
  }

  return {
    name,
    get state() {
      return breaker?.stateAt(clock.monotonicMs()) ?? 'closed'
    },
    async execute<T>(
      work: (context: AttemptContext) => Promise<T>,
      { signal, deadlineMs = defaultDeadlineMs }: ExecuteOptions = {},
    ): Promise<T> {
      const deadline = clock.monotonicMs() + deadlineMs
      const deadlineAt = clock.now() + deadlineMs
      let lastError: unknown
      for (let attempt = 1; ; attempt++) {
        signal?.throwIfAborted()
        const now = clock.monotonicMs()
        if (now >= deadline) throw deadlineExceeded(name, deadlineMs, attempt, lastError)
        const permit = breaker?.enter(now)
        if (breaker !== undefined && permit === undefined)
          throw circuitOpen(name, breaker.retryAfterMs(now), lastError)
        const result = await runAttempt(work, { attempt, deadlineAt, leftMs: deadline - now, signal, clock })
        if (result.kind === 'value') {
          settle(permit, 'success')
          return result.value
        }
        if (result.kind === 'aborted') {
          settle(permit, 'neutral')
          throw signal?.reason
        }
        if (result.kind === 'deadline') {
          settle(permit, 'failure')
          throw deadlineExceeded(name, deadlineMs, attempt, lastError)
        }
        lastError = result.error
        const details = isVarveError(lastError) ? lastError.details : {}
        const counts = details['countsForBreaker'] !== false
        settle(permit, counts ? 'failure' : 'neutral', details['opensBreaker'] === true)
        if (!isVarveError(lastError) || !lastError.retryable || attempt >= attempts) throw lastError
        const ceiling = Math.min(maxBackoffMs, initialBackoffMs * 2 ** (attempt - 1))
        const floor = typeof details['retryAfterMs'] === 'number' ? details['retryAfterMs'] : 0
        const delayMs = Math.max(Math.floor(random() * ceiling), floor)
        if (clock.monotonicMs() + delayMs >= deadline) throw lastError
        const code = lastError.code
        publish('retry', () => ({ name, attempt, delayMs, code }))
        if (delayMs > 0) await clock.sleep(delayMs, signal === undefined ? {} : { signal })
      }
    },
  }
}

type AttemptResult<T> =
  | { readonly kind: 'value'; readonly value: T }
  | { readonly kind: 'error'; readonly error: unknown }
  | { readonly kind: 'aborted' }
  | { readonly kind: 'deadline' }

interface AttemptFrame {
  readonly attempt: number
  readonly deadlineAt: number
  readonly leftMs: number
  readonly signal: AbortSignal | undefined
  readonly clock: Clock
}

/** One attempt: answers at the deadline or on abort even when the work ignores its signal; leaves no timer. */
function runAttempt<T>(
  work: (context: AttemptContext) => Promise<T>,
  { attempt, deadlineAt, leftMs, signal, clock }: AttemptFrame,
): Promise<AttemptResult<T>> {
  const stop = new AbortController()
  const timer = new AbortController()
  return new Promise((resolve) => {
    const finish = (result: AttemptResult<T>) => {
      timer.abort()
      signal?.removeEventListener('abort', onAbort)
      resolve(result)
    }
    const onAbort = () => {
      finish({ kind: 'aborted' })
      stop.abort(signal?.reason)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    clock.sleep(leftMs, { signal: timer.signal }).then(
      () => {
        finish({ kind: 'deadline' })
        stop.abort(new DOMException('the deadline of the call has passed', 'TimeoutError'))
      },
      () => undefined,
    )
    try {
      work({ signal: stop.signal, attempt, deadlineAt }).then(
        (value) => finish({ kind: 'value', value }),
        (error: unknown) => finish({ kind: 'error', error }),
      )
    } catch (error) {
      finish({ kind: 'error', error })
    }
  })
}
