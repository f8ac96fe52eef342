/** A quota: never more than `limit` permits in any `windowMs` milliseconds. */
export interface QuotaWindow {
  /** Permits in the window. */
  readonly limit: number
  /** Length of the window, milliseconds. */
  readonly windowMs: number
}

/**
 * The exact sliding log over several windows at once. One ring holds the instant of every permit; each window looks
 * back `limit` places in it, so a check costs one read per window however large the limit is.
 *
 * A request that reports its end is counted as open until then, and from its end on for the length of the window: the
 * server saw it somewhere in between, so no delay on the way can push it into a window that is full.
 */
export class SlidingLog {
  readonly windows: readonly QuotaWindow[]
  readonly #marginMs: number
  readonly #ring: Float64Array
  readonly #mask: number
  /** Instants in the ring since the start. */
  #stamped = 0
  /** Permits whose request has not reported its end. */
  #open = 0

  /** @param marginMs - added to every window: two requests may arrive closer together than they were sent */
  constructor(windows: readonly QuotaWindow[], marginMs: number) {
    this.windows = windows
    this.#marginMs = marginMs
    const longest = Math.max(...windows.map((window) => window.limit))
    let capacity = 1
    while (capacity < longest) capacity *= 2
    this.#ring = new Float64Array(capacity)
    this.#mask = capacity - 1
  }

  /** Permits given since the start. */
  get granted(): number {
    return this.#stamped + this.#open
  }

  /** The most permits one call may take. */
  get largestCost(): number {
    return Math.min(...this.windows.map((window) => window.limit))
  }

  /** Milliseconds until `cost` permits fit every window; 0 when they fit now, Infinity while open ones fill it. */
  waitMs(now: number, cost: number): number {
    let wait = 0
    for (const window of this.windows) {
      // The permit that must have left the window before the last of ours enters it.
      const index = this.#stamped + this.#open + cost - 1 - window.limit
      if (index < 0) continue
      if (index >= this.#stamped) return Infinity
      const remaining = this.#ring[index & this.#mask]! + window.windowMs + this.#marginMs - now
      if (remaining > wait) wait = remaining
    }
    return wait
  }

  /** Records `cost` permits at `now`. */
  record(now: number, cost: number): void {
    for (let permit = 0; permit < cost; permit++) this.#ring[this.#stamped++ & this.#mask] = now
  }

  /** `cost` permits whose request will report its end. */
  open(cost: number): void {
    this.#open += cost
  }

  /** The request of `cost` open permits has ended. */
  end(now: number, cost: number): void {
    this.#open -= cost
    // The margin is for requests that do not report; here the end itself is the latest possible instant.
    const last = this.#stamped === 0 ? -Infinity : this.#ring[(this.#stamped - 1) & this.#mask]!
    this.record(Math.max(last, now - this.#marginMs), cost)
  }

  /** Permits of one window still counted at `now`, and when the oldest of them leaves. */
  usage(now: number, window: QuotaWindow): { readonly used: number; readonly resetMs: number } {
    const length = window.windowMs + this.#marginMs
    const from = Math.max(0, this.#stamped - window.limit)
    // Instants grow along the ring: the first one still inside is found by halving.
    let low = from
    let high = this.#stamped
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#ring[middle & this.#mask]! + length > now) high = middle
      else low = middle + 1
    }
    const stamped = this.#stamped - low
    return {
      used: stamped + this.#open,
      resetMs: stamped === 0 ? 0 : this.#ring[low & this.#mask]! + length - now,
    }
  }
}
