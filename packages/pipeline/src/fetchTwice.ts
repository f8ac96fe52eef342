import {
  addDays,
  concatBarBatches,
  dayNumber,
  dayOf,
  type DateRange,
  type Interval,
  type SessionCalendar,
  type SessionDate,
  DAY_MS,
} from '@varve/core'
import type { CoverageState } from '@varve/storage'
import { type FetchedBars, fetchBars } from './fetchBars.ts'
import { trimToSessions } from './ranges.ts'

/** What two looks prove about a part of a range that was answered. */
export interface RangeProof {
  readonly symbol: string
  readonly range: DateRange
  readonly state: CoverageState
}

export interface ProvenBars extends FetchedBars {
  readonly proofs: readonly RangeProof[]
}

/** First and last row of a range that was answered; `first > last` when there is none. */
interface Extent {
  readonly range: DateRange
  readonly fromMs: number
  readonly toMs: number
  first: number
  last: number
}

/**
 * Fetches, and asks a second time for what lies before the first and after the last row of each range: the gap
 * detector sees holes between rows, but a row missing at an edge looks like a symbol that did not trade yet, or
 * no more. What stays empty at both looks is `empty_confirmed`; the session of `asOf` may still come and stays
 * `partial`, like everything the second look could not answer.
 *
 * `lookAgain` says which symbols deserve it; the rest stay `partial` at their edges.
 */
export async function fetchTwice(
  input: Parameters<typeof fetchBars>[0] & {
    readonly asOf: SessionDate
    readonly lookAgain: (symbol: string, isEmpty: boolean) => boolean
  },
): Promise<ProvenBars> {
  const { calendar, interval, asOf } = input
  const first = await fetchBars(input)
  const needs = [...extentsOf(first, interval, calendar)].flatMap(([symbol, extents]) =>
    input.lookAgain(symbol, first.empty.has(symbol))
      ? extents.flatMap((extent) =>
          partsOf(extent, interval, calendar).open.map((range) => ({ symbol, range })),
        )
      : [],
  )
  if (needs.length === 0) return { ...first, proofs: prove(first, undefined, interval, calendar, asOf) }
  const second = await fetchBars({ ...input, needs })
  const both: FetchedBars = {
    ...first,
    batch: concatBarBatches(interval, input.provider.source, [first.batch, second.batch]),
    rejected: [...first.rejected, ...second.rejected],
    empty: new Set(
      [...first.empty].filter((symbol) => !second.answered.has(symbol) || second.empty.has(symbol)),
    ),
    calls: first.calls + second.calls,
  }
  return { ...both, proofs: prove(both, second, interval, calendar, asOf) }
}

function extentsOf(
  fetched: FetchedBars,
  interval: Interval,
  calendar: SessionCalendar,
): Map<string, Extent[]> {
  const startOf = (date: SessionDate) =>
    interval === '1d' ? dayNumber(date) * DAY_MS : calendar.midnightOf(date)
  const found = new Map<string, Extent[]>()
  for (const [symbol, ranges] of fetched.answered) {
    found.set(
      symbol,
      ranges.map((range) => ({
        range,
        fromMs: startOf(range.from),
        toMs: startOf(addDays(range.to, 1)),
        first: Infinity,
        last: -Infinity,
      })),
    )
  }
  const note = (extents: readonly Extent[] | undefined, time: number) => {
    for (const extent of extents ?? []) {
      if (time < extent.fromMs || time >= extent.toMs) continue
      if (time < extent.first) extent.first = time
      if (time > extent.last) extent.last = time
    }
  }
  const { batch } = fetched
  const bySymbol = batch.symbols.map((symbol) => found.get(symbol))
  for (let row = 0; row < batch.length; row++) note(bySymbol[batch.symbolIndex[row]!], batch.time[row]!)
  for (const row of fetched.rejected)
    if (row.symbol !== null && row.time !== null) note(found.get(row.symbol), row.time)
  return found
}

interface Parts {
  /** From the first row to the last, with days around them that hold no session. */
  readonly complete: DateRange | undefined
  /** What lies before and after, as far as it holds sessions. */
  readonly open: readonly DateRange[]
}

function partsOf({ range, first, last }: Extent, interval: Interval, calendar: SessionCalendar): Parts {
  const dateOf = (time: number) => (interval === '1d' ? dayOf(time / DAY_MS) : calendar.dateOf(time))
  const withSessions = (part: DateRange) => (part.from > part.to ? undefined : trimToSessions(part, calendar))
  if (first > last) {
    const all = withSessions(range)
    return { complete: undefined, open: all === undefined ? [] : [all] }
  }
  const head = withSessions({ from: range.from, to: addDays(dateOf(first), -1) })
  const tail = withSessions({ from: addDays(dateOf(last), 1), to: range.to })
  return {
    complete: {
      from: head === undefined ? range.from : addDays(head.to, 1),
      to: tail === undefined ? range.to : addDays(tail.from, -1),
    },
    open: [head, tail].filter((part) => part !== undefined),
  }
}

function prove(
  fetched: FetchedBars,
  second: FetchedBars | undefined,
  interval: Interval,
  calendar: SessionCalendar,
  asOf: SessionDate,
): RangeProof[] {
  const proofs: RangeProof[] = []
  for (const [symbol, extents] of extentsOf(fetched, interval, calendar)) {
    const twice = second !== undefined && second.answered.has(symbol) && !second.failed.has(symbol)
    for (const extent of extents) {
      const { complete, open } = partsOf(extent, interval, calendar)
      if (complete !== undefined) proofs.push({ symbol, range: complete, state: 'complete' })
      for (const { from, to } of open) {
        const before = to < asOf ? to : addDays(asOf, -1)
        if (from <= before)
          proofs.push({ symbol, range: { from, to: before }, state: twice ? 'empty_confirmed' : 'partial' })
        if (to >= asOf)
          proofs.push({ symbol, range: { from: from > asOf ? from : asOf, to }, state: 'partial' })
      }
    }
  }
  return proofs
}
