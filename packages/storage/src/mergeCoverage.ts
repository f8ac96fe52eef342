import { type SessionDate, addDays } from '@varve/core'
import type { CoverageEntry } from './CoverageStore.ts'

/**
 * Ranges of one series as disjoint ranges by date. Where entries overlap, `complete` wins, then the one fetched
 * later, then `empty_confirmed`; neighbours of one state become one range. The order of the entries does not matter.
 */
export function mergeCoverage(entries: readonly CoverageEntry[]): CoverageEntry[] {
  const valid = entries.filter((entry) => entry.from <= entry.to)
  if (valid.length < 2) return valid
  const cuts = [...new Set(valid.flatMap((entry) => [entry.from, addDays(entry.to, 1)]))].sort()
  const strongest = [...valid].sort(byStrength)
  const merged: CoverageEntry[] = []
  for (let index = 0; index + 1 < cuts.length; index++) {
    const from: SessionDate = cuts[index]!
    const to = addDays(cuts[index + 1]!, -1)
    const winner = strongest.find((entry) => entry.from <= from && entry.to >= to)
    if (winner === undefined) continue
    const last = merged.at(-1)
    if (last !== undefined && last.state === winner.state && addDays(last.to, 1) === from) {
      const newest = last.fetchedAt >= winner.fetchedAt ? last : winner
      merged[merged.length - 1] = { ...newest, from: last.from, to, rows: Math.max(last.rows, winner.rows) }
    } else {
      merged.push({ ...winner, from, to })
    }
  }
  return merged
}

function byStrength(a: CoverageEntry, b: CoverageEntry): number {
  const complete = Number(b.state === 'complete') - Number(a.state === 'complete')
  if (complete !== 0) return complete
  return (
    b.fetchedAt - a.fetchedAt ||
    Number(b.state === 'empty_confirmed') - Number(a.state === 'empty_confirmed') ||
    b.rows - a.rows
  )
}
