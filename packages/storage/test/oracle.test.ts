import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarSource, barAt } from '@varve/core'
import { type BarStore, createBarStore, sourceName } from '../src/index.ts'
import {
  DAY,
  IEX,
  SIP,
  type TestStore,
  batchOf,
  day,
  engines,
  openTestStore,
  seededRandom,
} from './support.ts'

const SYMBOLS = ['A', 'AA', 'B', 'BRK.B', 'Z']
const SOURCES = [SIP, IEX]
const FIRST_SEED = Number(process.env.VARVE_ORACLE_SEED ?? 1)
const SEEDS = {
  postgres: Number(process.env.VARVE_ORACLE_SEEDS ?? 4),
  pglite: Number(process.env.VARVE_ORACLE_SEEDS ?? 2),
}
/** 1970-11-27: the days cross a year, so that compaction makes files of months and of years. */
const FIRST = 330
const DAYS = 60
const MAX = 142_857_142_857 // × 7 stays within what a volume can hold, and beyond 2^32

interface ModelSeries {
  readonly source: BarSource
  hotFrom: number
  coldFrom: number
  readonly rows: Map<number, ModelBar>
}

/** What is in force, and what was before or was learned late: price by when it was recorded. */
interface ModelBar {
  recorded: number
  price: number
  readonly history: Map<number, number>
}

/** What was known at an instant, if anything. */
function knownPrice(bar: ModelBar, at: number): number | undefined {
  if (bar.recorded <= at) return bar.price
  const times = [...bar.history.keys()].filter((time) => time <= at)
  return times.length === 0 ? undefined : bar.history.get(Math.max(...times))
}

/** What the store should hold, in the plainest terms: every row in one map. */
class Model {
  watermark: number | undefined
  readonly series = new Map<string, ModelSeries>()

  load(
    symbol: string,
    source: BarSource,
    rows: readonly (readonly [number, number])[],
    hotFrom: number,
    recorded: number,
  ): { inserted: number; updated: number; unchanged: number } {
    const key = `${symbol}|${sourceName(source)}`
    let series = this.series.get(key)
    if (series === undefined) {
      series = { source, hotFrom: Math.min(hotFrom, this.watermark!), coldFrom: -Infinity, rows: new Map() }
      this.series.set(key, series)
    }
    const counts = { inserted: 0, updated: 0, unchanged: 0 }
    for (const [time, price] of new Map(rows)) {
      const before = series.rows.get(time)
      if (before === undefined) {
        counts.inserted++
        series.rows.set(time, { recorded, price, history: new Map() })
      } else if (recorded < before.recorded) {
        // What is in force stays as it is.
        counts.unchanged++
        before.history.set(recorded, price)
      } else if (before.price === price) {
        counts.unchanged++
      } else {
        counts.updated++
        before.history.set(before.recorded, before.price)
        before.recorded = recorded
        before.price = price
      }
      series.coldFrom = Math.min(series.coldFrom, Math.max(time, -Infinity))
    }
    return counts
  }

  visible(symbol: string, source: BarSource, from: number, to: number, knownAt = Infinity): string[] {
    const series = this.series.get(`${symbol}|${sourceName(source)}`)
    if (series === undefined) return []
    return [...series.rows]
      .filter(([time]) => time >= series.coldFrom && time >= from && time < to)
      .sort(([a], [b]) => a - b)
      .flatMap(([time, bar]) => {
        const price = knownPrice(bar, knownAt)
        return price === undefined ? [] : [`${symbol}@${time / DAY}=${price}`]
      })
  }

  preferred(symbol: string): BarSource {
    const last = (source: BarSource) => {
      const series = this.series.get(`${symbol}|${sourceName(source)}`)
      return Math.max(
        -Infinity,
        ...[...(series?.rows.keys() ?? [])].filter((time) => time >= series!.coldFrom),
      )
    }
    // By name: alpaca before polygon.
    return last(IEX) >= last(SIP) ? IEX : SIP
  }
}

