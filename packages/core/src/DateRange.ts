import type { SessionDate } from './sessionDate.ts'

/** Session dates from `from` to `to`, both included. */
export interface DateRange {
  readonly from: SessionDate
  readonly to: SessionDate
}
