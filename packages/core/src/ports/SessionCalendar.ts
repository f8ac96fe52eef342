import type { Interval } from '../Interval.ts'
import type { SessionDate } from '../sessionDate.ts'

/** One trading day of an exchange. Instants are milliseconds since 1970-01-01T00:00Z. */
export interface Session {
  readonly date: SessionDate
  readonly openAt: number
  readonly closeAt: number
  /** Closes before the regular hour. */
  readonly early: boolean
}

/** When an exchange trades. Answers are the same under any process time zone. */
export interface SessionCalendar {
  readonly exchange: string
  isSession(date: SessionDate): boolean
  session(date: SessionDate): Session | undefined
  /** Sessions from `from` to `to`, both included, in order. @throws `CALENDAR_OUT_OF_RANGE` */
  sessionsInRange(from: SessionDate, to: SessionDate): readonly Session[]
  /** The first session after `date` (strictly). */
  nextSession(date: SessionDate): SessionDate
  /** The last session before `date` (strictly). */
  previousSession(date: SessionDate): SessionDate
  /** The session in whose regular hours the instant lies, or `undefined`. */
  sessionOf(instantMs: number): SessionDate | undefined
  /** The exchange's calendar date at an instant. */
  dateOf(instantMs: number): SessionDate
  /** Midnight, in the exchange's zone, at the start of `date`. */
  midnightOf(date: SessionDate): number
  /** Start instants of the bars the regular hours of a range should have; for `1d` one UTC midnight per session date. */
  expectedTimestamps(interval: Interval, from: SessionDate, to: SessionDate): Float64Array
}
