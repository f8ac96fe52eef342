import { createExchangeCalendar } from '@varve/calendar'
import { addDays, type DateRange, daysBetween } from '@varve/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { contiguousSessions, splitRange, subtractRanges, trimToSessions } from './ranges.ts'

const calendar = createExchangeCalendar('XNYS')
const start = '2026-01-01'
const range = fc
  .tuple(fc.integer({ min: 0, max: 60 }), fc.integer({ min: 0, max: 20 }))
  .map(([from, length]): DateRange => ({ from: addDays(start, from), to: addDays(start, from + length) }))
const daysOf = ({ from, to }: DateRange) =>
  Array.from({ length: daysBetween(from, to) + 1 }, (_, day) => addDays(from, day))

describe('subtractRanges', () => {
  it('leaves exactly the days nobody holds: held plus missing is the range asked for', () => {
    fc.assert(
      fc.property(range, fc.array(range, { maxLength: 6 }), (asked, held) => {
        const missing = subtractRanges(asked, held).flatMap(daysOf)
        const covered = new Set(held.flatMap(daysOf))
        expect(missing).toEqual(daysOf(asked).filter((day) => !covered.has(day)))
      }),
    )
  })
})

describe('splitRange', () => {
  it('cuts a range into pieces that are not too long and join again', () => {
    fc.assert(
      fc.property(range, fc.integer({ min: 1, max: 9 }), (asked, days) => {
        const parts = splitRange(asked, days)
        expect(parts.flatMap(daysOf)).toEqual(daysOf(asked))
        for (const part of parts) expect(daysOf(part).length).toBeLessThanOrEqual(days)
      }),
    )
  })
})

describe('trimToSessions', () => {
  it('cuts to the sessions inside', () => {
    expect(trimToSessions({ from: '2026-07-03', to: '2026-07-07' }, calendar)).toEqual({
      from: '2026-07-06',
      to: '2026-07-07',
    })
  })
  it('has nothing for a holiday weekend', () => {
    expect(trimToSessions({ from: '2026-07-03', to: '2026-07-05' }, calendar)).toBeUndefined()
  })
})

describe('contiguousSessions', () => {
  it('joins sessions that follow one another, over weekends and holidays', () => {
    expect(contiguousSessions(['2026-07-02', '2026-07-06', '2026-07-08'], calendar)).toEqual([
      { from: '2026-07-02', to: '2026-07-06' },
      { from: '2026-07-08', to: '2026-07-08' },
    ])
  })
})
