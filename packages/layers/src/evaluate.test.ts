import type { SessionCalendar } from '@varve/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Company } from './Company.ts'
import { universeSchema } from './definitions.ts'
import { evaluate } from './evaluate.ts'
import { METRIC_NAMES, type MetricValues } from './metricNames.ts'

/** Every weekday-free day of January 2026 is a session here: enough to count sessions. */
const dates = Array.from({ length: 31 }, (_, index) => `2026-01-${String(index + 1).padStart(2, '0')}`)
const calendar = {
  isSession: () => true,
  sessionsInRange: (from: string, to: string) =>
    dates.filter((date) => date >= from && date <= to).map((date) => ({ date })),
} as unknown as SessionCalendar

const universe = universeSchema.parse({
  maximumStep: 1,
  layers: [
    {
      layer: 0,
      name: 'a',
      criteria: [
        { metric: 'active', is: true },
        { metric: 'price', atLeast: 1 },
      ],
    },
    {
      layer: 1,
      name: 'b',
      minimumStaySessions: 3,
      criteria: [{ metric: 'averageDollarVolume', atLeast: 5e6, exit: 4e6 }],
    },
    {
      layer: 2,
      name: 'c',
      unknownGraceSessions: 2,
      criteria: [{ metric: 'catalystScore', atLeast: 3, exit: 2 }],
    },
    { layer: 3, name: 'd', criteria: [{ metric: 'relativeVolume', atLeast: 2 }] },
  ],
})

function company(overrides: Partial<Company> = {}): Company {
  return {
    symbol: 'AAPL',
    name: null,
    exchange: 'XNAS',
    type: null,
    active: true,
    marketCap: null,
    listedOn: null,
    delistedOn: null,
    layer: null,
    liquidityScore: null,
    layerSince: null,
    evaluatedOn: null,
    reasons: null,
    ...overrides,
  }
}

function values(overrides: Partial<MetricValues> = {}): MetricValues {
  const blank = Object.fromEntries(METRIC_NAMES.map((name) => [name, null])) as MetricValues
  return {
    ...blank,
    active: true,
    price: 20,
    averageDollarVolume: 1e7,
    catalystScore: 1,
    relativeVolume: 1,
    ...overrides,
  }
}

function judge(before: Company, metrics: MetricValues, session = '2026-01-20') {
  return evaluate({
    session,
    universe,
    companies: [before],
    metrics: new Map([[before.symbol, metrics]]),
    calendar,
  })
}

/** The company as it stands after an evaluation. */
function after(before: Company, metrics: MetricValues, session: string): Company {
  const { symbol: _symbol, ...update } = judge(before, metrics, session).updates[0]!
  return { ...before, ...update }
}

