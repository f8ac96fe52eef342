export interface AcquireOptions {
  /** Lower is served first. Layer 3 → 0, layer 0 → 3. @defaultValue 0 */
  readonly priority?: number
  /** Permits to take at once. @defaultValue 1 */
  readonly cost?: number
  readonly signal?: AbortSignal
}

/** Gives permits against a provider's quota; the hard gate before every request. */
export interface QuotaGate {
  /** Waits for a permit. Rejects with the signal's reason if aborted while queued. */
  acquire(key: string, options?: AcquireOptions): Promise<void>
  /**
   * Like `acquire` for one request, but the permit counts from now until `complete` plus the window, so that the
   * quota holds at the server however long the request is on its way. Must be completed exactly once.
   */
  begin?(key: string, options?: AcquireOptions): Promise<{ complete(): void }>
  /** The server said "too many": nothing is let through for `pauseMs`. */
  penalize(key: string, pauseMs: number): void
}
