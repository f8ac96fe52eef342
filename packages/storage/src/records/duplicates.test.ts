import { describe, expect, it } from 'vitest'
import fc from 'fast-check'
import { groupDuplicates, normalizeTitle } from './duplicates.ts'

const traits = (item: { id: string; origin: string; title: string; time: number }) => item
const item = (origin: string, id: string, title: string, time: number) => ({ origin, id, title, time })

describe('stories told twice', () => {
  it('meet by their words, whatever the spelling of the headline', () => {
    expect(normalizeTitle('Apple’s “Café” – profit UP 1.5%!')).toBe(
      normalizeTitle("APPLE'S CAFE: profit up 1.5 %").replace(' %', '%'),
    )
    expect(normalizeTitle('profit 1.5')).not.toBe(normalizeTitle('profit 15'))
    expect(normalizeTitle('up +2%')).not.toBe(normalizeTitle('up -2%'))
    expect(normalizeTitle(' ... ')).toBe('')
  })

  it('are reported with the first to tell them, exact repeats apart from near ones', () => {
    const items = [
      item('b', '1', 'Big deal!', 5),
      item('a', '1', 'Big Deal', 3),
      item('a', '1', 'Bigger deal', 9),
      item('a', '2', 'big deal', 40),
      item('b', '2', '', 6),
      item('b', '3', '', 7),
    ]
    const groups = groupDuplicates(items, { traits, windowMs: 10 })
    expect(
      groups.map((group) => [
        group.first.id + group.first.origin,
        group.others.map((other) => `${other.item.id}${other.item.origin} ${other.kind}`),
      ]),
    ).toEqual([
      ['1a', ['1b near', '1a exact']],
      ['2b', []],
      ['3b', []],
      ['2a', []],
    ])
  })

  it('lose no item and need no order', () => {
    const any = fc.record({
      id: fc.constantFrom('1', '2', '3'),
      origin: fc.constantFrom('a', 'b'),
      title: fc.constantFrom('X', 'x!', 'y', ''),
      time: fc.uniqueArray(fc.nat(50), { minLength: 1, maxLength: 1 }).map(([n]) => n!),
    })
    fc.assert(
      fc.property(fc.uniqueArray(any, { selector: (entry) => entry.time }), fc.nat(20), (items, windowMs) => {
        const groups = groupDuplicates(items, { traits, windowMs })
        const all = groups.flatMap((group) => [group.first, ...group.others.map((other) => other.item)])
        expect(new Set(all)).toEqual(new Set(items))
        expect(all.length).toBe(items.length)
        expect(groupDuplicates([...items].reverse(), { traits, windowMs })).toEqual(groups)
      }),
    )
  })
})
