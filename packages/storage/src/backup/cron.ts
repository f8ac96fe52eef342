import { MINUTE_MS, VarveError } from '@varve/core'

/**
 * The five fields of cron, in UTC: no daylight saving, so no time is skipped or comes twice. A field is `*`, a number,
 * a range `1-5`, each with a step `/2`, or a list of those. Sunday is 0 or 7. When both days are restricted, one that
 * fits is enough, as in Vixie cron.
 */
interface Schedule {
  readonly minutes: ReadonlySet<number>
  readonly hours: ReadonlySet<number>
  readonly days: ReadonlySet<number>
  readonly months: ReadonlySet<number>
  readonly weekdays: ReadonlySet<number>
  readonly eitherDay: boolean
}

const FIELDS = [
  { name: 'minute', least: 0, most: 59 },
  { name: 'hour', least: 0, most: 23 },
  { name: 'day of month', least: 1, most: 31 },
  { name: 'month', least: 1, most: 12 },
  { name: 'day of week', least: 0, most: 7 },
] as const

/** 29 February is at most eight years away: 1896 to 1904, 2096 to 2104. Nothing comes later than that. */
const FURTHEST_YEAR = 8

/** Whether a text is a schedule that ever comes. */
export function isCron(text: string): boolean {
  try {
    nextRun(text, 0)
    return true
  } catch {
    return false
  }
}

/**
 * The first minute after an instant that a schedule names, milliseconds since 1970-01-01T00:00Z.
 *
 * @param text - such as `0 2 * * *`
 * @throws `CRON_INVALID`, also for a day that never comes
 */
export function nextRun(text: string, after: number): number {
  const schedule = parse(text)
  const first = Math.floor(after / MINUTE_MS) * MINUTE_MS + MINUTE_MS
  const start = new Date(first)
  const last = Date.UTC(start.getUTCFullYear() + FURTHEST_YEAR, start.getUTCMonth(), start.getUTCDate() + 1)
  const day = new Date(Date.UTC(start.getUTCFullYear(), start.getUTCMonth(), start.getUTCDate()))
  const hours = [...schedule.hours].sort((a, b) => a - b)
  const minutes = [...schedule.minutes].sort((a, b) => a - b)
  for (; day.getTime() <= last; day.setUTCDate(day.getUTCDate() + 1)) {
    if (!fits(schedule, day)) continue
    for (const hour of hours) {
      for (const minute of minutes) {
        const at = Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate(), hour, minute)
        if (at >= first) return at
      }
    }
  }
  throw invalid(text, 'that day never comes')
}

function fits({ days, months, weekdays, eitherDay }: Schedule, day: Date): boolean {
  if (!months.has(day.getUTCMonth() + 1)) return false
  const [ofMonth, ofWeek] = [days.has(day.getUTCDate()), weekdays.has(day.getUTCDay())]
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek
}

function parse(text: string): Schedule {
  const parts = text.trim().split(/\s+/)
  if (parts.length !== FIELDS.length)
    throw invalid(text, `${parts.length} fields instead of ${FIELDS.length}`)
  const [minutes, hours, days, months, weekdays] = FIELDS.map((field, index) =>
    parseField(text, parts[index]!, field),
  ) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>]
  if (weekdays.delete(7)) weekdays.add(0)
  const restricted = (part: string) => !part.startsWith('*')
  return { minutes, hours, days, months, weekdays, eitherDay: restricted(parts[2]!) && restricted(parts[4]!) }
}

function parseField(text: string, part: string, { name, least, most }: (typeof FIELDS)[number]): Set<number> {
  const values = new Set<number>()
  for (const item of part.split(',')) {
    const match = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(item)
    if (match === null) throw invalid(text, `"${item}" is no ${name}`)
    const [, low, high, every] = match
    const from = low === undefined ? least : Number(low)
    // "5/15" means from 5 on, as in most crons.
    const to = high !== undefined ? Number(high) : low === undefined || every !== undefined ? most : from
    const step = every === undefined ? 1 : Number(every)
    if (from < least || to > most || from > to || step < 1) {
      throw invalid(text, `the ${name} "${item}" is outside ${least} to ${most}`)
    }
    for (let value = from; value <= to; value += step) values.add(value)
  }
  return values
}

function invalid(text: string, what: string): VarveError {
  return new VarveError(
    `the schedule "${text}" cannot be followed: ${what}; write minute hour day-of-month month day-of-week, such as "0 2 * * *"`,
    { code: 'CRON_INVALID', details: { schedule: text } },
  )
}
