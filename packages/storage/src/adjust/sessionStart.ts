import { DAY_MS, HOUR_MS, type SessionDate, dayNumber } from '@varve/core'

const formats = new Map<string, Intl.DateTimeFormat>()

function format(timeZone: string): Intl.DateTimeFormat {
  let found = formats.get(timeZone)
  if (found === undefined) {
    found = new Intl.DateTimeFormat('en-CA', {
      timeZone,
      hourCycle: 'h23',
      year: 'numeric',
      month: '2-digit',
      day: '2-digit',
      hour: '2-digit',
      minute: '2-digit',
      second: '2-digit',
    })
    formats.set(timeZone, found)
  }
  return found
}

/** What clocks show in a time zone, read as if it were UTC. */
function wallClock(at: number, timeZone: string): number {
  const part = Object.fromEntries(
    format(timeZone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  )
  return Date.UTC(part.year!, part.month! - 1, part.day!, part.hour!, part.minute!, part.second!)
}

/** The session date an instant belongs to. */
export function sessionDateAt(at: number, timeZone: string): SessionDate {
  return new Date(wallClock(at, timeZone)).toISOString().slice(0, 10)
}

/** The instant a date begins at midnight of a time zone, milliseconds UTC. */
export function sessionStart(date: SessionDate, timeZone: string): number {
  const midnight = dayNumber(date) * DAY_MS
  // The offset is that of the instant itself, not of UTC midnight: looked at twice, because a clock may change
  // between the two.
  let at = midnight - (wallClock(midnight, timeZone) - midnight)
  at -= wallClock(at, timeZone) - midnight
  // Where clocks skip midnight the date begins an hour later.
  return wallClock(at, timeZone) < midnight ? at + HOUR_MS : at
}
