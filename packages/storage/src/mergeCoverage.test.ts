import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { addDays } from '@varve/core'
import type { CoverageEntry, CoverageState } from './CoverageStore.ts'
import { mergeCoverage } from './mergeCoverage.ts'

const ORIGIN = '2015-01-01'

function entry(from: number, to: number, state: CoverageState, fetchedAt = 0): CoverageEntry {
  return {
    symbol: 'A',
    dataType: 'bars',
    interval: '1d',
    source: 'polygon',
    rows: 1,
    proof: null,
    from: addDays(ORIGIN, from),
    to: addDays(ORIGIN, to),
    state,
    fetchedAt,
  }
}

const brief = (entries: readonly CoverageEntry[]) =>
  entries.map(({ from, to, state }) => `${from.slice(5)}..${to.slice(5)} ${state}`)

describe('mergeCoverage', () => {
  it('joins ranges of one state that touch or overlap', () => {
    expect(
      brief(
        mergeCoverage([
          entry(0, 4, 'complete'),
          entry(5, 9, 'complete'),
          entry(8, 12, 'complete'),
          entry(20, 21, 'complete'),
        ]),
      ),
    ).toEqual(['01-01..01-13 complete', '01-21..01-22 complete'])
  })

  it('lets complete win over anything, and the later fetch over the earlier', () => {
    expect(
      brief(
        mergeCoverage([
          entry(0, 9, 'partial', 5),
          entry(3, 5, 'complete', 1),
          entry(8, 9, 'empty_confirmed', 6),
          entry(0, 1, 'empty_confirmed', 4),
        ]),
      ),
    ).toEqual([
      '01-01..01-03 partial',
      '01-04..01-06 complete',
      '01-07..01-08 partial',
      '01-09..01-10 empty_confirmed',
    ])
  })

  it('covers each day as the strongest entry of that day, whatever the order', () => {
    const arbitrary = fc.array(
      fc
        .tuple(
          fc.integer({ min: 0, max: 30 }),
          fc.integer({ min: 0, max: 8 }),
          fc.constantFrom<CoverageState>('complete', 'partial', 'empty_confirmed'),
          fc.integer({ min: 0, max: 3 }),
        )
        .map(([from, length, state, at]) => entry(from, from + length, state, at)),
      { maxLength: 8 },
    )
    fc.assert(
      fc.property(arbitrary, (entries) => {
        const merged = mergeCoverage(entries)
        expect(brief(mergeCoverage([...entries].reverse()))).toEqual(brief(merged))
        expect(brief(mergeCoverage(merged))).toEqual(brief(merged))
        for (let at = 0; at < 45; at++) {
          const date = addDays(ORIGIN, at)
          const here = entries.filter((e) => e.from <= date && e.to >= date)
          const latest = Math.max(...here.map((e) => e.fetchedAt))
          const newest = here.filter((e) => e.fetchedAt === latest).map((e) => e.state)
          const expected =
            here.length === 0
              ? []
              : here.some((e) => e.state === 'complete')
                ? ['complete']
                : newest.includes('empty_confirmed')
                  ? ['empty_confirmed']
                  : ['partial']
          expect(merged.filter((e) => e.from <= date && e.to >= date).map((e) => e.state)).toEqual(expected)
        }
      }),
      { numRuns: 200 },
    )
  })
})
