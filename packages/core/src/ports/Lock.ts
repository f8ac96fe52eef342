/**
 * A lock held until `release`, or until it is lost.
 *
 * A holder that was stopped for longer than the lock's time (a suspended process, a long pause) wakes up believing it
 * still holds the lock. No lock can prevent that; `token` can: it grows with every acquisition of the same name, so
 * whatever is written under the lock can refuse a token older than the newest it has seen.
 */
export interface LockHandle extends AsyncDisposable {
  readonly name: string
  /** Fencing number: larger than that of every earlier acquisition of this name. */
  readonly token: bigint
  /** Aborts with `LOCK_LOST` as soon as the lock is known, or must be presumed, to be lost. */
  readonly signal: AbortSignal
  /** Asks the store whether the lock is still held, and renews it. @throws `LOCK_LOST` */
  check(): Promise<void>
  /** Gives the lock back. `false`, and nothing changed, when it was not ours any more. Releasing twice is fine. */
  release(): Promise<boolean>
}

export interface LockOptions {
  /** How long to wait while somebody else holds it, milliseconds. */
  readonly waitMs?: number
  /** After this long without a renewal the lock is free again, milliseconds. */
  readonly ttlMs?: number
  /** Ends the wait; rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/** Mutual exclusion across processes. */
export interface Lock {
  /** Waits up to `waitMs` for the lock. @throws `LOCK_TIMEOUT`, `LOCK_STORE_UNAVAILABLE` (both retryable) */
  acquire(name: string, options?: LockOptions): Promise<LockHandle>
}
