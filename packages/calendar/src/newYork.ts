import { lastWeekday, nthWeekday } from './civil.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000

/**
 * Milliseconds New York is behind UTC at midday of a day. Daylight saving time ran from the first Sunday of April
 * to the last of October until 2006 (Uniform Time Act as amended 1986) and runs from the second Sunday of March to
 * the first of November since 2007 (Energy Policy Act of 2005). Written as a rule so that no answer depends on the
 * process's zone or on the time zone data of the runtime.
 */
export function newYorkOffsetMs(day: number): number {
  const year = new Date(day * DAY_MS).getUTCFullYear()
  const start = year >= 2007 ? nthWeekday(year, 3, 0, 2) : nthWeekday(year, 4, 0, 1)
  const end = year >= 2007 ? nthWeekday(year, 11, 0, 1) : lastWeekday(year, 10, 0)
  return (day >= start && day < end ? 4 : 5) * HOUR_MS
}

/** The instant of a wall-clock minute after midnight in New York. Regular hours never meet a change of clocks. */
export function newYorkInstant(day: number, minutes: number): number {
  return day * DAY_MS + newYorkOffsetMs(day) + minutes * 60_000
}

/** Midnight at the start of a day. On the two days of change the offset at midnight is still the day before's. */
export function newYorkMidnight(day: number): number {
  return day * DAY_MS + newYorkOffsetMs(day - 1)
}

/** The day it is in New York at an instant. */
export function newYorkDay(instantMs: number): number {
  const guess = Math.floor((instantMs - 4 * HOUR_MS) / DAY_MS)
  if (instantMs >= newYorkMidnight(guess + 1)) return guess + 1
  return instantMs < newYorkMidnight(guess) ? guess - 1 : guess
}
