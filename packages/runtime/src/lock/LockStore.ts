/** What one attempt brought: the lock with its token, or how long the present holder may still keep it. */
export type LockAnswer =
  { readonly granted: true; readonly token: bigint } | { readonly granted: false; readonly freeInMs: number }

/**
 * Where locks are kept. Each call is one atomic step at the store, judged by the store's own clock. `owner` names one
 * acquisition and is never used again; a repeated call with the same owner gets the same answer.
 */
export interface LockStore {
  tryAcquire(name: string, owner: string, ttlMs: number): Promise<LockAnswer>
  /** True when `owner` still held the lock, which now lasts another `ttlMs`. */
  renew(name: string, owner: string, ttlMs: number): Promise<boolean>
  /** True when `owner` still held the lock, which is now free; otherwise nothing changes. */
  release(name: string, owner: string): Promise<boolean>
}
