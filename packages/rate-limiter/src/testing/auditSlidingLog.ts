import type { QuotaWindow } from '../slidingLog.ts'

/**
 * What a provider with a strict sliding log would have answered: replays the instants in order and counts those that
 * break any window. A refused request is not counted against the windows.
 */
export function auditSlidingLog(
  times: readonly number[],
  windows: readonly QuotaWindow[],
): { readonly accepted: number; readonly violations: number } {
  const accepted: number[] = []
  let violations = 0
  for (const time of times.toSorted((a, b) => a - b)) {
    const full = windows.some(({ limit, windowMs }) => {
      const oldest = accepted[accepted.length - limit]
      return oldest !== undefined && time - oldest < windowMs
    })
    if (full) violations++
    else accepted.push(time)
  }
  return { accepted: accepted.length, violations }
}
