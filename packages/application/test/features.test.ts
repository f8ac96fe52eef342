import { VarveError } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layerSettingsOf, type OpenApplicationOptions, rateLimitOf, run, status } from '../src/index.ts'
import { AS_OF, quickSettings, serveMarket, smallMarket } from './market.ts'
import { createPlace, settingsWith } from './support.ts'

const market = smallMarket({ symbols: 12, missingRate: 0, transientRate: 0 })
let served: Awaited<ReturnType<typeof serveMarket>>
beforeAll(async () => {
  served = await serveMarket(market)
})
afterAll(() => served[Symbol.asyncDispose]())

describe('switches', () => {
  it('without autoTriggerBackfill a cycle judges and asks, and fetches nothing', async () => {
    const { features } = settingsWith()
    const settings = quickSettings({ features: { ...features, autoTriggerBackfill: false } })
    await using place = await createPlace('pglite')
    await using app = await place.open({ settings, provider: served.provider, asOf: AS_OF })
    const report = await run(app)
    expect(report.symbols.layers[0]).toBeGreaterThan(0)
    expect(report.jobs.completed).toBe(0)
    // What was asked for is still there to be fetched, by whoever switches it on.
    const { rows } = await app.context.sql.query<{ type: string; count: bigint }>(
      "SELECT type, count(*) AS count FROM events WHERE type IN ('SymbolQualified', 'BackfillCompleted') GROUP BY type",
    )
    expect(rows.map(({ type }) => type)).toEqual(['SymbolQualified'])
  })

  it('a plan that may not list symbols is given those of the configuration, and delists none', async () => {
    const known = market
      .listings(AS_OF)
      .map(({ symbol }) => symbol)
      .slice(0, 3)
    const unlisted: OpenApplicationOptions['provider'] = (parts) => ({
      ...served.provider!(parts),
      listings: () =>
        Promise.reject(new VarveError('the plan has no reference data', { code: 'PROVIDER_ENTITLEMENT' })),
    })
    const { scanner, features } = settingsWith()
    const settings = quickSettings({ scanner: { ...scanner, fallbackSymbols: known } })
    await using place = await createPlace('pglite')
    const symbolsAfter = async (use: typeof settings, provider: OpenApplicationOptions['provider']) => {
      await using app = await place.open({ settings: use, provider, asOf: AS_OF })
      await run(app)
      return (await status(app)).symbols.active
    }
    expect(await symbolsAfter(settings, unlisted)).toBe(known.length)
    const listingsNow = async () => {
      await using app = await place.open({ settings, asOf: AS_OF })
      const companies = await app.context.companies.load(app.context.sql)
      return companies.map(({ symbol, name, exchange, type, active }) => [
        symbol,
        name,
        exchange,
        type,
        active,
      ])
    }
    const all = await symbolsAfter(settings, served.provider)
    const listed = await listingsNow()
    expect(all).toBeGreaterThan(known.length)
    expect(await symbolsAfter(settings, unlisted)).toBe(all)
    // What the provider once said of a company is worth more than a bare symbol.
    expect(await listingsNow()).toEqual(listed)
    const off = { ...settings, features: { ...features, useFallbackSymbols: false } }
    await expect(symbolsAfter(off, unlisted)).rejects.toMatchObject({ code: 'PROVIDER_ENTITLEMENT' })
  })
})

describe('settings by name', () => {
  it('gives a layer by its number and a plan by its name, and says what it does not know', () => {
    const settings = settingsWith()
    expect(layerSettingsOf(settings, 3)).toMatchObject({
      name: 'active',
      data: { bars: { '1d': { hotDays: 90 } } },
    })
    expect(rateLimitOf(settings, 'polygon-free')).toEqual([{ limit: 5, windowMs: 60_000 }])
    expect(() => layerSettingsOf(settings, 4)).toThrow(expect.objectContaining({ code: 'LAYER_UNKNOWN' }))
    expect(() => rateLimitOf(settings, 'polygon-fre')).toThrow(
      expect.objectContaining({ code: 'RATE_PLAN_UNKNOWN' }),
    )
  })
})
