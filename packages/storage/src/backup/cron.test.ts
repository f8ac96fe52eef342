import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { isCron, nextRun } from './cron.ts'

const at = (text: string) => Date.parse(`${text}:00Z`)
const after = (schedule: string, from: string) =>
  new Date(nextRun(schedule, at(from))).toISOString().slice(0, 16)

describe('a schedule', () => {
  it.each([
    ['0 2 * * *', '2026-01-10T02:00', '2026-01-11T02:00'],
    ['0 2 * * *', '2026-01-10T01:59', '2026-01-10T02:00'],
    ['0 */6 * * *', '2026-12-31T18:00', '2027-01-01T00:00'],
    ['0 1 * * 0', '2026-01-10T02:00', '2026-01-11T01:00'],
    ['0 1 * * 7', '2026-01-10T02:00', '2026-01-11T01:00'],
    ['*/20 9-10 * 3,4 1-5', '2026-03-06T10:40', '2026-03-09T09:00'],
    ['5/25 0 * * *', '2026-01-01T00:05', '2026-01-01T00:30'],
    // Either day when both are given, as in Vixie cron: the 13th, and Fridays.
    ['0 0 13 * 5', '2026-02-07T00:00', '2026-02-13T00:00'],
    ['0 0 13 * 5', '2026-02-13T00:00', '2026-02-20T00:00'],
    ['0 0 29 2 *', '2026-01-01T00:00', '2028-02-29T00:00'],
    ['0 0 29 2 *', '2097-01-01T00:00', '2104-02-29T00:00'],
    ['0 0 31 * *', '2026-03-31T00:00', '2026-05-31T00:00'],
  ])('%s after %s is %s', (schedule, from, expected) => {
    expect(after(schedule, from)).toBe(expected)
  })

  it('neither skips nor repeats an hour when clocks change, whatever the time zone of the process', () => {
    const before = process.env.TZ
    process.env.TZ = 'America/New_York'
    try {
      // 02:30 does not exist in New York on 8 March 2026 and 01:30 comes twice on 1 November: in UTC both are plain.
      expect(after('30 2 * * *', '2026-03-07T02:30')).toBe('2026-03-08T02:30')
      expect(after('30 1 * * *', '2026-11-01T01:30')).toBe('2026-11-02T01:30')
    } finally {
      if (before === undefined) delete process.env.TZ
      else process.env.TZ = before
    }
  })

  it.each([
    '* * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '*/0 * * * *',
    '5-1 * * * *',
    'a * * * *',
    '0 0 30 2 *',
    '@daily',
  ])('%s is refused', (schedule) => {
    expect(isCron(schedule)).toBe(false)
    expect(() => nextRun(schedule, 0)).toThrow(expect.objectContaining({ code: 'CRON_INVALID' }) as Error)
  })

  it('names every minute that a minute-by-minute search finds, and no other', () => {
    const number = (least: number, most: number) =>
      fc.oneof(
        fc.constant('*'),
        fc.integer({ min: least, max: most }).map(String),
        fc.integer({ min: 2, max: 9 }).map((step) => `*/${step}`),
      )
    fc.assert(
      fc.property(
        fc.tuple(number(0, 59), number(0, 23), number(1, 28), number(1, 12), number(0, 6)),
        fc.integer({ min: 0, max: 2_000_000 }),
        (fields, minute) => {
          const from = at('2026-01-01T00:00') + minute * 60_000
          const found = nextRun(fields.join(' '), from)
          expect(found % 60_000).toBe(0)
          expect(matches(fields, found)).toBe(true)
          for (let step = 1; step < 3000; step++) {
            const time = from + step * 60_000
            if (time >= found) break
            expect(matches(fields, time)).toBe(false)
          }
        },
      ),
      { numRuns: 100 },
    )
  })
})

/** One moment against five fields of `*`, a number or a step. */
function matches(fields: readonly string[], time: number): boolean {
  const date = new Date(time)
  const values = [
    date.getUTCMinutes(),
    date.getUTCHours(),
    date.getUTCDate(),
    date.getUTCMonth() + 1,
    date.getUTCDay(),
  ]
  const least = [0, 0, 1, 1, 0]
  const one = (index: number) => {
    const field = fields[index]!
    if (field === '*') return true
    if (field.startsWith('*/')) return (values[index]! - least[index]!) % Number(field.slice(2)) === 0
    return Number(field) === values[index]
  }
  const days =
    !fields[2]!.startsWith('*') && !fields[4]!.startsWith('*') ? one(2) || one(4) : one(2) && one(4)
  return one(0) && one(1) && one(3) && days
}
