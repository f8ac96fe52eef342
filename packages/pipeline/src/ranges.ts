import { addDays, type DateRange, type SessionCalendar, type SessionDate } from '@varve/core'

/** The parts of `range` that none of `held` covers, in order. */
export function subtractRanges(range: DateRange, held: readonly DateRange[]): DateRange[] {
  const left: DateRange[] = []
  let from = range.from
  for (const part of [...held].sort((a, b) => (a.from < b.from ? -1 : a.from > b.from ? 1 : 0))) {
    if (part.to < from) continue
    if (part.from > range.to) break
    if (part.from > from) left.push({ from, to: addDays(part.from, -1) })
    from = addDays(part.to, 1)
    if (from > range.to) return left
  }
  if (from <= range.to) left.push({ from, to: range.to })
  return left
}

/** Cuts a range to the sessions inside it; `undefined` when there are none. */
export function trimToSessions(range: DateRange, calendar: SessionCalendar): DateRange | undefined {
  const sessions = calendar.sessionsInRange(range.from, range.to)
  const first = sessions[0]
  const last = sessions[sessions.length - 1]
  return first === undefined || last === undefined ? undefined : { from: first.date, to: last.date }
}

/** Splits a range into pieces of at most `days` calendar days. */
export function splitRange(range: DateRange, days: number): DateRange[] {
  const parts: DateRange[] = []
  for (let from = range.from; from <= range.to;) {
    const end = addDays(from, days - 1)
    const to = end < range.to ? end : range.to
    parts.push({ from, to })
    from = addDays(to, 1)
  }
  return parts
}

/** Sessions that follow one another, as ranges. `dates` must be sorted. */
export function contiguousSessions(dates: readonly SessionDate[], calendar: SessionCalendar): DateRange[] {
  const ranges: { from: SessionDate; to: SessionDate }[] = []
  for (const date of dates) {
    const last = ranges[ranges.length - 1]
    if (last !== undefined && calendar.nextSession(last.to) === date) last.to = date
    else ranges.push({ from: date, to: date })
  }
  return ranges
}
