import { createExchangeCalendar } from '@varve/calendar'
import { BarBatchBuilder, type BarSource, dayNumber, type SessionDate, VarveError } from '@varve/core'
import type { BarsRequest, MarketDataProvider } from '@varve/providers'
import { describe, expect, it } from 'vitest'
import { fetchTwice } from './fetchTwice.ts'

const calendar = createExchangeCalendar('XNYS')
const source: BarSource = { provider: 'fake', feed: 'sip', adjustment: 'raw' }
const AS_OF = '2026-06-30'

/** Answers with the bars of `market`; `answer` may change what one request gives, or throw. */
function fakeProvider(
  market: Readonly<Record<string, readonly SessionDate[]>>,
  answer: (dates: readonly SessionDate[], look: number) => readonly SessionDate[] = (dates) => dates,
) {
  const looks = new Map<string, number>()
  const requests: BarsRequest[] = []
  const provider: MarketDataProvider = {
    name: 'fake',
    source,
    capabilities: {
      bars: [{ interval: '1d', maxSpanDays: 366, historyDays: null }],
      dataTypes: [],
      wholeMarketDaily: false,
      symbolsPerCall: 1,
    },
    listings: () => Promise.resolve([]),
    bars: (request) => {
      requests.push(request)
      const [symbol] = request.symbols
      const look = (looks.get(symbol!) ?? 0) + 1
      looks.set(symbol!, look)
      const inRange = (market[symbol!] ?? []).filter(
        (date) => date >= request.range.from && date <= request.range.to,
      )
      const builder = new BarBatchBuilder('1d', source)
      for (const date of answer(inRange, look))
        builder.add(symbol!, dayNumber(date) * 86_400_000, 1n, 1n, 1n, 1n, 1n)
      return Promise.resolve({
        batch: builder.build(),
        rejected: [],
        complete: true,
        emptySymbols: [],
        provenance: { ...source, fetchedAt: 0, requestIds: [], requests: 1 },
      })
    },
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { provider, requests }
}

const days = (from: SessionDate, to: SessionDate) =>
  calendar.sessionsInRange(from, to).map(({ date }) => date)
const RANGE = { from: '2026-06-01', to: AS_OF }

async function look(fake: ReturnType<typeof fakeProvider>, lookAgain = true) {
  const { proofs, batch } = await fetchTwice({
    provider: fake.provider,
    calendar,
    interval: '1d',
    needs: [{ symbol: 'A', range: RANGE }],
    concurrency: 2,
    asOf: AS_OF,
    lookAgain: () => lookAgain,
  })
  return {
    proofs: proofs.map(({ range, state }) => `${range.from}..${range.to} ${state}`).sort(),
    rows: batch.length,
  }
}

describe('fetchTwice', () => {
  it('believes a range with rows at both ends at once', async () => {
    const fake = fakeProvider({ A: days(RANGE.from, RANGE.to) })
    expect(await look(fake)).toEqual({ proofs: ['2026-06-01..2026-06-30 complete'], rows: 21 })
    expect(fake.requests).toHaveLength(1)
  })

  it('finds rows left out at the edges of the first answer', async () => {
    const fake = fakeProvider({ A: days(RANGE.from, RANGE.to) }, (dates, n) =>
      n === 1 ? dates.slice(3, -2) : dates,
    )
    expect(await look(fake)).toEqual({ proofs: ['2026-06-01..2026-06-30 complete'], rows: 21 })
    expect(fake.requests.slice(1).map(({ range }) => range)).toEqual([
      { from: '2026-06-01', to: '2026-06-03' },
      { from: '2026-06-29', to: '2026-06-30' },
    ])
  })

  it('confirms what stays empty, but not the session that is now', async () => {
    const fake = fakeProvider({ A: days('2026-06-10', '2026-06-25') })
    expect((await look(fake)).proofs).toEqual([
      '2026-06-01..2026-06-09 empty_confirmed',
      '2026-06-10..2026-06-25 complete',
      '2026-06-26..2026-06-29 empty_confirmed',
      '2026-06-30..2026-06-30 partial',
    ])
  })

  it('leaves the edges partial where nobody looks again, or the second look fails', async () => {
    const edges = ['2026-06-01..2026-06-09 partial', '2026-06-10..2026-06-30 complete']
    const late = { A: days('2026-06-10', AS_OF) }
    expect((await look(fakeProvider(late), false)).proofs).toEqual(edges)
    const failing = fakeProvider(late, (dates, n) => {
      if (n > 1) throw new VarveError('down', { code: 'PROVIDER_UNAVAILABLE', retryable: true })
      return dates
    })
    expect((await look(failing)).proofs).toEqual(edges)
  })

  it('takes days without a session for part of what is complete', async () => {
    // 30 and 31 May are a weekend, so nothing is missing before 1 June.
    const fake = fakeProvider({ A: days(RANGE.from, AS_OF) })
    const { proofs } = await fetchTwice({
      provider: fake.provider,
      calendar,
      interval: '1d',
      needs: [{ symbol: 'A', range: { from: '2026-05-30', to: AS_OF } }],
      concurrency: 1,
      asOf: AS_OF,
      lookAgain: () => true,
    })
    expect(proofs).toEqual([{ symbol: 'A', range: { from: '2026-05-30', to: AS_OF }, state: 'complete' }])
  })
})
