import type { Clock } from '@varve/core'

export interface DeadlineOptions<T> {
  readonly clock: Clock
  readonly timeoutMs: number
  /** The error when time is up. */
  readonly expired: () => Error
  /** Gets a value that came after time was up, so that nothing it holds leaks. */
  readonly late?: (value: T) => void
  /** Ends the wait; rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * The result of `work`, or `expired()` once `timeoutMs` have passed; `work` sees its signal aborted then, and goes on
 * unobserved if it does not care.
 */
export function withDeadline<T>(
  options: DeadlineOptions<T>,
  work: (signal: AbortSignal) => T | Promise<T>,
): Promise<T> {
  const { clock, timeoutMs, expired, late, signal } = options
  return new Promise((resolve, reject) => {
    const timer = new AbortController()
    const working = new AbortController()
    let decided = false
    const end = (finish: () => void): void => {
      if (decided) return
      decided = true
      timer.abort()
      signal?.removeEventListener('abort', onAbort)
      finish()
    }
    const giveUp = (error: unknown): void =>
      end(() => {
        working.abort(error)
        reject(error as Error)
      })
    const onAbort = (): void => giveUp(signal?.reason)
    if (signal?.aborted) {
      onAbort()
      return
    }
    signal?.addEventListener('abort', onAbort, { once: true })
    const running = (async () => work(working.signal))()
    running.then(
      (value) => {
        if (decided) late?.(value)
        else end(() => resolve(value))
      },
      (error: unknown) => end(() => reject(error as Error)),
    )
    clock.sleep(timeoutMs, { signal: timer.signal }).then(
      () => giveUp(expired()),
      () => undefined,
    )
  })
}
