import {
  type Clock,
  type Lock,
  type LockHandle,
  VarveError,
  checkedOptions,
  errorMessage,
  isVarveError,
  publish,
  secureRandom,
  systemClock,
} from '@varve/core'
import { randomUUID } from 'node:crypto'
import { withDeadline } from '../deadline.ts'
import { type LockSettings, lockOptionsSchema } from '../options.ts'
import type { LockStore } from './LockStore.ts'

/** Its data, with their defaults: {@link lockOptionsSchema}. */
export interface CreateLockOptions extends LockSettings {
  readonly store: LockStore
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

type Settings = ReturnType<typeof lockOptionsSchema.parse>

/**
 * Mutual exclusion over a lock store. A held lock is renewed by itself; its signal aborts when a renewal is refused,
 * or when none came through in time.
 *
 * A store that does not answer within `operationTimeoutMs` fails the call with `LOCK_STORE_UNAVAILABLE`; nothing hangs.
 */
export function createLock(options: CreateLockOptions): Lock {
  const { store, clock = systemClock, ...data } = options
  const settings = checkedOptions(lockOptionsSchema, data, 'the lock')

  return {
    async acquire(name, { waitMs = settings.waitMs, ttlMs = settings.ttlMs, signal } = {}) {
      checkName(name, ttlMs)
      const owner = randomUUID()
      const giveUpAt = clock.monotonicMs() + waitMs
      const giveBack = (): void => void store.release(name, owner).catch(() => undefined)
      for (;;) {
        signal?.throwIfAborted()
        // Counted from before the question, so that we never believe in the lock for longer than the store does.
        const askedAt = clock.monotonicMs()
        const answer = await ask(
          clock,
          settings.operationTimeoutMs,
          name,
          () => store.tryAcquire(name, owner, ttlMs),
          (late) => {
            if (late.granted) giveBack()
          },
        )
        if (answer.granted) {
          if (signal?.aborted) {
            giveBack()
            signal.throwIfAborted()
          }
          return hold({
            store,
            clock,
            settings,
            name,
            owner,
            ttlMs,
            token: answer.token,
            validUntil: askedAt + ttlMs,
          })
        }
        const leftMs = giveUpAt - clock.monotonicMs()
        if (leftMs <= 0) {
          throw new VarveError(
            `the lock "${name}" was held by somebody else for ${waitMs} ms; try again later, or find out who holds it`,
            { code: 'LOCK_TIMEOUT', retryable: true, details: { name, waitMs } },
          )
        }
        // Waiters that look at different moments do not all come at once.
        const pauseMs = Math.min(settings.pollMs, Math.max(1, answer.freeInMs)) * (1 + secureRandom())
        await clock.sleep(Math.min(leftMs, pauseMs / 2 + 1), signal === undefined ? {} : { signal })
      }
    },
  }
}

interface Grant {
  readonly store: LockStore
  readonly clock: Clock
  readonly settings: Settings
  readonly name: string
  readonly owner: string
  readonly ttlMs: number
  readonly token: bigint
  /** By the monotonic clock. */
  readonly validUntil: number
}

function hold(grant: Grant): LockHandle {
  const { store, clock, settings, name, owner, ttlMs, token } = grant
  const heartbeatMs = (settings.heartbeatMs * ttlMs) / settings.ttlMs
  const lost = new AbortController()
  const ended = new AbortController()
  let validUntil = grant.validUntil
  let releasing: Promise<boolean> | undefined

  const lose = (why: string): VarveError => {
    const error = new VarveError(
      `the lock "${name}" (token ${token}) is lost: ${why}; stop what it protects, then acquire it again`,
      { code: 'LOCK_LOST', retryable: true, details: { name, token: String(token) } },
    )
    ended.abort()
    if (!lost.signal.aborted && releasing === undefined) lost.abort(error)
    return error
  }
  const assertInTime = (): void => {
    if (lost.signal.aborted) throw lost.signal.reason
    if (releasing !== undefined) throw lose('it was released')
    if (clock.monotonicMs() >= validUntil) throw lose('it was not renewed in time')
  }
  const renew = async (): Promise<void> => {
    assertInTime()
    const askedAt = clock.monotonicMs()
    const timeoutMs = Math.min(settings.operationTimeoutMs, validUntil - askedAt)
    const renewed = await ask(clock, timeoutMs, name, () => store.renew(name, owner, ttlMs))
    if (!renewed) throw lose('the store says it is not ours any more')
    validUntil = Math.max(validUntil, askedAt + ttlMs)
    assertInTime()
  }
  const beat = async (): Promise<void> => {
    let pauseMs = heartbeatMs
    while (!ended.signal.aborted) {
      const leftMs = Math.max(0, validUntil - clock.monotonicMs())
      await clock.sleep(Math.min(pauseMs, leftMs), { signal: ended.signal }).catch(() => undefined)
      if (ended.signal.aborted) return
      pauseMs = await renew().then(
        () => heartbeatMs,
        (error: unknown) => {
          if (!isVarveError(error, 'LOCK_LOST')) warn(name, 'was not renewed', error)
          // A store that is away may be back before the time is up.
          return Math.min(settings.retryMs, heartbeatMs)
        },
      )
    }
  }
  void beat()

  const release = (): Promise<boolean> => {
    if (releasing === undefined) {
      // In this order: whatever asks from now on hears that the lock was released.
      releasing = ask(clock, settings.operationTimeoutMs, name, () => store.release(name, owner))
      ended.abort()
    }
    return releasing
  }
  return {
    name,
    token,
    signal: lost.signal,
    check: renew,
    release,
    async [Symbol.asyncDispose]() {
      // The work is done; a lock that cannot be given back now ends by itself.
      await release().catch((error: unknown) => warn(name, 'was not released and ends by itself', error))
    },
  }
}

/** One call to the store inside a limit of its own, whatever the client's settings are. */
async function ask<T>(
  clock: Clock,
  timeoutMs: number,
  name: string,
  call: () => Promise<T>,
  late?: (value: T) => void,
): Promise<T> {
  try {
    return await withDeadline(
      {
        clock,
        timeoutMs,
        expired: () => new Error(`no answer within ${Math.round(timeoutMs)} ms`),
        ...(late === undefined ? {} : { late }),
      },
      call,
    )
  } catch (error) {
    throw new VarveError(
      `the store of the lock "${name}" did not do its part: ${errorMessage(error)}; see whether it runs and can be reached`,
      {
        code: 'LOCK_STORE_UNAVAILABLE',
        retryable: isVarveError(error) ? error.retryable : true,
        cause: error,
        details: { name },
      },
    )
  }
}

function checkName(name: string, ttlMs: number): void {
  if (/^[\w:./-]+$/.test(name) && ttlMs > 0) return
  throw new VarveError(
    `expected a lock name of letters, digits and _ - . : /, and ttlMs above 0; was "${name}" and ${ttlMs}`,
    { code: 'OPTION_INVALID', details: { name, ttlMs } },
  )
}

function warn(name: string, what: string, error: unknown): void {
  publish('log', () => ({
    level: 'warn',
    component: 'runtime',
    message: `the lock "${name}" ${what}: ${errorMessage(error)}`,
  }))
}
