/** Calendar arithmetic on day numbers (days since 1970-01-01), free of any time zone. */

/** 0 Sunday … 6 Saturday. */
export function weekdayOf(day: number): number {
  return (((day + 4) % 7) + 7) % 7
}

export function dayFrom(year: number, month: number, date: number): number {
  return Date.UTC(year, month - 1, date) / 86_400_000
}

/** The n-th `weekday` of a month, counted from 1. */
export function nthWeekday(year: number, month: number, weekday: number, n: number): number {
  const first = dayFrom(year, month, 1)
  return first + ((weekday - weekdayOf(first) + 7) % 7) + (n - 1) * 7
}

export function lastWeekday(year: number, month: number, weekday: number): number {
  const last = dayFrom(month === 12 ? year + 1 : year, month === 12 ? 1 : month + 1, 1) - 1
  return last - ((weekdayOf(last) - weekday + 7) % 7)
}

/** Easter Sunday, by the anonymous Gregorian algorithm (Meeus, "Astronomical Algorithms", ch. 8). */
export function easterSunday(year: number): number {
  const a = year % 19
  const b = Math.floor(year / 100)
  const c = year % 100
  const d = Math.floor(b / 4)
  const e = b % 4
  const g = Math.floor((8 * b + 13) / 25)
  const h = (19 * a + b - d - g + 15) % 30
  const i = Math.floor(c / 4)
  const k = c % 4
  const l = (32 + 2 * e + 2 * i - h - k) % 7
  const m = Math.floor((a + 11 * h + 22 * l) / 451)
  const month = Math.floor((h + l - 7 * m + 114) / 31)
  const date = ((h + l - 7 * m + 114) % 31) + 1
  return dayFrom(year, month, date)
}
