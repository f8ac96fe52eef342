import { describe, expect, it } from 'vitest'
import { createExchangeCalendar } from './exchangeCalendar.ts'

const calendar = createExchangeCalendar('XNYS')

describe('XNYS sessions', () => {
  // Counts, closures and half days as published by the exchange.
  it.each([
    [2024, 252, 97_740],
    [2025, 250, 96_960],
    [2026, 251, 97_530],
    [2027, 251, null],
    [2028, 251, null],
  ])('%i has %i sessions', (year, count, minutes) => {
    const sessions = calendar.sessionsInRange(`${year}-01-01`, `${year}-12-31`)
    expect(sessions).toHaveLength(count)
    if (minutes !== null) {
      expect(sessions.reduce((sum, session) => sum + (session.closeAt - session.openAt) / 60_000, 0)).toBe(
        minutes,
      )
    }
  })

  it.each(['1994-04-27', '2001-09-11', '2004-06-11', '2007-01-02', '2012-10-29', '2018-12-05', '2025-01-09'])(
    'was closed on %s',
    (date) => {
      expect(calendar.isSession(date)).toBe(false)
    },
  )

  it.each(['1997-01-20', '2021-06-18', '2010-12-31', '2021-12-31', '2027-12-31'])(
    'was open on %s',
    (date) => {
      expect(calendar.isSession(date)).toBe(true)
    },
  )

  it.each(['1998-01-19', '2022-06-20', '2026-07-03', '2021-12-24', '2000-04-21'])(
    'was closed on holiday %s',
    (date) => {
      expect(calendar.isSession(date)).toBe(false)
    },
  )

  it.each([
    '1992-12-24',
    '1996-07-05',
    '2002-07-05',
    '2012-07-03',
    '2013-07-03',
    '2019-07-03',
    '2024-07-03',
    '2025-11-28',
    '2026-12-24',
  ])('closed early on %s', (date) => {
    expect(calendar.session(date)?.early).toBe(true)
  })

  it.each(['1991-11-29', '2013-07-05', '2026-07-02', '2022-12-23'])('kept full hours on %s', (date) => {
    expect(calendar.session(date)?.early).toBe(false)
  })

  it('moves the opening with daylight saving time', () => {
    expect(new Date(calendar.session('2025-03-07')!.openAt).toISOString()).toBe('2025-03-07T14:30:00.000Z')
    expect(new Date(calendar.session('2025-03-10')!.openAt).toISOString()).toBe('2025-03-10T13:30:00.000Z')
    expect(new Date(calendar.midnightOf('2025-03-10')).toISOString()).toBe('2025-03-10T04:00:00.000Z')
    expect(new Date(calendar.midnightOf('2025-03-09')).toISOString()).toBe('2025-03-09T05:00:00.000Z')
  })

  it('names the date in New York of any instant', () => {
    expect(calendar.dateOf(Date.parse('2025-01-10T04:59:59Z'))).toBe('2025-01-09')
    expect(calendar.dateOf(Date.parse('2025-01-10T05:00:00Z'))).toBe('2025-01-10')
    expect(calendar.dateOf(Date.parse('2025-07-10T03:59:59Z'))).toBe('2025-07-09')
    expect(calendar.dateOf(Date.parse('2025-07-10T04:00:00Z'))).toBe('2025-07-10')
  })

  it('finds neighbours and the session of an instant', () => {
    expect(calendar.nextSession('2015-06-30')).toBe('2015-07-01')
    expect(calendar.previousSession('2015-07-06')).toBe('2015-07-02')
    expect(calendar.sessionOf(Date.parse('2025-07-03T16:59:00Z'))).toBe('2025-07-03')
    expect(calendar.sessionOf(Date.parse('2025-07-03T17:00:00Z'))).toBeUndefined()
  })

  it('expects 210 minutes on a half day and 390 on a full one', () => {
    expect(calendar.expectedTimestamps('1m', '2025-07-03', '2025-07-03')).toHaveLength(210)
    expect(calendar.expectedTimestamps('1m', '2025-07-07', '2025-07-07')).toHaveLength(390)
    expect(calendar.expectedTimestamps('1h', '2025-07-07', '2025-07-07')).toHaveLength(7)
    expect([...calendar.expectedTimestamps('1d', '2025-07-03', '2025-07-07')]).toEqual([
      Date.UTC(2025, 6, 3),
      Date.UTC(2025, 6, 7),
    ])
  })

  it('refuses dates it has no rules for, and unknown exchanges', () => {
    expect(() => calendar.isSession('1989-12-31')).toThrow(
      expect.objectContaining({ code: 'CALENDAR_OUT_OF_RANGE' }),
    )
    expect(() => createExchangeCalendar('XTKS')).toThrow(
      expect.objectContaining({ code: 'CALENDAR_UNKNOWN_EXCHANGE' }),
    )
  })

  it('takes closures decided after the release', () => {
    const changed = createExchangeCalendar('XNYS', {
      overrides: [
        { date: '2029-05-15', closed: true },
        { date: '2029-05-16', closeMinutes: 780 },
      ],
    })
    expect(changed.isSession('2029-05-15')).toBe(false)
    expect(changed.session('2029-05-16')?.early).toBe(true)
  })
})
