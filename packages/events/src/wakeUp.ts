import type { Clock } from '@varve/core'

/** A sleep that can be cut short. A call of `now` while nobody waits is remembered. */
export interface WakeUp {
  now(): void
  /** Resolves after `ms`, on `now`, or when the signal aborts. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function createWakeUp(clock: Clock): WakeUp {
  let pending = false
  let interrupt: AbortController | undefined
  return {
    now() {
      if (interrupt === undefined) pending = true
      else interrupt.abort()
    },
    async wait(ms, signal) {
      if (pending || signal.aborted) {
        pending = false
        return
      }
      interrupt = new AbortController()
      try {
        await clock.sleep(ms, { signal: AbortSignal.any([signal, interrupt.signal]) })
      } catch {
        // woken
      } finally {
        interrupt = undefined
      }
    },
  }
}
