import { dayFrom, easterSunday, lastWeekday, nthWeekday, weekdayOf } from './civil.ts'

/**
 * Rules and dated exceptions of the New York Stock Exchange, 1990 to 2030. Nasdaq, NYSE American, NYSE Arca and
 * Cboe BZX keep the same days. Facts after NYSE rule 7.2, the exchange's yearly holiday notices, and its history
 * of special closings; scheduled early closes only (interruptions within a day are not sessions' hours).
 */

const MONDAY = 1
const TUESDAY = 2
const WEDNESDAY = 3
const THURSDAY = 4
const FRIDAY = 5

/** Closed days outside the rules. */
const SPECIAL_CLOSURES: readonly string[] = [
  '1994-04-27', // funeral of President Nixon
  '2001-09-11', // attacks on New York and Washington
  '2001-09-12',
  '2001-09-13',
  '2001-09-14',
  '2004-06-11', // mourning for President Reagan
  '2007-01-02', // mourning for President Ford
  '2012-10-29', // hurricane Sandy
  '2012-10-30',
  '2018-12-05', // mourning for President George H. W. Bush
  '2025-01-09', // mourning for President Carter
]

const ONE_PM = 13 * 60
const TWO_PM = 14 * 60

/** Early closes outside the rules, minutes after midnight. */
const SPECIAL_EARLY_CLOSES: Readonly<Record<string, number>> = {
  '1997-12-26': ONE_PM,
  '1999-12-31': ONE_PM,
  '2003-12-26': ONE_PM,
}

/** A holiday that falls on a Saturday is kept on Friday, one on a Sunday on Monday. */
function nearestWeekday(day: number): number {
  const weekday = weekdayOf(day)
  return weekday === 6 ? day - 1 : weekday === 0 ? day + 1 : day
}

/** Days of a year on which the exchange does not open although it is a weekday. */
export function closedDays(year: number): Set<number> {
  const closed = new Set<number>()
  const newYear = dayFrom(year, 1, 1)
  // A Saturday New Year's Day is not made up for: the Friday before ends the accounting year.
  if (weekdayOf(newYear) !== 6) closed.add(nearestWeekday(newYear))
  if (year >= 1998) closed.add(nthWeekday(year, 1, MONDAY, 3)) // Martin Luther King Jr. Day
  closed.add(nthWeekday(year, 2, MONDAY, 3)) // Washington's Birthday
  closed.add(easterSunday(year) - 2) // Good Friday
  closed.add(lastWeekday(year, 5, MONDAY)) // Memorial Day
  if (year >= 2022) closed.add(nearestWeekday(dayFrom(year, 6, 19))) // Juneteenth
  closed.add(nearestWeekday(dayFrom(year, 7, 4))) // Independence Day
  closed.add(nthWeekday(year, 9, MONDAY, 1)) // Labor Day
  closed.add(nthWeekday(year, 11, THURSDAY, 4)) // Thanksgiving Day
  closed.add(nearestWeekday(dayFrom(year, 12, 25))) // Christmas Day
  for (const date of SPECIAL_CLOSURES) {
    if (date.startsWith(`${year}-`)) closed.add(Date.parse(`${date}T00:00Z`) / 86_400_000)
  }
  return closed
}

/** Early closes of a year: day → minutes after midnight in New York. */
export function earlyCloses(year: number): Map<number, number> {
  const early = new Map<number, number>()
  const afterThanksgiving = nthWeekday(year, 11, THURSDAY, 4) + 1
  if (year >= 1992) early.set(afterThanksgiving, year >= 1993 ? ONE_PM : TWO_PM)
  const christmasEve = dayFrom(year, 12, 24)
  if (weekdayOf(christmasEve) >= MONDAY && weekdayOf(christmasEve) <= THURSDAY) {
    early.set(christmasEve, year >= 1993 ? ONE_PM : TWO_PM)
  }
  const third = dayFrom(year, 7, 3)
  const weekday = weekdayOf(third)
  if (year >= 1995 && (weekday === MONDAY || weekday === TUESDAY || weekday === THURSDAY)) {
    early.set(third, ONE_PM)
  }
  // When the Fourth is a Thursday: until 2012 the Friday after was short, since 2013 the Wednesday before.
  if (year >= 2013 && weekday === WEDNESDAY) early.set(third, ONE_PM)
  if (year >= 1995 && year <= 2012 && weekdayOf(third + 2) === FRIDAY) early.set(third + 2, ONE_PM)
  for (const [date, minutes] of Object.entries(SPECIAL_EARLY_CLOSES)) {
    if (date.startsWith(`${year}-`)) early.set(Date.parse(`${date}T00:00Z`) / 86_400_000, minutes)
  }
  return early
}
