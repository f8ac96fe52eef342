import { addDays } from '@varve/core'
import { createStandInMarket } from '../src/testing/index.ts'
import { describe, expect, it } from 'vitest'
import { AS_OF, calendar } from './support.ts'

const build = (seed = 7, asOf = AS_OF) => createStandInMarket({ seed, asOf, calendar })

describe('stand-in market', () => {
  it('is a function of its seed, and the past does not depend on where it ends', () => {
    const [a, b, other] = [build(), build(), build(8)]
    const earlier = build(7, '2025-11-13')
    const symbols = a
      .listings(AS_OF)
      .slice(0, 50)
      .map(({ symbol }) => symbol)
    const dates = calendar.sessionsInRange('2025-10-01', AS_OF).map(({ date }) => date)
    const tape = (market: typeof a) =>
      symbols.flatMap((symbol) => dates.map((date) => market.rawBar(symbol, date)))
    expect(tape(a)).toEqual(tape(b))
    expect(tape(a)).not.toEqual(tape(other))
    expect(earlier.rawBar('A', '2025-11-12')).toEqual(a.rawBar('A', '2025-11-12'))
    expect(earlier.rawBar('A', AS_OF)).toBeUndefined()
  })

  it('has plausible bars on sessions only', () => {
    const market = build()
    for (const { symbol } of market.listings(AS_OF).slice(0, 400)) {
      for (const date of ['2025-11-12', '2025-11-13', AS_OF]) {
        const bar = market.bar(symbol, date)
        if (bar === undefined) continue
        expect(bar.low > 0n && bar.low <= bar.open && bar.low <= bar.close).toBe(true)
        expect(bar.high >= bar.open && bar.high >= bar.close && bar.volume > 0n).toBe(true)
        expect([bar.open, bar.high, bar.low, bar.close].every((price) => price % 100n === 0n)).toBe(true)
      }
      expect(market.bar(symbol, '2025-11-09')).toBeUndefined()
    }
  })

  it('fills the layers about as a real market does', () => {
    const market = build()
    const sessions = calendar.sessionsInRange(addDays(AS_OF, -45), AS_OF).map(({ date }) => date)
    const counts = { dollar: 0, liquid: 0, catalyst: 0, active: 0 }
    for (const { symbol, company } of market.listings(AS_OF)) {
      const bars = sessions.map((date) => market.rawBar(symbol, date)).filter((bar) => bar !== undefined)
      const last = bars.at(-1)
      if (company.market === 'otc' || last === undefined || bars.length < 22 || last.close < 10_000) continue
      counts.dollar++
      const traded =
        bars.slice(-20).reduce((sum, { close, volume }) => sum + (close / 10_000) * volume, 0) / 20
      if (traded < 5e6) continue
      counts.liquid++
      const base = bars.slice(-21, -1)
      const relative = last.volume / (base.reduce((sum, { volume }) => sum + volume, 0) / base.length)
      const returns = base.slice(1).map(({ close }, index) => close / base[index]!.close - 1)
      const mean = returns.reduce((sum, value) => sum + value, 0) / returns.length
      const deviation = Math.sqrt(
        returns.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (returns.length - 1),
      )
      const change = Math.abs(last.close / bars.at(-2)!.close - 1)
      if (Math.min(5, change / deviation) + Math.max(0, Math.log2(relative)) < 3) continue
      counts.catalyst++
      if (relative >= 2 && change >= 0.02) counts.active++
    }
    expect(counts.dollar).toBeGreaterThan(2_400)
    expect(counts.liquid).toBeGreaterThan(800)
    expect(counts.liquid).toBeLessThan(1_150)
    expect(counts.catalyst).toBeGreaterThan(24)
    expect(counts.catalyst).toBeLessThan(150)
    expect(counts.active).toBeGreaterThan(10)
    expect(counts.active).toBeLessThan(60)
  })

  it('has listings that come, go and change their name, on the usual exchanges', () => {
    const market = build()
    const now = market.listings(AS_OF)
    const before = market.listings('2025-06-02')
    const symbols = new Set(now.map(({ symbol }) => symbol))
    const gone = before.filter(({ symbol }) => !symbols.has(symbol))
    expect(gone.length).toBeGreaterThan(3)
    expect(new Set(now.map(({ company }) => company.exchange))).toEqual(
      new Set(['XNYS', 'XNAS', 'XASE', 'ARCX', null]),
    )
    expect(now.filter(({ company }) => company.market === 'otc').length).toBeGreaterThan(50)
    expect(now.filter(({ company }) => company.listedOn !== null).length).toBeGreaterThan(5)
    const renamed = now.find(({ company }) => company.symbols.length > 1)!
    const [old, fresh] = renamed.company.symbols
    expect(fresh!.symbol).toBe(renamed.symbol)
    expect(market.rawBar(old!.symbol, fresh!.from!)).toBeUndefined()
    expect(market.rawBar(old!.symbol, calendar.previousSession(fresh!.from!))).toBeDefined()
    expect(market.rawBar(fresh!.symbol, calendar.previousSession(fresh!.from!))).toBeUndefined()
    expect(market.listings(AS_OF, true).find(({ symbol }) => symbol === old!.symbol)).toMatchObject({
      active: false,
      delistedOn: fresh!.from,
    })
  })

  it('splits change price and volume overnight by their ratio', () => {
    const market = build()
    expect(market.splits()).toHaveLength(2)
    for (const { symbol, date, from, to } of market.splits()) {
      const before = market.rawBar(symbol, calendar.previousSession(date))!
      const after = market.rawBar(symbol, date)!
      const ratio = (before.close * from) / (after.open * to)
      expect(ratio).toBeGreaterThan(0.85)
      expect(ratio).toBeLessThan(1.15)
    }
  })

  it('ends on a session', () => {
    expect(() => build(7, '2025-11-15')).toThrow(expect.objectContaining({ code: 'STANDIN_AS_OF' }))
  })
})
