import type { Clock } from '../Clock.ts'

/** A clock that moves only when told to. */
export interface TestClock extends Clock {
  /** Moves time forward, waking sleepers in the order of their deadlines. */
  advance(ms: number): Promise<void>
  /** Number of sleeps still waiting. */
  readonly sleeping: number
}

interface Sleeper {
  readonly at: number
  readonly order: number
  readonly wake: () => void
}

/**
 * @param startMs - the first instant, milliseconds since 1970-01-01T00:00Z
 * @param options - `autoAdvance: true` makes every sleep pass at once, moving time to its end
 */
export function createTestClock(startMs = 0, options: { readonly autoAdvance?: boolean } = {}): TestClock {
  let now = startMs
  let order = 0
  const sleepers = new Set<Sleeper>()
  const settle = async () => {
    for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  }
  return {
    now: () => now,
    monotonicMs: () => now - startMs,
    get sleeping() {
      return sleepers.size
    },
    sleep(ms, { signal } = {}) {
      if (signal?.aborted) return Promise.reject(signal.reason as Error)
      if (options.autoAdvance) {
        now += Math.max(0, ms)
        return Promise.resolve()
      }
      return new Promise((resolve, reject) => {
        const sleeper: Sleeper = {
          at: now + Math.max(0, ms),
          order: order++,
          wake: () => {
            signal?.removeEventListener('abort', onAbort)
            resolve()
          },
        }
        const onAbort = () => {
          sleepers.delete(sleeper)
          reject(signal?.reason as Error)
        }
        signal?.addEventListener('abort', onAbort, { once: true })
        sleepers.add(sleeper)
      })
    },
    async advance(ms) {
      const end = now + ms
      await settle()
      for (;;) {
        const next = [...sleepers].sort((a, b) => a.at - b.at || a.order - b.order)[0]
        if (next === undefined || next.at > end) break
        sleepers.delete(next)
        now = Math.max(now, next.at)
        next.wake()
        await settle()
      }
      now = end
      await settle()
    },
  }
}
