import { createExchangeCalendar } from '@varve/calendar'
import { BarBatchBuilder, type BarSource, dayNumber, VarveError } from '@varve/core'
import type { BarsResult, MarketDataProvider } from '@varve/providers'
import { describe, expect, it } from 'vitest'
import { fetchBars, planCalls } from './fetchBars.ts'

const calendar = createExchangeCalendar('XNYS')
const source: BarSource = { provider: 'fake', feed: 'sip', adjustment: 'raw' }

function capabilities(symbolsPerCall: number, wholeMarketDaily: boolean): MarketDataProvider['capabilities'] {
  return {
    bars: [{ interval: '1d', maxSpanDays: 366, historyDays: null }],
    dataTypes: [],
    wholeMarketDaily,
    symbolsPerCall,
  }
}

const need = (symbol: string, from: string, to: string) => ({ symbol, range: { from, to } })
const symbols = Array.from({ length: 50 }, (_, index) => `S${index}`)

describe('planCalls', () => {
  it('asks for the whole market where that takes fewer calls', () => {
    const needs = symbols.map((symbol) => need(symbol, '2026-06-01', '2026-06-05'))
    const calls = planCalls(needs, '1d', { capabilities: capabilities(1, true) }, calendar)
    expect(calls).toHaveLength(5)
    expect(calls.every((call) => call.kind === 'session')).toBe(true)
  })

  it('asks by symbol where that takes fewer', () => {
    const calls = planCalls(
      [need('S1', '2025-06-30', '2026-06-30')],
      '1d',
      { capabilities: capabilities(1, true) },
      calendar,
    )
    expect(calls).toEqual([
      { kind: 'symbols', symbols: ['S1'], range: { from: '2025-06-30', to: '2026-06-30' } },
    ])
  })

  it('puts symbols with one range into one call where the provider takes many', () => {
    const needs = symbols.map((symbol) => need(symbol, '2026-06-01', '2026-06-05'))
    expect(
      planCalls(needs, '1d', { capabilities: capabilities(Number.POSITIVE_INFINITY, false) }, calendar),
    ).toHaveLength(1)
    expect(planCalls(needs, '1d', { capabilities: capabilities(20, false) }, calendar)).toHaveLength(3)
  })

  it('splits ranges longer than the provider takes', () => {
    const calls = planCalls(
      [need('S1', '2023-06-30', '2026-06-30')],
      '1d',
      { capabilities: capabilities(1, false) },
      calendar,
    )
    expect(calls).toHaveLength(3)
  })

  it('refuses an interval nobody serves', () => {
    expect(() => planCalls([], '1m', { capabilities: capabilities(1, false) }, calendar)).toThrow(
      expect.objectContaining({ code: 'PIPELINE_UNSERVABLE' }),
    )
  })
})

function result(rows: readonly [symbol: string, date: string][], complete = true): BarsResult {
  const builder = new BarBatchBuilder('1d', source)
  for (const [symbol, date] of rows) builder.add(symbol, dayNumber(date) * 86_400_000, 1n, 1n, 1n, 1n, 1n)
  return {
    batch: builder.build(),
    rejected: [],
    complete,
    emptySymbols: [],
    provenance: { ...source, fetchedAt: 0, requestIds: [], requests: 1 },
  }
}

function fake(parts: Partial<MarketDataProvider>, wholeMarketDaily: boolean): MarketDataProvider {
  return {
    name: 'fake',
    source,
    capabilities: capabilities(1, wholeMarketDaily),
    listings: async () => [],
    bars: async () => result([]),
    close: async () => {},
    [Symbol.asyncDispose]: async () => {},
    ...parts,
  }
}

describe('fetchBars', () => {
  const base = { calendar, interval: '1d' as const, concurrency: 2 }

  it('lets a failed symbol fail alone', async () => {
    const provider = fake(
      {
        bars: async ({ symbols: [symbol] }) => {
          if (symbol === 'BAD')
            throw new VarveError('down', { code: 'PROVIDER_UNAVAILABLE', retryable: true })
          return result([[symbol!, '2026-06-02']])
        },
      },
      false,
    )
    const fetched = await fetchBars({
      ...base,
      provider,
      needs: [need('GOOD', '2026-06-01', '2026-06-05'), need('BAD', '2026-06-01', '2026-06-05')],
    })
    expect([...fetched.answered.keys()]).toEqual(['GOOD'])
    expect([...fetched.failed.keys()]).toEqual(['BAD'])
    expect(fetched.batch.length).toBe(1)
  })

  it('covers a symbol around a whole-market session that failed, never over it', async () => {
    const provider = fake(
      {
        dailyMarket: async (date) => {
          if (date === '2026-06-03')
            throw new VarveError('down', { code: 'PROVIDER_UNAVAILABLE', retryable: true })
          return result([
            ['A', date],
            ['B', date],
            ['OTHER', date],
          ])
        },
      },
      true,
    )
    const needs = ['A', 'B', 'C', 'D', 'E', 'F'].map((symbol) => need(symbol, '2026-06-01', '2026-06-05'))
    const fetched = await fetchBars({ ...base, provider, needs })
    expect(fetched.answered.get('A')).toEqual([
      { from: '2026-06-01', to: '2026-06-02' },
      { from: '2026-06-04', to: '2026-06-05' },
    ])
    expect(fetched.failed.has('A')).toBe(true)
    expect(fetched.batch.symbols).not.toContain('OTHER')
    expect(fetched.batch.length).toBe(8)
  })

  it('takes an answer without its end of data, or an empty session, for no answer', async () => {
    const torn = fake({ bars: async () => result([['A', '2026-06-02']], false) }, false)
    const first = await fetchBars({ ...base, provider: torn, needs: [need('A', '2026-06-01', '2026-06-05')] })
    expect(first.failed.get('A')).toMatchObject({ code: 'PROVIDER_INCOMPLETE' })
    expect(first.batch.length).toBe(0)
    const empty = fake({ dailyMarket: async () => result([]) }, true)
    const second = await fetchBars({
      ...base,
      provider: empty,
      needs: ['A', 'B'].map((symbol) => need(symbol, '2026-06-01', '2026-06-01')),
    })
    expect(second.failed.get('A')).toMatchObject({ code: 'PROVIDER_EMPTY_UNCONFIRMED' })
  })

  it('stops with the reason it was cancelled for', async () => {
    const abort = new AbortController()
    const provider = fake(
      {
        bars: async () => {
          abort.abort(new Error('enough'))
          return result([])
        },
      },
      false,
    )
    const needs = symbols.map((symbol) => need(symbol, '2026-06-01', '2026-06-05'))
    await expect(fetchBars({ ...base, provider, needs, signal: abort.signal })).rejects.toThrow('enough')
  })
})
