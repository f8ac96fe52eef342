export {
  createExchangeCalendar,
  CALENDAR_FIRST_DATE,
  CALENDAR_LAST_DATE,
  EXCHANGES,
} from './exchangeCalendar.ts'
export type { ExchangeCalendarOptions, SessionOverride } from './exchangeCalendar.ts'
