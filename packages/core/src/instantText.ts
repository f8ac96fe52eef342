import { dayNumber, isSessionDate } from './sessionDate.ts'
import { DAY_MS } from './time.ts'

const DATE = /^(\d{4})-?(\d{2})-?(\d{2})$/
const INSTANT = /^(\d{4}-\d{2}-\d{2})[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:?\d{2})$/
const MILLIS_DIGITS = 3

/**
 * An instant written as a date (its first moment, UTC) or as ISO 8601 with `Z` or an offset, milliseconds UTC. NaN for
 * anything else: a time without a zone means another instant on every machine, impossible dates and fractions of a
 * millisecond are no instants. `Date.parse` takes all of these.
 */
export function parseInstantText(text: string): number {
  const date = DATE.exec(text)
  if (date !== null) {
    const session = `${date[1]}-${date[2]}-${date[3]}`
    return isSessionDate(session) ? dayNumber(session) * DAY_MS : Number.NaN
  }
  const found = INSTANT.exec(text)
  if (found === null || !isSessionDate(found[1]!)) return Number.NaN
  const [, day, hour, minute, second = '00', fraction = '', zone] = found
  if (/[1-9]/.test(fraction.slice(MILLIS_DIGITS))) return Number.NaN
  const millis = fraction.slice(0, MILLIS_DIGITS).padEnd(MILLIS_DIGITS, '0')
  return Date.parse(
    `${day}T${hour}:${minute}:${second}.${millis}${zone!.replace(/^([+-]\d{2})(\d{2})$/, '$1:$2')}`,
  )
}
