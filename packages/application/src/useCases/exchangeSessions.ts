import { createExchangeCalendar } from '@varve/calendar'
import type { SessionDate } from '@varve/core'

export interface ExchangeSession {
  readonly session: SessionDate
  readonly openUtc: string
  readonly closeUtc: string
  readonly early: boolean
}

/** Sessions of an exchange, both dates included. @throws `CALENDAR_UNKNOWN_EXCHANGE`, `CALENDAR_OUT_OF_RANGE` */
export function exchangeSessions(exchange: string, from: SessionDate, to: SessionDate): ExchangeSession[] {
  const utc = (at: number) => new Date(at).toISOString().replace('.000Z', 'Z')
  return createExchangeCalendar(exchange)
    .sessionsInRange(from, to)
    .map(({ date, openAt, closeAt, early }) => ({
      session: date,
      openUtc: utc(openAt),
      closeUtc: utc(closeAt),
      early,
    }))
}
