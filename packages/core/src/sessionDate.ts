import { DAY_MS } from './time.ts'
import { VarveError } from './VarveError.ts'

/** A session's date in the exchange's calendar, `YYYY-MM-DD`. A string, so that no time zone can shift it. */
export type SessionDate = string

const FORM = /^(\d{4})-(\d{2})-(\d{2})$/

/** True for a date of the form `YYYY-MM-DD` that exists in the Gregorian calendar. */
export function isSessionDate(text: string): boolean {
  const match = FORM.exec(text)
  if (match === null) return false
  const at = new Date(0)
  at.setUTCFullYear(Number(match[1]), Number(match[2]) - 1, Number(match[3]))
  return at.toISOString().slice(0, 10) === text
}

/** @throws `DATE_INVALID` for a date that does not exist or is not written `YYYY-MM-DD` */
export function parseSessionDate(text: string): SessionDate {
  if (!isSessionDate(text)) {
    throw new VarveError(`"${text}" is not a date; write YYYY-MM-DD, for example 2015-06-30`, {
      code: 'DATE_INVALID',
      details: { found: text },
    })
  }
  return text
}

/** Days since 1970-01-01 of a date. */
export function dayNumber(date: SessionDate): number {
  return Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)) - 1, Number(date.slice(8, 10))) / DAY_MS
}

/** The date of a day number. */
export function dayOf(day: number): SessionDate {
  return new Date(day * DAY_MS).toISOString().slice(0, 10)
}

/** The date `days` calendar days later (earlier when negative). */
export function addDays(date: SessionDate, days: number): SessionDate {
  return dayOf(dayNumber(date) + days)
}

/** Calendar days from `from` to `to`. */
export function daysBetween(from: SessionDate, to: SessionDate): number {
  return dayNumber(to) - dayNumber(from)
}
