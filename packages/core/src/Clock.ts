export interface SleepOptions {
  /** Ends the sleep early; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** The only source of time in Varve. Tests replace it, `--as-of` shifts it. */
export interface Clock {
  /** The current instant, milliseconds since 1970-01-01T00:00Z. */
  now(): number
  /** Milliseconds from an arbitrary start; never runs backwards. For measuring lengths of time. */
  monotonicMs(): number
  /** Resolves after `ms` milliseconds. */
  sleep(ms: number, options?: SleepOptions): Promise<void>
}

/** The machine's clock. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, { signal } = {}) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason)
        return
      }
      const onAbort = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
        Math.max(0, ms),
      )
      signal?.addEventListener('abort', onAbort, { once: true })
    })
  },
}
