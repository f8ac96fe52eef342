import { addDays, dayOf, type Layer, type SessionDate } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import { lookbackStart } from '@varve/pipeline'
import { createStandInMarket } from '@varve/providers/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Application, type RunReport, run, scan, why } from '../src/index.ts'
import {
  AS_OF,
  calendar,
  compareWithMarket,
  quickSettings,
  serveMarket,
  smallMarket,
  tamper,
} from './market.ts'
import { allBars, contentOf, createPlace, DAY_MS, engines, eventsOf, type TestPlace } from './support.ts'

/** Sessions up to the last one of the market. */
const sessions = calendar.sessionsInRange(addDays(AS_OF, -20), AS_OF).map(({ date }) => date)
const START = sessions.at(-8)!

interface LayerEvent {
  readonly symbol: string
  readonly layer?: Layer
  readonly fromLayer?: Layer
  readonly toLayer?: Layer | null
}
interface Backfill {
  readonly symbol: string
  readonly dataType: string
  readonly interval: string
  readonly from: SessionDate
  readonly to: SessionDate
  readonly requestedBy?: string
  readonly metadata: { readonly reason?: string }
}
type Served = Awaited<ReturnType<typeof serveMarket>>

describe.each(engines)('the flow on %s', (engine) => {
  const market = smallMarket({ transientRate: 0 })
  const settings = quickSettings()
  let served: Served
  let place: TestPlace
  let app: Application
  let first: RunReport

  beforeAll(async () => {
    served = await serveMarket(market)
    place = await createPlace(engine)
    app = await place.open({ settings, provider: served.provider, asOf: START })
    first = await run(app)
  })
  afterAll(async () => {
    await app.close()
    await place[Symbol.asyncDispose]()
    await served[Symbol.asyncDispose]()
  })

  const of = <T>(type: string) => eventsOf(app, type) as unknown as Promise<T[]>
  const layersNow = async () =>
    new Map(
      (await app.context.companies.load(app.context.sql)).map((company) => [company.symbol, company.layer]),
    )
  const depthOf = (layer: Layer, asOf: SessionDate): SessionDate => {
    const policy = addDays(asOf, -settings.layers.definitions[layer]!.data.bars['1d']!.coldDays)
    const lookback = lookbackStart(asOf, lookbackSessions(app.context.universe), calendar)
    return policy < lookback ? policy : lookback
  }
  /** The first session from a date on for which the market has a bar. */
  const firstBar = (symbol: string, from: SessionDate, to: SessionDate) =>
    calendar.sessionsInRange(from, to).find(({ date }) => market.bar(symbol, date) !== undefined)?.date

  it('leads from the scan through events and jobs to bars, once per qualification', async () => {
    const layers = await layersNow()
    const qualified = await of<LayerEvent>('SymbolQualified')
    const layered = [...layers].flatMap(([symbol, layer]) => (layer === null ? [] : [{ symbol, layer }]))
    expect(layered.length).toBeGreaterThan(60)
    expect(new Set(layered.map(({ layer }) => layer)).size).toBeGreaterThan(2)
    expect(qualified.map(({ symbol, layer }) => ({ symbol, layer }))).toEqual(expect.arrayContaining(layered))
    expect(qualified).toHaveLength(layered.length)
    const isGap = ({ requestedBy, metadata }: Backfill) =>
      requestedBy === 'gap_detection' || metadata.reason === 'gap'
    for (const type of ['BackfillRequested', 'BackfillCompleted']) {
      const keys = (await of<Backfill>(type))
        .filter((event) => !isGap(event))
        .map(({ symbol, dataType, interval }) => `${symbol} ${dataType} ${interval}`)
      expect(keys.sort(), type).toEqual(layered.map(({ symbol }) => `${symbol} bars 1d`).sort())
    }
    expect(first.events).toMatchObject({ qualified: layered.length, promoted: 0, demoted: 0 })
    expect(first.jobs.failed).toBe(0)
    // What no provider serves is said once and never queued.
    expect(first.unservable).toEqual(expect.arrayContaining(['bars 1m', 'news']))
  })

  it('holds for every symbol exactly the depth of its layer', async () => {
    const stored = await allBars(app)
    for (const [symbol, layer] of await layersNow()) {
      if (layer === null) continue
      const times = stored.get(symbol)!.map((bar) => dayOf(bar.time / DAY_MS))
      expect([symbol, times[0]]).toEqual([symbol, firstBar(symbol, depthOf(layer, START), START)])
      expect(times.at(-1)! <= START).toBe(true)
    }
    expect(await compareWithMarket(app, market)).toMatchObject({
      wrong: [],
      falselyComplete: [],
      admitted: [],
    })
  })

  it('explains every layer by value, threshold and margin', async () => {
    for (const [symbol, layer] of [...(await layersNow())].slice(0, 20)) {
      const { reasons, history } = await why(app, symbol)
      expect(reasons!.layers.map((item) => item.layer)).toEqual([0, 1, 2, 3])
      for (const criterion of reasons!.layers.flatMap((item) => item.criteria)) {
        expect(Object.keys(criterion)).toEqual(
          expect.arrayContaining(['metric', 'value', 'threshold', 'margin', 'outcome']),
        )
        if (typeof criterion.value === 'number') expect(criterion.margin).toBeTypeOf('number')
      }
      expect(history.map((event) => event.type)).toEqual(layer === null ? [] : ['SymbolQualified'])
    }
  })

  it('changes nothing when run again at the same session', async () => {
    const before = await contentOf(app)
    const again = await run(app)
    expect(again.bars).toMatchObject({ inserted: 0, updated: 0 })
    expect(Object.values(again.events).every((count) => count === 0)).toBe(true)
    expect(again.jobs).toEqual({ completed: 0, failed: 0, retried: 0 })
    expect(await contentOf(app)).toEqual(before)
  })

  it('follows the market: promotions deepen what is held, demotions delete nothing at once', async () => {
    let promotions = 0
    let demotions = 0
    let deepened = 0
    for (const asOf of sessions.slice(-7)) {
      const before = await layersNow()
      const storedBefore = await allBars(app)
      const seen = served.standIn.log().length
      const report = await run(app.withSession(asOf))
      const after = await layersNow()
      const moved = [...after].filter(([symbol, layer]) => (before.get(symbol) ?? null) !== layer)
      expect(report.events.qualified + report.events.promoted + report.events.demoted).toBe(moved.length)
      const requests = (await of<Backfill>('BackfillRequested')).filter(({ to }) => to === asOf)
      const stored = await allBars(app)
      for (const [symbol, layer] of moved) {
        const was = before.get(symbol) ?? null
        const oldest = dayOf(stored.get(symbol)![0]!.time / DAY_MS)
        if (was !== null && (layer ?? -1) < was) {
          demotions++
          const expected = firstBar(symbol, depthOf(was, asOf), asOf)!
          expect(
            oldest <= expected,
            `${symbol} was demoted and lost bars from ${expected} to ${oldest}`,
          ).toBe(true)
        } else if (was !== null && layer !== null) {
          promotions++
          const asked = requests.filter(
            (request) => request.symbol === symbol && request.requestedBy === 'layer_promotion',
          )
          const expected = firstBar(symbol, depthOf(layer, asOf), asOf)!
          // A symbol that comes back soon after a demotion still holds what it needs.
          const isDeeper = expected < dayOf(storedBefore.get(symbol)![0]!.time / DAY_MS)
          expect(asked.length, `${symbol} ${was}→${layer} at ${asOf}`).toBe(isDeeper ? 1 : 0)
          expect(oldest <= expected, `${symbol} ${was}→${layer} holds bars only from ${oldest}`).toBe(true)
          if (isDeeper) deepened++
          // Only what was not held is asked for, so no request for the symbol reaches to the day judged.
          const urls = served.standIn
            .log()
            .slice(seen)
            .map(({ url }) => url)
            .filter((url) => url.includes(`/ticker/${symbol}/`))
          expect(
            urls.filter((url) => url.includes(`/${asOf}?`)),
            urls.join(' '),
          ).toEqual([])
        }
      }
      expect(await compareWithMarket(app.withSession(asOf), market)).toMatchObject({
        wrong: [],
        falselyComplete: [],
      })
    }
    expect(promotions).toBeGreaterThan(0)
    expect(deepened).toBeGreaterThan(0)
    expect(demotions).toBeGreaterThan(0)
    expect((await of<LayerEvent>('SymbolDemoted')).length).toBe(demotions)
  })

  it('refuses a session before the one judged last', async () => {
    const before = await contentOf(app)
    await expect(run(app.withSession(START))).rejects.toMatchObject({ code: 'AS_OF_BACKWARDS' })
    await expect(scan(app.withSession(START))).rejects.toMatchObject({ code: 'AS_OF_BACKWARDS' })
    expect(await contentOf(app)).toEqual(before)
  })

  it('refuses a delivery with half the listing gone, and takes it when it is whole again', async () => {
    const halved = tamper(served.provider, (provider) => ({
      listings: async (query) =>
        (await provider.listings(query)).filter((_listing, index) => index % 2 === 0),
    }))
    const before = await contentOf(app)
    await app.close()
    {
      await using suspect = await place.open({ settings, provider: halved, asOf: AS_OF })
      await expect(run(suspect)).rejects.toMatchObject({ code: 'LISTING_SUSPECT' })
      expect(await contentOf(suspect)).toEqual(before)
    }
    app = await place.open({ settings, provider: served.provider, asOf: AS_OF })
    await run(app)
  })

  it('holds a scan that would demote most of the market until it is confirmed', async () => {
    await app.close()
    // Nothing is liquid enough any more, and nobody may stay for a while.
    const strict = quickSettings({
      layers: {
        definitions: settings.layers.definitions.map((layer) => ({
          ...layer,
          minimumStaySessions: 0,
          criteria:
            layer.layer === 0
              ? [...layer.criteria, { metric: 'price', atLeast: 1e9, whenUnknown: 'fail' } as const]
              : layer.criteria,
        })),
      },
    })
    app = await place.open({ settings: strict, provider: served.provider, asOf: AS_OF })
    const before = { ...(await contentOf(app)), layers: await layersNow() }
    await expect(run(app)).rejects.toMatchObject({ code: 'SCAN_HELD' })
    expect({ ...(await contentOf(app)), layers: await layersNow() }).toEqual(before)
    const report = await run(app, { confirm: true })
    expect(report.events.demoted).toBeGreaterThan(60)
    expect(report.symbols.layers).toEqual({ '0': 0, '1': 0, '2': 0, '3': 0 })
  })
})

it('a market of another seed gives other events (control)', async () => {
  const events = async (seed: number) => {
    await using served = await serveMarket(
      createStandInMarket({ seed, symbols: 40, asOf: AS_OF, historyYears: 1, calendar }),
    )
    await using place = await createPlace('postgres')
    await using app = await place.open({ settings: quickSettings(), provider: served.provider, asOf: AS_OF })
    await run(app)
    return (await contentOf(app)).companies
  }
  expect(await events(1)).not.toBe(await events(2))
})