describe.each(engines)('any history against a plain map, on %s', (engine) => {
  let test: TestStore
  let store: BarStore

  beforeAll(async () => {
    test = await openTestStore(engine)
    store = createBarStore({
      sql: test.sql,
      lake: test.lake,
      minDeltaRows: 6,
      maxFileRows: 40,
      rowGroupRows: 8,
      chunkSymbols: 2,
      batchSize: 3,
      deleteSeries: 2,
    })
  })
  afterAll(() => test.close())

  const empty = () =>
    test.sql.exec(
      'TRUNCATE bars, bars_late, bar_versions, lake_file_series, lake_files, watermarks, series RESTART IDENTITY CASCADE',
    )

  const read = async (query: Parameters<BarStore['read']>[0]) => {
    const seen = new Map<string, string[]>()
    for await (const batch of store.read(query)) {
      let last = ''
      for (let row = 0; row < batch.length; row++) {
        const bar = barAt(batch, row)
        const key = `${bar.symbol} ${String(bar.time).padStart(16)}`
        if (!(key > last)) throw new Error(`rows out of order: ${key} after ${last}`)
        last = key
        if (
          bar.high !== bar.open + 3n ||
          bar.low !== bar.open - 2n ||
          bar.close !== bar.open + 1n ||
          bar.volume !== bar.open * 7n
        ) {
          throw new Error(
            `columns of different rows in one bar: ${JSON.stringify(bar, (_k, v: unknown) => (typeof v === 'bigint' ? String(v) : v))}`,
          )
        }
        const name = `${bar.symbol}|${sourceName(batch.source)}`
        const list = seen.get(name) ?? []
        list.push(`${bar.symbol}@${bar.time / DAY}=${bar.open}`)
        seen.set(name, list)
      }
    }
    return seen
  }

  const check = async (model: Model, random: () => number, step: number) => {
    const from = random() < 0.2 ? -Infinity : day(FIRST + Math.floor(random() * DAYS))
    const to = random() < 0.2 ? Infinity : day(FIRST + Math.floor(random() * (DAYS + 5)))
    const symbols = random() < 0.3 ? undefined : SYMBOLS.filter(() => random() < 0.6)
    const mode = Math.floor(random() * 3)
    const knownAt = random() < 0.5 ? undefined : Math.floor(random() * (step + 2)) * 1000
    const wanted = (symbols ?? SYMBOLS).flatMap((symbol) =>
      mode === 0
        ? [[symbol, model.preferred(symbol)] as const]
        : (mode === 1 ? [SIP] : SOURCES).map((source) => [symbol, source] as const),
    )
    const expected = new Map(
      wanted
        .map(
          ([symbol, source]) =>
            [`${symbol}|${sourceName(source)}`, model.visible(symbol, source, from, to, knownAt)] as const,
        )
        .filter(([, rows]) => rows.length > 0),
    )
    const found = await read({
      interval: '1d',
      symbols,
      from,
      to,
      knownAt,
      ...(mode === 1 ? { source: SIP } : mode === 2 ? { asSeries: 'all' } : {}),
    })
    const sorted = (map: Map<string, string[]>) => [...map].sort(([a], [b]) => (a < b ? -1 : 1))
    expect(sorted(found)).toEqual(sorted(expected))
  }

  let restoredRows = 0
  const play = async (seed: number, steps: number) => {
    const random = seededRandom(seed)
    const pick = <T>(list: readonly T[]) => list[Math.floor(random() * list.length)]!
    const model = new Model()
    model.watermark = day(FIRST + 20)
    let asOf = FIRST + 30
    for (let step = 0; step < steps; step++) {
      const action = random()
      if (action < 0.55) {
        const source = pick(SOURCES)
        const hotFrom = day(FIRST + Math.floor(random() * 40))
        const recordedAt = 1000 * (random() < 0.8 ? step : Math.floor(random() * step))
        const rows: [string, number, number][] = []
        const chosen = SYMBOLS.filter(() => random() < 0.5)
        for (const symbol of chosen) {
          const start = FIRST + Math.floor(random() * (asOf - FIRST))
          const length = 1 + Math.floor(random() * (random() < 0.3 ? 25 : 4))
          for (let at = start; at < Math.min(start + length, asOf + 1); at++) {
            if (random() < 0.85)
              rows.push([symbol, day(at), random() < 0.6 ? at : Math.floor((random() - 0.5) * 2 * MAX)])
            if (random() < 0.05 && rows.length > 0) rows.push(rows.at(-1)!)
          }
        }
        rows.sort(() => random() - 0.5)
        const batch = batchOf(rows, source)
        const expected = { inserted: 0, updated: 0, unchanged: 0 }
        for (const symbol of chosen) {
          const own = rows
            .filter(([name]) => name === symbol)
            .map(([, time, price]) => [time, price] as const)
          if (own.length === 0) continue
          const counts = model.load(symbol, source, own, hotFrom, recordedAt)
          expected.inserted += counts.inserted
          expected.updated += counts.updated
          expected.unchanged += counts.unchanged
        }
        const plan = { hotFrom: () => hotFrom, initialWatermark: model.watermark! }
        const staged = await store.stage(batch, plan, { recordedAt })
        const done = await test.sql.tx((tx) => store.commit(tx, staged))
        expect(done, `load in step ${step} of seed ${seed}`).toMatchObject(expected)
      } else if (action < 0.75) {
        asOf = Math.min(FIRST + DAYS, asOf + Math.floor(random() * 5))
        const archiveTo = day(asOf - Math.floor(random() * 10))
        // Up and down: a symbol that was promoted keeps more than before.
        const hot = new Map(SYMBOLS.map((symbol) => [symbol, day(asOf - Math.floor(random() * 40))]))
        const cold = new Map(
          SYMBOLS.map((symbol) => [
            symbol,
            random() < 0.5 ? null : day(asOf - 15 - Math.floor(random() * 30)),
          ]),
        )
        const policy = {
          interval: '1d' as const,
          asOf: day(asOf),
          archiveTo,
          hotFrom: (symbol: string) => hot.get(symbol)!,
          coldFrom: (symbol: string) => cold.get(symbol)!,
        }
        const planned = await store.planRetention(policy)
        const done = await store.retain(policy)
        for (const count of ['archivedRows', 'hotRestored', 'coldExpired'] as const) {
          const sum = planned.reduce((total, series) => total + series[count], 0)
          expect(sum, `${count} as planned in step ${step} of seed ${seed}`).toBe(done[count])
        }
        if (model.series.size > 0) model.watermark = Math.max(model.watermark!, archiveTo)
        let restored = 0
        for (const [key, series] of model.series) {
          const symbol = key.split('|')[0]!
          const target = Math.min(model.watermark!, hot.get(symbol)!)
          const before = series.hotFrom
          // What has expired does not come back.
          series.hotFrom = target > before ? target : Math.min(before, Math.max(target, series.coldFrom))
          restored += model.visible(symbol, series.source, series.hotFrom, before).length
          const expire = cold.get(symbol)!
          if (expire !== null) series.coldFrom = Math.max(series.coldFrom, Math.min(series.hotFrom, expire))
        }
        expect(done.hotRestored, `retention in step ${step} of seed ${seed}`).toBe(restored)
        restoredRows += restored
      } else if (action < 0.85) {
        await store.compact('1d', { force: true })
        for (const series of model.series.values()) {
          for (const time of series.rows.keys()) if (time < series.coldFrom) series.rows.delete(time)
        }
        if (random() < 0.5) await store.sweep({ graceMs: -60_000 })
      }
      await check(model, random, step)
    }
    // Rows and ranges by the cheap ways of asking.
    for (const entry of await store.seriesSummary('1d')) {
      const rows = model.visible(entry.symbol, entry.source, -Infinity, Infinity)
      expect(entry.rows).toBe(rows.length)
      expect(rows[0]).toContain(`@${entry.first / DAY}=`)
      expect(rows.at(-1)).toContain(`@${entry.last / DAY}=`)
    }
    const { hotRows } = await store.stats()
    const hot = [...model.series.values()].reduce(
      (sum, series) => sum + [...series.rows.keys()].filter((time) => time >= series.hotFrom).length,
      0,
    )
    expect(hotRows).toBe(hot)
  }

  it('answers every range exactly', async () => {
    let blind = 0
    let forgetful = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + SEEDS[engine]; seed++) {
      await empty()
      await play(seed, 40)
      const whole = { interval: '1d', from: -Infinity, to: Infinity, asSeries: 'all' } as const
      const [right, wrong] = [await read(whole), await read({ ...whole, includeLate: false })]
      if (JSON.stringify([...right]) !== JSON.stringify([...wrong])) blind++
      const past = await read({ ...whole, knownAt: 20_000 })
      if (JSON.stringify([...right]) !== JSON.stringify([...past])) forgetful++
    }
    // The control: a reader that ignores corrections must have been caught, or the histories prove nothing.
    expect(blind).toBeGreaterThan(0)
    // And one that shows today's values for a past day.
    expect(forgetful).toBeGreaterThan(0)
    expect(restoredRows, 'rows that came back from the lake').toBeGreaterThan(50)
  })
})
