import type { AcquireOptions, Clock, QuotaGate } from '@varve/core'
import { checkedOptions, publish, systemClock } from '@varve/core'
import type { z } from 'zod'
import { quotaClosed, quotaKeyUnknown, quotaOptionsInvalid, quotaQueueFull } from './errors.ts'
import { type RateLimitConfig, type keyLimitsSchema, rateLimitSchema } from './schema.ts'
import type { QuotaWindow } from './slidingLog.ts'
import { SlidingLog } from './slidingLog.ts'
import type { Waiter } from './waitQueue.ts'
import { WaitQueue } from './waitQueue.ts'

/** Its data, with their defaults: {@link rateLimitSchema}. */
export interface RateLimiterOptions extends RateLimitConfig {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** One window of a key, as it stands. */
export interface WindowStatus extends QuotaWindow {
  readonly used: number
  readonly remaining: number
  /** Until the oldest counted permit leaves the window; 0 when none is counted. */
  readonly resetMs: number
}

export interface QuotaStatus {
  readonly key: string
  readonly windows: readonly WindowStatus[]
  /** Callers waiting. */
  readonly queued: number
  /** Rest of a pause the server asked for. */
  readonly pausedMs: number
  /** Permits given since the start. */
  readonly granted: number
}

/** A permit whose request reports its end. */
export interface QuotaPermit {
  /** The request has been answered or given up. More than once is fine. */
  complete(): void
}

/** Counts permits against quotas; shared by all callers of one key in this process. */
export interface RateLimiter extends QuotaGate, AsyncDisposable {
  /**
   * Waits for a permit: lower priority numbers first, first come first served inside one, with ageing. Rejects with
   * the signal's reason if aborted while queued; a permit already given is not taken back.
   *
   * @throws `QUOTA_KEY_UNKNOWN`, `QUOTA_QUEUE_FULL`, `QUOTA_CLOSED`, `QUOTA_OPTIONS_INVALID`
   */
  acquire(key: string, options?: AcquireOptions): Promise<void>
  /**
   * Like `acquire`, for a request that reports its end. It is counted until then and for the window after, so that the
   * quota holds at the server however long anything takes on the way; no margin is added.
   */
  begin(key: string, options?: AcquireOptions): Promise<QuotaPermit>
  /** A permit now or not at all; never overtakes callers that wait. `waitMs` is the least a caller has to wait. */
  tryAcquire(
    key: string,
    options?: Omit<AcquireOptions, 'signal'>,
  ): { readonly granted: boolean; readonly waitMs: number }
  /** Nothing of `key` is let through for `pauseMs`; a running longer pause stays. */
  penalize(key: string, pauseMs: number): void
  /** @throws `QUOTA_KEY_UNKNOWN` */
  status(key: string): QuotaStatus
  /** Refuses everybody who waits with `QUOTA_CLOSED`. Closing twice is fine. */
  close(): Promise<void>
}

interface KeyState {
  readonly key: string
  readonly log: SlidingLog
  readonly queue: WaitQueue
  pausedUntil: number
  /** The one sleep of this key, and when it ends. */
  sleep: { readonly until: number; readonly stop: AbortController } | undefined
}

/**
 * Makes a limiter with an exact sliding log per key: never more than `limit` permits in any `windowMs` of any window.
 *
 * @throws `OPTION_INVALID`
 */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const clock = options.clock ?? systemClock
  const { limits, unknownKey, maxQueue, ageingMs, longestSleepMs } = checkedOptions(
    rateLimitSchema.strip(),
    options,
    'the rate limiter',
  )
  const states = new Map(Object.entries(limits).map(([key, of]) => [key, createState(key, of)]))
  let arrivals = 0
  let closed = false

  const find = (key: string): KeyState | undefined => {
    if (closed) throw quotaClosed(key)
    const state = states.get(key)
    if (state === undefined && unknownKey !== 'allow') throw quotaKeyUnknown(key, [...states.keys()])
    return state
  }

  const waitMs = (state: KeyState, cost: number, now: number): number =>
    Math.max(state.log.waitMs(now, cost), state.pausedUntil - now, 0)

  /** Serves everybody who fits, then sleeps once until the next one does. */
  const pump = (state: KeyState): void => {
    for (;;) {
      const next = state.queue.peek()
      if (next === undefined) {
        state.sleep?.stop.abort()
        state.sleep = undefined
        return
      }
      const now = clock.monotonicMs()
      const wait = waitMs(state, next.cost, now)
      if (wait > 0) {
        // While open requests fill a window, the end of one looks again.
        if (wait < Infinity) sleepUntil(state, now, Math.min(Math.ceil(wait), longestSleepMs))
        return
      }
      state.queue.shift()
      count(state, now, next.cost, next.reports)
      publish('quota', () => ({ key: state.key, waitedMs: now - next.since, denied: false }))
      next.grant()
    }
  }

