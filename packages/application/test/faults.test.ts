import { isVarveError, selectBars } from '@varve/core'
import type { FaultRates } from '@varve/providers/testing'
import { describe, expect, it } from 'vitest'
import { run } from '../src/index.ts'
import { AS_OF, compareWithMarket, quickSettings, serveMarket, smallMarket, tamper } from './market.ts'
import { createPlace, eventsOf } from './support.ts'

/** One request in six goes wrong. */
const MIX: FaultRates = {
  status429: 0.02,
  status500: 0.03,
  timeout: 0.005,
  truncated: 0.02,
  reset: 0.02,
  duplicatePage: 0.02,
  missingPage: 0.02,
  empty200: 0.03,
  outOfOrder: 0.01,
}

/** Runs until a cycle ends; a listing or a refresh that is refused is tried again, as the daemon would. */
async function cycle(app: Parameters<typeof run>[0]) {
  for (let attempt = 1; ; attempt++) {
    try {
      return await run(app)
    } catch (error) {
      if (!isVarveError(error) || attempt === 8) throw error
    }
  }
}

describe('a bad day at the provider, through the whole flow', () => {
  it.each([
    [1, 'pglite'],
    [2, 'postgres'],
    [3, 'postgres'],
    [4, 'postgres'],
  ] as const)('seed %i on %s: exact to the last digit, or admitted', async (seed, engine) => {
    const market = smallMarket({ seed: 10 + seed })
    await using served = await serveMarket(market, { seed, faultRates: MIX })
    await using place = await createPlace(engine)
    await using app = await place.open({ settings: quickSettings(), provider: served.provider, asOf: AS_OF })
    const report = await cycle(app)
    const first = await compareWithMarket(app, market)
    expect(first.wrong).toEqual([])
    expect(first.falselyComplete).toEqual([])
    expect(first.stored).toBeGreaterThan(3_000)
    expect(report.symbols.layers['0']).toBeGreaterThan(60)
    expect(served.standIn.violations()).toBe(0)
    const faults = served.standIn.log().filter(({ fault }) => fault !== null).length
    expect(faults).toBeGreaterThan(20)
    // Afterwards the provider is well again: the next cycle closes what was left open.
    served.standIn.setFaults({ rates: {} })
    await cycle(app)
    await cycle(app)
    const second = await compareWithMarket(app, market)
    expect(second).toMatchObject({ wrong: [], falselyComplete: [], admitted: [] })
    expect(served.standIn.violations()).toBe(0)
    expect(await eventsOf(app, 'DataGapDetected')).not.toHaveLength(0)
  })

  it('catches a client that believes an empty answer and repeats it (control)', async () => {
    const market = smallMarket()
    await using served = await serveMarket(market)
    await using place = await createPlace('postgres')
    const naive = tamper(served.provider, (provider) => ({
      bars: async (request) => {
        const result = await provider.bars(request)
        return { ...result, batch: selectBars(result.batch, () => request.symbols[0]! > 'N') }
      },
    }))
    await using app = await place.open({ settings: quickSettings(), provider: naive, asOf: AS_OF })
    await run(app)
    const found = await compareWithMarket(app, market)
    expect(found.falselyComplete.length).toBeGreaterThan(100)
    expect(found.wrong).toEqual([])
  })

  it('catches a client that rounds (control)', async () => {
    const market = smallMarket()
    await using served = await serveMarket(market)
    await using place = await createPlace('postgres')
    const rounding = tamper(served.provider, (provider) => ({
      bars: async (request) => {
        const result = await provider.bars(request)
        return {
          ...result,
          batch: {
            ...result.batch,
            volume: result.batch.volume.map((volume) => volume - (volume % 10_000_000n)),
          },
        }
      },
    }))
    await using app = await place.open({ settings: quickSettings(), provider: rounding, asOf: AS_OF })
    await run(app)
    expect((await compareWithMarket(app, market)).wrong.length).toBeGreaterThan(100)
  })
})