describe('evaluate', () => {
  it('qualifies a new symbol once, at its final layer, whatever the maximum step', () => {
    const { changes } = judge(company(), values({ catalystScore: 4, relativeVolume: 3 }))
    expect(changes).toMatchObject([{ kind: 'qualified', from: null, to: 3 }])
  })

  it('raises a known symbol by the maximum step', () => {
    const known = company({ layer: 0, layerSince: '2026-01-05', evaluatedOn: '2026-01-19' })
    const { changes } = judge(known, values({ catalystScore: 4, relativeVolume: 3 }))
    expect(changes).toMatchObject([{ kind: 'promoted', from: 0, to: 1, reasons: { held: 'maximum_step' } }])
  })

  it('needs every layer below', () => {
    const { updates } = judge(
      company(),
      values({ averageDollarVolume: 1e6, catalystScore: 5, relativeVolume: 9 }),
    )
    expect(updates[0]?.layer).toBe(0)
  })

  it('keeps a member down to the looser exit threshold, and only a member', () => {
    const member = company({ layer: 1, layerSince: '2026-01-05', evaluatedOn: '2026-01-19' })
    expect(judge(member, values({ averageDollarVolume: 4.5e6 })).changes).toEqual([])
    expect(judge(company(), values({ averageDollarVolume: 4.5e6 })).updates[0]?.layer).toBe(0)
  })

  it('demotes after the minimum stay, not before', () => {
    const member = company({ layer: 1, layerSince: '2026-01-18', evaluatedOn: '2026-01-19' })
    const poor = values({ averageDollarVolume: 1e6 })
    expect(judge(member, poor, '2026-01-20').updates[0]).toMatchObject({
      layer: 1,
      reasons: { held: 'minimum_stay' },
    })
    expect(judge(member, poor, '2026-01-21').changes).toMatchObject([{ kind: 'demoted', from: 1, to: 0 }])
  })

  it('drops a symbol that is no longer active at once', () => {
    const member = company({ layer: 1, active: false, layerSince: '2026-01-19', evaluatedOn: '2026-01-19' })
    expect(judge(member, values({ active: false })).changes).toMatchObject([
      { kind: 'demoted', from: 1, to: null },
    ])
  })

  it('never promotes on an unknown metric, and demotes only after its grace', () => {
    const unknown = values({ catalystScore: null })
    expect(judge(company(), unknown).updates[0]?.layer).toBe(1)
    let member = company({ layer: 2, layerSince: '2026-01-05', evaluatedOn: '2026-01-09' })
    for (const session of ['2026-01-10', '2026-01-11', '2026-01-12']) {
      member = after(member, unknown, session)
      expect(member.layer).toBe(2)
    }
    expect(after(member, unknown, '2026-01-13').layer).toBe(1)
  })

  it('holds an evaluation that would demote more than the allowed share', () => {
    const companies = ['A', 'B', 'C'].map((symbol) =>
      company({ symbol, layer: 0, layerSince: '2026-01-01', evaluatedOn: '2026-01-19' }),
    )
    const metrics = new Map(companies.map(({ symbol }) => [symbol, values({ price: 0.1 })]))
    const result = evaluate({ session: '2026-01-20', universe, companies, metrics, calendar })
    expect(result.heldForConfirmation).toEqual({ demotions: 3, layered: 3 })
  })

  it('gives value, threshold and margin of every criterion', () => {
    const { reasons } = judge(company(), values()).updates[0]!
    expect((reasons as { layers: unknown[] }).layers[1]).toEqual({
      layer: 1,
      outcome: 'pass',
      criteria: [
        {
          metric: 'averageDollarVolume',
          test: 'atLeast',
          value: 1e7,
          threshold: 5e6,
          outcome: 'pass',
          margin: 5e6,
        },
      ],
    })
  })

  it('judges a session again from what stood before it: no second step, the same reasons', () => {
    const known = company({ layer: 0, layerSince: '2026-01-05', evaluatedOn: '2026-01-19' })
    const metrics = values({ catalystScore: 4, relativeVolume: 3 })
    const once = after(known, metrics, '2026-01-20')
    expect(once.layer).toBe(1)
    expect(judge(once, metrics).changes).toEqual([])
    expect(after(once, metrics, '2026-01-20')).toEqual(once)
    // Control: the next session starts from the outcome and climbs on.
    expect(after(once, metrics, '2026-01-21').layer).toBe(2)
  })

  it('applies corrected data of the same session to what stood before it', () => {
    const known = company({ layer: 0, layerSince: '2026-01-05', evaluatedOn: '2026-01-19' })
    const once = after(known, values(), '2026-01-20')
    expect(once).toMatchObject({ layer: 1, layerSince: '2026-01-20' })
    // 4.5 M would do to stay in layer 1, but not to enter it.
    const corrected = judge(once, values({ averageDollarVolume: 4.5e6 }))
    expect(corrected.changes).toMatchObject([{ kind: 'demoted', from: 1, to: 0 }])
    expect(corrected.updates).toMatchObject([{ layer: 0, layerSince: '2026-01-05' }])
  })

  it('does not depend on the order of its input, and changes nothing the second time', () => {
    const metric = fc.record({
      price: fc.option(fc.double({ min: 0, max: 50, noNaN: true }), { nil: null }),
      averageDollarVolume: fc.option(fc.double({ min: 0, max: 1e7, noNaN: true }), { nil: null }),
      catalystScore: fc.option(fc.double({ min: 0, max: 6, noNaN: true }), { nil: null }),
      relativeVolume: fc.option(fc.double({ min: 0, max: 4, noNaN: true }), { nil: null }),
    })
    fc.assert(
      fc.property(fc.array(metric, { minLength: 1, maxLength: 12 }), (drawn) => {
        const companies = drawn.map((_, index) => company({ symbol: `S${index}` }))
        const metrics = new Map(drawn.map((item, index) => [`S${index}`, values(item)]))
        const input = { session: '2026-01-20', universe, metrics, calendar }
        const first = evaluate({ ...input, companies })
        expect(evaluate({ ...input, companies: [...companies].reverse() })).toEqual(first)
        const settled = companies.map((item) => {
          const { symbol: _symbol, ...update } = first.updates.find((entry) => entry.symbol === item.symbol)!
          return { ...item, ...update }
        })
        expect(evaluate({ ...input, companies: settled }).changes).toEqual([])
      }),
    )
  })
})

describe('universeSchema', () => {
  const layer = (number: number, criterion: object) => ({ layer: number, name: 'x', criteria: [criterion] })
  const base = [0, 1, 2, 3].map((number) => layer(number, { metric: 'price', atLeast: 1 }))

  it.each([
    ['an exit tighter than the entry', { metric: 'price', atLeast: 1, exit: 2 }],
    ['two comparators', { metric: 'price', atLeast: 1, atMost: 2 }],
    ['no comparator', { metric: 'price' }],
    ['an unknown metric', { metric: 'prise', atLeast: 1 }],
    ['an exit without a threshold', { metric: 'exchange', in: ['XNYS'], exit: 1 }],
  ])('refuses %s', (_name, criterion) => {
    expect(
      universeSchema.safeParse({ layers: [base[0], layer(1, criterion), base[2], base[3]] }).success,
    ).toBe(false)
  })

  it('refuses layers out of order', () => {
    expect(universeSchema.safeParse({ layers: [base[1], base[0], base[2], base[3]] }).success).toBe(false)
  })
})