  const sleepUntil = (state: KeyState, now: number, ms: number): void => {
    const until = now + ms
    // A sleep that ends too early is harmless: it looks again. One that ends too late is replaced.
    if (state.sleep !== undefined && state.sleep.until <= until) return
    state.sleep?.stop.abort()
    const stop = new AbortController()
    const sleep = { until, stop }
    state.sleep = sleep
    clock.sleep(ms, { signal: stop.signal }).then(
      () => {
        if (state.sleep === sleep) state.sleep = undefined
        pump(state)
      },
      () => undefined,
    )
  }

  const count = (state: KeyState, now: number, cost: number, reports: boolean): void => {
    if (reports) state.log.open(cost)
    else state.log.record(now, cost)
  }

  /** The key's state once a permit has been given; `undefined` for a key without limits. */
  const take = async (key: string, { priority = 0, cost = 1, signal }: AcquireOptions, reports: boolean) => {
    signal?.throwIfAborted()
    const state = find(key)
    if (state === undefined) {
      publish('log', () => ({
        level: 'warn',
        component: 'rate-limiter',
        message: `no rate limit for "${key}"`,
      }))
      return undefined
    }
    checkCost(state, cost)
    const now = clock.monotonicMs()
    if (state.queue.size === 0 && waitMs(state, cost, now) === 0) {
      count(state, now, cost, reports)
      publish('quota', () => ({ key, waitedMs: 0, denied: false }))
      return state
    }
    if (state.queue.size >= maxQueue) {
      publish('quota', () => ({ key, waitedMs: 0, denied: true }))
      throw quotaQueueFull(key, maxQueue)
    }
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => {
        state.queue.cancel(waiter)
        pump(state)
        reject(signal?.reason as Error)
      }
      const waiter: Waiter = {
        cost,
        reports,
        since: now,
        rank: now + priority * ageingMs,
        order: arrivals++,
        grant: () => {
          signal?.removeEventListener('abort', onAbort)
          resolve()
        },
        refuse: (error) => {
          signal?.removeEventListener('abort', onAbort)
          reject(error as Error)
        },
        done: false,
      }
      signal?.addEventListener('abort', onAbort, { once: true })
      state.queue.push(waiter)
      pump(state)
    })
    return state
  }

  const limiter: RateLimiter = {
    async acquire(key, options = {}) {
      await take(key, options, false)
    },
    async begin(key, options = {}) {
      let state = await take(key, options, true)
      return {
        complete() {
          const open = state
          state = undefined
          if (open === undefined) return
          open.log.end(clock.monotonicMs(), options.cost ?? 1)
          pump(open)
        },
      }
    },
    tryAcquire(key, { cost = 1 } = {}) {
      const state = find(key)
      if (state === undefined) return { granted: true, waitMs: 0 }
      checkCost(state, cost)
      const now = clock.monotonicMs()
      const head = state.queue.peek()
      const wait = Math.max(waitMs(state, cost, now), head === undefined ? 0 : waitMs(state, head.cost, now))
      const granted = head === undefined && wait === 0
      if (granted) state.log.record(now, cost)
      publish('quota', () => ({ key, waitedMs: 0, denied: !granted }))
      return { granted, waitMs: wait }
    },
    penalize(key, pauseMs) {
      const state = find(key)
      if (state === undefined || !(pauseMs > 0)) return
      state.pausedUntil = Math.max(state.pausedUntil, clock.monotonicMs() + pauseMs)
    },
    status(key) {
      const state = states.get(key)
      if (state === undefined) throw quotaKeyUnknown(key, [...states.keys()])
      const now = clock.monotonicMs()
      return {
        key,
        windows: state.log.windows.map((window) => {
          const { used, resetMs } = state.log.usage(now, window)
          return { ...window, used, remaining: window.limit - used, resetMs }
        }),
        queued: state.queue.size,
        pausedMs: Math.max(0, state.pausedUntil - now),
        granted: state.log.granted,
      }
    },
    close() {
      closed = true
      for (const state of states.values()) {
        for (const waiter of state.queue.drain()) waiter.refuse(quotaClosed(state.key))
        state.sleep?.stop.abort()
        state.sleep = undefined
      }
      return Promise.resolve()
    },
    [Symbol.asyncDispose]: () => limiter.close(),
  }
  return limiter
}

function createState(key: string, limits: z.output<typeof keyLimitsSchema>): KeyState {
  return {
    key,
    log: new SlidingLog(limits.windows, limits.marginMs),
    queue: new WaitQueue(),
    pausedUntil: -Infinity,
    sleep: undefined,
  }
}

function checkCost(state: KeyState, cost: number): void {
  if (Number.isSafeInteger(cost) && cost >= 1 && cost <= state.log.largestCost) return
  throw quotaOptionsInvalid(`a whole cost from 1 to ${state.log.largestCost} for "${state.key}"`, cost)
}
