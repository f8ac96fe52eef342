import { BarBatchBuilder, type Listing, parseScaled } from '@varve/core'
import { describe, expect, it } from 'vitest'
import { metricOptionsSchema } from './definitions.ts'
import { computeMetrics, liquidityScore, seriesOf } from './metrics.ts'

const DAY_MS = 86_400_000
const listing: Listing = {
  symbol: 'X',
  name: null,
  exchange: 'XNYS',
  type: null,
  active: true,
  marketCap: parseScaled('250000000'),
  listedOn: null,
  delistedOn: null,
}
const options = metricOptionsSchema.parse({ windowSessions: 4, minimumSessions: 3 })
const times = Float64Array.from({ length: 6 }, (_, index) => index * DAY_MS)

function rowsOf(bars: readonly (readonly [day: number, close: string, volume: string])[]) {
  const builder = new BarBatchBuilder('1d', { provider: 'file', feed: 'test', adjustment: 'raw' })
  for (const [day, close, volume] of bars) {
    const price = parseScaled(close)
    builder.add('X', day * DAY_MS, price, price, price, price, parseScaled(volume))
  }
  return [...seriesOf(builder.build())][0]
}

const series = rowsOf([
  [0, '10', '100'],
  [1, '11', '100'],
  [2, '10', '200'],
  [3, '11', '100'],
  [4, '10', '200'],
  [5, '12', '600'],
])

describe('computeMetrics', () => {
  const metrics = computeMetrics(listing, series, times, 0, options)

  it('averages dollar volume over the window that ends at the session', () => {
    expect(metrics.averageDollarVolume).toBe((10 * 200 + 11 * 100 + 10 * 200 + 12 * 600) / 4)
  })

  it('compares the volume with the mean of the window before the session', () => {
    expect(metrics.relativeVolume).toBe(4) // 600 ÷ mean(100, 200, 100, 200)
    expect(metrics.volumeShock).toBe(2)
  })

  it('measures the change and its size in deviations of the window before', () => {
    expect(metrics.priceChange).toBe(20)
    const returns = [11 / 10 - 1, 10 / 11 - 1, 11 / 10 - 1, 10 / 11 - 1]
    const mean = returns.reduce((a, b) => a + b) / 4
    const deviation = Math.sqrt(returns.reduce((sum, item) => sum + (item - mean) ** 2, 0) / 3)
    expect(metrics.returnShock).toBeCloseTo(0.2 / deviation, 6)
    expect(metrics.catalystScore).toBeCloseTo(0.2 / deviation + 2, 5)
  })

  it('knows nothing of the session when there is no bar at it', () => {
    const stale = computeMetrics(
      listing,
      rowsOf([
        [0, '10', '1'],
        [1, '10', '1'],
        [2, '10', '1'],
        [3, '10', '1'],
        [4, '10', '1'],
      ]),
      times,
      0,
      options,
    )
    expect(stale).toMatchObject({ price: 10, relativeVolume: null, priceChange: null, catalystScore: null })
  })

  it('knows no averages when the window holds too few bars', () => {
    const young = computeMetrics(
      listing,
      rowsOf([
        [4, '10', '100'],
        [5, '11', '100'],
      ]),
      times,
      0,
      options,
    )
    expect(young).toMatchObject({
      price: 11,
      averageDollarVolume: null,
      relativeVolume: null,
      catalystScore: null,
    })
  })

  it('knows only the listing without bars', () => {
    expect(computeMetrics(listing, undefined, times, 0, options)).toMatchObject({
      active: true,
      exchange: 'XNYS',
      marketCap: 250_000_000,
      price: null,
    })
  })

  it('caps the return shock, also where nothing ever moved', () => {
    const flat = rowsOf([
      [0, '10', '1'],
      [1, '10', '1'],
      [2, '10', '1'],
      [3, '10', '1'],
      [4, '10', '1'],
      [5, '11', '1'],
    ])
    expect(computeMetrics(listing, flat, times, 0, options).returnShock).toBe(5)
  })

  it('scores liquidity as log10 of the average dollar volume, four decimals', () => {
    expect(liquidityScore({ ...metrics, averageDollarVolume: 12_345_678 })).toBe(7.0915)
    expect(liquidityScore({ ...metrics, averageDollarVolume: null })).toBeNull()
  })
})
