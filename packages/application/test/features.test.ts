import { VarveError } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { layerSettingsOf, type OpenApplicationOptions, rateLimitOf, run, status } from '../src/index.ts'
import { AS_OF, quickSettings, serveMarket, smallMarket } from './market.ts'
import { createPlace, settingsWith } from './support.ts'

const market = smallMarket({ symbols: 40 })
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
    const held = (await status(app)).storage.hotRows
    // The same market with the switch on fetches the history its layers want.
    await using other = await createPlace('pglite')
    await using automatic = await other.open({
      settings: quickSettings(),
      provider: served.provider,
      asOf: AS_OF,
    })
    expect((await run(automatic)).jobs.completed).toBeGreaterThan(0)
    expect((await status(automatic)).storage.hotRows).toBeGreaterThan(held)
  })

  it('a plan that may not list symbols is given those of the configuration, and delists none', async () => {
    const known = market
      .listings(AS_OF)
      .map(({ symbol }) => symbol)
      .slice(0, 5)
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
    const all = await symbolsAfter(settings, served.provider)
    expect(all).toBeGreaterThan(known.length)
    expect(await symbolsAfter(settings, unlisted)).toBe(all)
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
