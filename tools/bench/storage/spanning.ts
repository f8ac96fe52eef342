import { type BarQuery, createBarStore } from '@varve/storage'
import { type BenchOptions, type BenchResult, against, interleave } from '../harness.ts'
import { hourlyBars, symbolName } from '../market.ts'
import { type BenchPlace, createChecker, load } from './support.ts'

const FROM = Date.UTC(2020, 0, 1)
const TO = Date.UTC(2021, 0, 1)
const SYMBOLS = 100
/** Nobody set a bound for what a range over both tiers may cost. */
const NO_TARGET = 0

/** Ranges of which Postgres holds one half and the lake the other, beside reading each half alone. */
export async function measureSpanning(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  const database = await place.openDatabase('spanning')
  const { sql } = database
  const store = createBarStore(database)
  const batch = hourlyBars(SYMBOLS, 250)
  const middle = batch.time[1000]!
  await load(sql, store, batch, { hotFrom: () => middle, initialWatermark: middle })
  await sql.exec('VACUUM ANALYZE')
  const check = createChecker()
  const sumOf = async (query: BarQuery) => {
    let rows = 0
    let sum = 0n
    for await (const part of store.read(query)) {
      rows += part.length
      for (let row = 0; row < part.length; row++) sum += part.close[row]!
    }
    return { rows, sum }
  }
  let turns = [0, 0]
  const cases = []
  for (const [name, count, rounds] of [
    ['one symbol and year', 1, 61],
    ['a year of 100 symbols', SYMBOLS, 9],
  ] as const) {
    const next = (contender: 0 | 1) => {
      const first = (turns[contender]!++ * 37) % SYMBOLS
      return Array.from({ length: count }, (_, index) => symbolName((first + index) % SYMBOLS)).sort()
    }
    const contenders = [
      {
        name: 'both',
        async run() {
          const symbols = next(0)
          const { rows, sum } = await sumOf({ interval: '1h', symbols, from: FROM, to: TO })
          check(symbols.join(), `${rows} ${sum}`)
        },
      },
      {
        name: 'parts',
        async run() {
          const symbols = next(1)
          const cold = await sumOf({ interval: '1h', symbols, from: FROM, to: middle })
          const hot = await sumOf({ interval: '1h', symbols, from: middle, to: TO })
          if (cold.rows !== hot.rows) throw new Error(`${cold.rows} rows cold, ${hot.rows} hot`)
          check(symbols.join(), `${cold.rows + hot.rows} ${cold.sum + hot.sum}`)
        },
      },
    ]
    await interleave(contenders, 3)
    turns = [0, 0]
    const times = await interleave(contenders, options.quick ? 9 : rounds)
    cases.push(
      against(options, {
        case: `read of ${name}, half in Postgres and half in the lake`,
        unit: 'ms',
        ours: times.get('both')!,
        peer: times.get('parts')!,
        peerName: 'its halves read one after the other',
        better: 'lower',
        target: NO_TARGET,
      }),
    )
  }
  await database.close()
  return { cases, skipped: [] }
}
