/** Lengths of time counted in buckets that grow by a constant factor, so that memory does not grow with the count. */
export interface LatencyHistogram {
  readonly count: number
  readonly totalMs: number
  readonly maxMs: number
  add(ms: number): void
  /** Adds what another histogram of the same error has counted. */
  merge(other: LatencyHistogram): void
  /** The length of time that `share` (0 to 1) of all stay within, milliseconds; 0 when nothing was counted. */
  percentileMs(share: number): number
  /** How often each bucket was hit. */
  readonly buckets: readonly number[]
}

/** Finer than this nothing is told apart, milliseconds: a microsecond. */
const FINEST_MS = 0.001

/**
 * An empty histogram.
 *
 * @param relativeError - how far a percentile may be off, as a fraction of it
 * @see Masson, Rim, Lee (2019), "DDSketch: A Fast and Fully-Mergeable Quantile Sketch with Relative-Error
 * Guarantees", PVLDB 12(12), §2: with γ = (1 + α) / (1 − α), bucket i holds (γ^(i−1), γ^i] and answers 2γ^i / (γ + 1)
 */
export function createLatencyHistogram(relativeError: number): LatencyHistogram {
  const gamma = (1 + relativeError) / (1 - relativeError)
  const logGamma = Math.log(gamma)
  const buckets: number[] = []
  let count = 0
  let totalMs = 0
  let maxMs = 0
  return {
    get count() {
      return count
    },
    get totalMs() {
      return totalMs
    },
    get maxMs() {
      return maxMs
    },
    buckets,
    add(ms) {
      const index = ms <= FINEST_MS ? 0 : Math.ceil(Math.log(ms / FINEST_MS) / logGamma)
      while (buckets.length <= index) buckets.push(0)
      buckets[index]!++
      count++
      totalMs += ms
      if (ms > maxMs) maxMs = ms
    },
    merge(other) {
      for (const [index, hits] of other.buckets.entries()) {
        while (buckets.length <= index) buckets.push(0)
        buckets[index]! += hits
      }
      count += other.count
      totalMs += other.totalMs
      maxMs = Math.max(maxMs, other.maxMs)
    },
    percentileMs(share) {
      if (count === 0) return 0
      const rank = Math.max(1, Math.ceil(share * count))
      let seen = 0
      for (const [index, hits] of buckets.entries()) {
        seen += hits
        if (seen >= rank) return Math.min(maxMs, (FINEST_MS * 2 * gamma ** index) / (gamma + 1))
      }
      return maxMs
    },
  }
}
