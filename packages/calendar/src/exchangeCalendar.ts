import {
  dayNumber,
  dayOf,
  intervalMs,
  type Interval,
  type Session,
  type SessionCalendar,
  type SessionDate,
  VarveError,
} from '@varve/core'
import { weekdayOf } from './civil.ts'
import { newYorkDay, newYorkInstant, newYorkMidnight } from './newYork.ts'
import { closedDays, earlyCloses } from './xnys.ts'

/** Exchanges that keep the days and hours of the New York Stock Exchange, by ISO 10383 code. */
export const EXCHANGES = ['XNYS', 'XNAS', 'XASE', 'ARCX', 'BATS'] as const

/** First and last date the calendar answers for. */
export const CALENDAR_FIRST_DATE: SessionDate = '1990-01-01'
export const CALENDAR_LAST_DATE: SessionDate = '2030-12-31'

const OPEN_MINUTES = 9 * 60 + 30
const CLOSE_MINUTES = 16 * 60

/** Says what a date is, against the rules: closed, or open with a close at a minute after midnight. */
export interface SessionOverride {
  readonly date: SessionDate
  readonly closed?: boolean
  /** Minutes after midnight in New York; regular is 960. */
  readonly closeMinutes?: number
}

export interface ExchangeCalendarOptions {
  /** Closures and hours decided after this release. */
  readonly overrides?: readonly SessionOverride[]
}

/**
 * The trading calendar of a US equities exchange, 1990 to 2030.
 *
 * @throws `CALENDAR_UNKNOWN_EXCHANGE`
 * @example createExchangeCalendar('XNYS').isSession('2025-01-09') // false: mourning for President Carter
 */
export function createExchangeCalendar(
  exchange = 'XNYS',
  options: ExchangeCalendarOptions = {},
): SessionCalendar {
  if (!(EXCHANGES as readonly string[]).includes(exchange)) {
    throw new VarveError(`no calendar for exchange "${exchange}"; known: ${EXCHANGES.join(', ')}`, {
      code: 'CALENDAR_UNKNOWN_EXCHANGE',
      details: { found: exchange, known: [...EXCHANGES] },
    })
  }
  return new UsEquitiesCalendar(exchange, options.overrides ?? [])
}

class UsEquitiesCalendar implements SessionCalendar {
  readonly exchange: string
  readonly #sessions: readonly Session[]
  readonly #days: Int32Array
  readonly #byDate: ReadonlyMap<SessionDate, number>

  constructor(exchange: string, overrides: readonly SessionOverride[]) {
    this.exchange = exchange
    this.#sessions = buildSessions(overrides)
    this.#days = Int32Array.from(this.#sessions, (session) => dayNumber(session.date))
    this.#byDate = new Map(this.#sessions.map((session, index) => [session.date, index]))
  }

  isSession(date: SessionDate): boolean {
    this.#check(date)
    return this.#byDate.has(date)
  }

  session(date: SessionDate): Session | undefined {
    this.#check(date)
    const index = this.#byDate.get(date)
    return index === undefined ? undefined : this.#sessions[index]
  }

  sessionsInRange(from: SessionDate, to: SessionDate): readonly Session[] {
    this.#check(from)
    this.#check(to)
    return this.#sessions.slice(
      this.#firstAtOrAfter(dayNumber(from)),
      this.#firstAtOrAfter(dayNumber(to) + 1),
    )
  }

  nextSession(date: SessionDate): SessionDate {
    this.#check(date)
    return this.#at(this.#firstAtOrAfter(dayNumber(date) + 1), date)
  }

  previousSession(date: SessionDate): SessionDate {
    this.#check(date)
    return this.#at(this.#firstAtOrAfter(dayNumber(date)) - 1, date)
  }

  sessionOf(instantMs: number): SessionDate | undefined {
    const session = this.session(this.dateOf(instantMs))
    return session !== undefined && instantMs >= session.openAt && instantMs < session.closeAt
      ? session.date
      : undefined
  }

  dateOf(instantMs: number): SessionDate {
    return dayOf(newYorkDay(instantMs))
  }

  midnightOf(date: SessionDate): number {
    return newYorkMidnight(dayNumber(date))
  }

  expectedTimestamps(interval: Interval, from: SessionDate, to: SessionDate): Float64Array {
    const sessions = this.sessionsInRange(from, to)
    if (interval === '1d')
      return Float64Array.from(sessions, (session) => dayNumber(session.date) * 86_400_000)
    const step = intervalMs(interval)
    if (step === 0) return new Float64Array(0)
    const times: number[] = []
    for (const session of sessions)
      for (let at = session.openAt; at < session.closeAt; at += step) times.push(at)
    return Float64Array.from(times)
  }

  #firstAtOrAfter(day: number): number {
    let low = 0
    let high = this.#days.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#days[middle]! < day) low = middle + 1
      else high = middle
    }
    return low
  }

  #at(index: number, asked: SessionDate): SessionDate {
    const session = this.#sessions[index]
    if (session === undefined) throw outOfRange(asked)
    return session.date
  }

  #check(date: SessionDate): void {
    if (date < CALENDAR_FIRST_DATE || date > CALENDAR_LAST_DATE) throw outOfRange(date)
  }
}

function outOfRange(date: SessionDate): VarveError {
  return new VarveError(
    `the calendar covers ${CALENDAR_FIRST_DATE} to ${CALENDAR_LAST_DATE}; ${date} is outside`,
    {
      code: 'CALENDAR_OUT_OF_RANGE',
      details: { found: date, first: CALENDAR_FIRST_DATE, last: CALENDAR_LAST_DATE },
    },
  )
}

function buildSessions(overrides: readonly SessionOverride[]): Session[] {
  const changed = new Map(overrides.map((override) => [dayNumber(override.date), override]))
  const last = dayNumber(CALENDAR_LAST_DATE)
  const sessions: Session[] = []
  let year = 0
  let closed = new Set<number>()
  let early = new Map<number, number>()
  for (let day = dayNumber(CALENDAR_FIRST_DATE); day <= last; day++) {
    const date = dayOf(day)
    if (Number(date.slice(0, 4)) !== year) {
      year = Number(date.slice(0, 4))
      closed = closedDays(year)
      early = earlyCloses(year)
    }
    const override = changed.get(day)
    const weekday = weekdayOf(day)
    const open =
      override?.closed === undefined ? weekday >= 1 && weekday <= 5 && !closed.has(day) : !override.closed
    if (!open) continue
    const closeMinutes = override?.closeMinutes ?? early.get(day) ?? CLOSE_MINUTES
    sessions.push({
      date,
      openAt: newYorkInstant(day, OPEN_MINUTES),
      closeAt: newYorkInstant(day, closeMinutes),
      early: closeMinutes < CLOSE_MINUTES,
    })
  }
  return sessions
}
