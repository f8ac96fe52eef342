import { formatScaled } from '@varve/core'
import { type BarQuery, type BarStore, createBarStore } from '@varve/storage'
import type pg from 'pg'
import {
  type BenchCase,
  type BenchOptions,
  type BenchResult,
  against,
  bounded,
  interleave,
  interleavedTimes,
  quantile,
} from '../harness.ts'
import { hourlyBars, symbolName } from '../market.ts'
import { ALL_HOT, type BenchPlace, createChecker, load, seriesIds } from './support.ts'

const FROM = Date.UTC(2020, 0, 1)
const TO = Date.UTC(2021, 0, 1)
const DAYS = 250
const LOAD_SYMBOLS = 100
const QUICK_SYMBOLS = 20
/** 44 symbols of 2,000 bars. */
const WINDOW_SYMBOLS = 44
/** A look-up that the raw query takes 1 ms for may take 1.1. */
const YEAR_TARGET = 1 / 1.1

/** What the driver makes of a row by itself. */
interface DriverRow {
  readonly series_id: number
  readonly ts: Date
  readonly open: string
  readonly high: string
  readonly low: string
  readonly close: string
  readonly volume: string
}

/** Reads of bars in Postgres, beside the driver reading the same rows. */
export async function measureHotReads(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  const database = await place.openDatabase('hot_reads')
  const { sql, plain } = database
  const store = createBarStore({ sql, lake: database.lake })
  const perLoad = options.quick ? QUICK_SYMBOLS : LOAD_SYMBOLS
  const symbols = options.quick ? QUICK_SYMBOLS : 5 * LOAD_SYMBOLS
  for (let first = 0; first < symbols; first += perLoad) {
    await load(sql, store, hourlyBars(perLoad, DAYS, first), ALL_HOT)
  }
  await sql.exec('VACUUM ANALYZE')
  const ids = await seriesIds(sql)
  const cases = [await yearOfOne(options, store, plain, ids)]
  if (!options.quick) {
    cases.push(await window(options, store, plain, ids))
    cases.push(...(await latest(options, store, plain)))
  }
  await database.close()
  return { cases, skipped: [] }
}

async function yearOfOne(
  options: BenchOptions,
  store: BarStore,
  plain: pg.Client,
  ids: ReadonlyMap<string, number>,
): Promise<BenchCase> {
  const check = createChecker()
  let turns = [0, 0]
  const next = (contender: 0 | 1) => symbolName((turns[contender]!++ * 37) % ids.size)
  const contenders = [
    {
      name: 'ours',
      async run() {
        const symbol = next(0)
        const { rows, last } = await readBars(store, {
          interval: '1h',
          symbols: [symbol],
          from: FROM,
          to: TO,
        })
        check(symbol, `${rows} ${last}`)
      },
    },
    {
      name: 'raw',
      async run() {
        const symbol = next(1)
        const { rows } = await plain.query<DriverRow>({
          name: 'year',
          text: `SELECT ts, open, high, low, close, volume FROM bars WHERE series_id = $1 AND ts >= $2 AND ts < $3
                 ORDER BY ts`,
          values: [ids.get(symbol), new Date(FROM), new Date(TO)],
        })
        check(symbol, `${rows.length} ${asRead(rows.at(-1)!.close)}`)
      },
    },
  ]
  await interleave(contenders, 20)
  turns = [0, 0]
  const times = await interleave(contenders, options.quick ? 60 : 200)
  return against(options, {
    case: 'hot read of one symbol and year, 2,000 bars',
    unit: 'ms',
    ours: times.get('ours')!,
    peer: times.get('raw')!,
    peerName: 'raw prepared query',
    better: 'lower',
    target: YEAR_TARGET,
  })
}

async function window(
  options: BenchOptions,
  store: BarStore,
  plain: pg.Client,
  ids: ReadonlyMap<string, number>,
): Promise<BenchCase> {
  const symbols = Array.from({ length: WINDOW_SYMBOLS }, (_, index) => symbolName(index))
  const check = createChecker()
  const contenders = [
    {
      name: 'ours',
      async run() {
        const { rows, last } = await readBars(store, { interval: '1h', symbols, from: FROM, to: TO })
        check('window', `${rows} ${last}`)
      },
    },
    {
      name: 'driver',
      async run() {
        const { rows } = await plain.query<DriverRow>({
          name: 'window',
          text: `SELECT series_id, ts, open, high, low, close, volume FROM bars
                 WHERE series_id = ANY($1) AND ts >= $2 AND ts < $3 ORDER BY series_id, ts`,
          values: [symbols.map((symbol) => ids.get(symbol)), new Date(FROM), new Date(TO)],
        })
        check('window', `${rows.length} ${asRead(rows.at(-1)!.close)}`)
      },
    },
  ]
  await interleave(contenders, 2)
  const times = await interleave(contenders, 9)
  return against(options, {
    case: 'hot read of a window of 88,000 bars',
    unit: 'ms',
    ours: times.get('ours')!,
    peer: times.get('driver')!,
    peerName: "pg's own decoding to objects of text",
    better: 'lower',
    target: 3,
  })
}

async function latest(options: BenchOptions, store: BarStore, plain: pg.Client): Promise<BenchCase[]> {
  const check = createChecker()
  const ours = {
    name: 'ours',
    async run() {
      const bars = await store.latest('1h')
      check('latest', `${bars.length} ${bars.at(-1)!.symbol} ${formatScaled(bars.at(-1)!.close)}`)
    },
  }
  const distinct = {
    name: 'distinct',
    async run() {
      const { rows } = await plain.query<DriverRow & { readonly symbol: string }>(
        `SELECT DISTINCT ON (symbol) symbol, ts, open, high, low, close, volume FROM bars JOIN series ON id = series_id
         WHERE interval = '1h' ORDER BY symbol, ts DESC`,
      )
      check('latest', `${rows.length} ${rows.at(-1)!.symbol} ${asRead(rows.at(-1)!.close)}`)
    },
  }
  const beside = await interleave([ours, distinct], 5)
  const times = await interleavedTimes([ours], 100)
  const name = 'latest bar of 500 symbols among 1,000,000'
  return [
    bounded(options, {
      case: `${name}, p95`,
      unit: 'ms',
      ours: quantile(times.get('ours')!, 0.95),
      better: 'lower',
      target: 10,
    }),
    against(options, {
      case: name,
      unit: 'ms',
      ours: beside.get('ours')!,
      peer: beside.get('distinct')!,
      peerName: 'DISTINCT ON',
      better: 'lower',
      target: 1,
    }),
  ]
}

/** Reads to the end: how many rows, and the last close. */
async function readBars(store: BarStore, query: BarQuery): Promise<{ rows: number; last: string }> {
  let rows = 0
  let last = 0n
  for await (const batch of store.read(query)) {
    rows += batch.length
    last = batch.close[batch.length - 1]!
  }
  return { rows, last: formatScaled(last) }
}

/** Text of a NUMERIC as `formatScaled` writes it, without the zeros at its end. */
function asRead(text: string): string {
  return text.replace(/\.?0+$/, '')
}
