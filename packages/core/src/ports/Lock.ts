/** Held until `release`; `token` grows with every acquisition of the same name, so that a late holder can be fenced. */
export interface LockHandle extends AsyncDisposable {
  readonly name: string
  readonly token: bigint
  release(): Promise<void>
}

/** Mutual exclusion across processes. */
export interface Lock {
  /** Waits up to `waitMs` for the lock. @throws `LOCK_TIMEOUT` */
  acquire(
    name: string,
    options?: { readonly waitMs?: number; readonly signal?: AbortSignal },
  ): Promise<LockHandle>
}
