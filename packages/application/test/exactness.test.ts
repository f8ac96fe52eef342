import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { formatScaled, parseScaled } from '@varve/core'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Application, bars, importFiles, retention } from '../src/index.ts'
import { createExchangeCalendar } from '@varve/calendar'
import { createPlace, engines, type TestPlace } from './support.ts'

const LARGEST = parseScaled('999999999999.999999')
const sessions = createExchangeCalendar('XNYS')
  .sessionsInRange('2015-01-02', '2015-06-30')
  .map(({ date }) => date)

/** Low, high, and two prices between them; now and then the very smallest and the very largest. */
const priceSet = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.bigInt(1n, 500_000_000n) },
      { weight: 2, arbitrary: fc.bigInt(1n, LARGEST) },
      fc.constantFrom(1n, LARGEST),
    ),
    {
      minLength: 4,
      maxLength: 4,
    },
  )
  .map((values) => values.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0)))
const drawnBar = fc.record({
  prices: priceSet,
  volume: fc.oneof(fc.bigInt(0n, 10_000_000_000_000n), fc.constantFrom(0n, 1n, LARGEST)),
  flip: fc.boolean(),
})

/** The same value as different sources write it. */
function spell(value: bigint, style: number): string {
  const text = formatScaled(value)
  if (style % 4 === 1) return text.includes('.') ? `${text}000` : `${text}.000`
  if (style % 4 === 2) return `${value}e-6`
  return text
}

describe.each(engines)('from the text of a file to the lake and back on %s', (engine) => {
  let place: TestPlace
  let app: Application
  const folder = mkdtempSync(join(tmpdir(), 'varve-exact-'))
  let files = 0

  const importText = async (rows: readonly string[]) => {
    const name = `exact${++files}`
    const file = join(folder, `${name}.csv`)
    writeFileSync(file, ['symbol,date,open,high,low,close,volume', ...rows, ''].join('\n'))
    return { name, report: await importFiles(app, { files: [file], interval: '1d' }) }
  }

  beforeAll(async () => {
    place = await createPlace(engine)
    app = await place.open({ asOf: '2015-06-30' })
  })
  afterAll(async () => {
    await app.close()
    await place[Symbol.asyncDispose]()
    rmSync(folder, { recursive: true, force: true })
  })

  it('keeps every price and volume to the last digit', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(drawnBar, { minLength: 100, maxLength: sessions.length }),
        fc.nat(3),
        async (drawn, style) => {
          // One symbol per bar, so that no neighbour makes a price implausible; some old enough for the lake.
          const expected = drawn.map(({ prices, volume, flip }, index) => {
            const [low, a, b, high] = prices as [bigint, bigint, bigint, bigint]
            const [open, close] = flip ? [a, b] : [b, a]
            return { symbol: `S${index}`, time: sessions[index]!, open, high, low, close, volume }
          })
          const { name, report } = await importText(
            expected.map(({ symbol, time, ...values }, index) =>
              [
                symbol,
                time,
                ...(['open', 'high', 'low', 'close', 'volume'] as const).map((column) =>
                  spell(values[column], style + index),
                ),
              ].join(),
            ),
          )
          expect(report.bars).toMatchObject({ offered: drawn.length, accepted: drawn.length, quarantined: 0 })
          await retention(app)
          expect(report.storage.coldRows).toBeGreaterThan(0)
          const found = []
          for (const { symbol } of expected) {
            const { rows } = await bars(app, { symbol, interval: '1d', source: `import/${name}` })
            expect(rows).toHaveLength(1)
            found.push(rows[0])
          }
          expect(found).toEqual(
            expected.map(({ symbol: _symbol, time, ...values }) => ({
              time,
              ...Object.fromEntries(
                Object.entries(values).map(([column, value]) => [column, formatScaled(value)]),
              ),
              source: `import/${name}`,
            })),
          )
        },
      ),
      { numRuns: engine === 'pglite' ? 2 : 4, examples: [[EDGES, 0]] },
    )
  })

  it('sets a seventh decimal aside with its rule and row, and rounds nothing', async () => {
    const { name, report } = await importText([
      'OK,2015-03-02,1,1.000001,0.999999,1,1',
      'SEVEN,2015-03-02,1.0000001,2,1,2,5',
      'SEVEN,2015-03-03,1.0000000,2,1,2,5',
      'LARGE,2015-03-02,1,1000000000000,1,1,5',
      'TINY,2015-03-02,0.0000001,2,0.0000001,2,5',
    ])
    expect(report.bars).toMatchObject({ offered: 5, accepted: 2, quarantined: 3 })
    const { context } = app
    const suspects = (
      await context.quarantine.load(context.sql, { symbols: ['SEVEN', 'LARGE', 'TINY'] })
    ).map(({ symbol, rule, origin, raw, severity }) => ({ symbol, rule, origin, severity, raw }))
    expect(suspects).toMatchObject([
      {
        symbol: 'LARGE',
        rule: 'out_of_range',
        origin: `${name}#4`,
        severity: 'error',
        raw: { high: '1000000000000' },
      },
      {
        symbol: 'SEVEN',
        rule: 'too_many_decimals',
        origin: `${name}#2`,
        severity: 'error',
        raw: { open: '1.0000001' },
      },
      {
        symbol: 'TINY',
        rule: 'too_many_decimals',
        origin: `${name}#5`,
        severity: 'error',
        raw: { open: '0.0000001' },
      },
    ])
    expect((await bars(app, { symbol: 'SEVEN', interval: '1d' })).rows).toMatchObject([
      { time: '2015-03-03', open: '1' },
    ])
    expect((await bars(app, { symbol: 'OK', interval: '1d' })).rows).toMatchObject([
      { high: '1.000001', low: '0.999999' },
    ])
  })
})

/** The extremes in every column, first. */
const EDGES = Array.from({ length: 110 }, (_, index) => ({
  prices:
    index % 3 === 0
      ? [1n, 1n, LARGEST, LARGEST]
      : index % 3 === 1
        ? [1n, 1n, 1n, 1n]
        : [LARGEST - 1n, LARGEST, LARGEST, LARGEST],
  volume: index % 2 === 0 ? LARGEST : 1n,
  flip: index % 2 === 0,
}))
