import { describe, expect, it } from 'vitest'
import { EVENT_TYPES, EVENT_VERSIONS, eventSchemas, parseEvent, priorityNumber } from './types.ts'
import type { NewEvent } from './types.ts'

const requested: NewEvent = {
  id: '5e5b5a5e-0000-8000-8000-000000000000',
  type: 'BackfillRequested',
  stream: 'series:AAPL|bars|1d',
  occurredAt: 0,
  data: {
    symbol: 'AAPL',
    dataType: 'bars',
    interval: '1d',
    layer: 1,
    from: '2015-01-02',
    to: '2015-06-30',
    priority: 'critical',
    requestedBy: 'gap_detection',
    metadata: {},
  },
}

describe('events', () => {
  it('has a version for every type', () => {
    expect(Object.keys(EVENT_VERSIONS).sort()).toEqual([...EVENT_TYPES].sort())
    expect(EVENT_TYPES.every((type) => /(ed)$/.test(type))).toBe(true)
  })

  it('fills in metadata and keeps the rest', () => {
    const { metadata: _left, ...data } = requested.data
    expect(parseEvent({ ...requested, data } as NewEvent)).toEqual(requested)
  })

  it.each([
    ['an unknown layer', { layer: 4 }],
    ['a date that does not exist', { from: '2015-02-29' }],
    ['an unknown interval', { interval: '2d' }],
    ['an unknown priority', { priority: 'urgent' }],
    ['a key it does not know', { symbols: ['AAPL'] }],
    ['an empty symbol', { symbol: '' }],
  ])('refuses %s', (_name, change) => {
    expect(() => parseEvent({ ...requested, data: { ...requested.data, ...change } } as NewEvent)).toThrow(
      /BackfillRequested/,
    )
  })

  it('refuses a count that is not whole', () => {
    const counts = { accepted: 1.5, quarantined: 0, inserted: 0, updated: 0, unchanged: 0 }
    const { success } = eventSchemas.BackfillCompleted.safeParse({
      symbol: 'A',
      dataType: 'bars',
      interval: '1d',
      from: '2015-01-02',
      to: '2015-01-02',
      outcome: 'complete',
      ...counts,
    })
    expect(success).toBe(false)
  })

  it('orders priorities', () => {
    expect(
      ['critical', 'normal', 'high'].sort(
        (a, b) => priorityNumber(a as 'high') - priorityNumber(b as 'high'),
      ),
    ).toEqual(['normal', 'high', 'critical'])
  })
})
