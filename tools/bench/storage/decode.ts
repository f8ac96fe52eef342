import { type BarBatch, formatScaled, parseScaled } from '@varve/core'
import { type BarStore, createBarStore } from '@varve/storage'
import { createDuckdbReader } from '@varve/storage/duckdb'
import { DuckDBInstance } from '@duckdb/node-api'
import { join } from 'node:path'
import { type BenchOptions, type BenchResult, against, interleave } from '../harness.ts'
import { library } from '../library.ts'
import { hourlyBars } from '../market.ts'
import { ALL_COLD, type BenchPlace, load } from './support.ts'

interface DecimalLike {
  toFixed(places: number): string
}
/** A DECIMAL as DuckDB hands it out. */
interface DecimalText {
  toString(): string
}
interface DecimalLibrary {
  readonly default: new (text: string) => DecimalLike
}

const PRICES = ['open', 'high', 'low', 'close'] as const

/** Prices of 200,000 bars made exact numbers, beside `new Decimal` for every cell; a mismatch is an error. */
export async function measureDecode(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  const { default: Decimal } = await library<DecimalLibrary>('decimal.js')
  const database = await place.openDatabase('decode')
  const batch = hourlyBars(100, 250)
  const store = createBarStore(database)
  await load(database.sql, store, batch, ALL_COLD)
  const texts = PRICES.flatMap((name) =>
    Array.from({ length: batch.length }, (_, row) => formatScaled(batch[name][row]!)),
  )
  const query = { interval: '1h', from: 0, to: Date.UTC(2100, 0, 1) } as const
  const reader = createDuckdbReader({ lake: database.lake })
  const engine = createBarStore({ ...database, reader })
  const readBack = async (from: BarStore) => {
    const parts: BarBatch[] = []
    for await (const part of from.read(query)) parts.push(part)
    return parts
  }
  const readAll = async (from: BarStore) => {
    const rows = (await readBack(from)).reduce((total, part) => total + part.length, 0)
    if (rows !== batch.length) throw new Error(`${rows} rows read`)
  }
  for (const from of [store, engine]) assertExact(await readBack(from), texts, (text) => new Decimal(text))

  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const files = join(database.lakeDirectory, '**', '*.parquet')

  const scaled = new BigInt64Array(texts.length)
  const decimals = new Array<DecimalLike>(texts.length)
  const times = await interleave(
    [
      { name: 'lake', run: () => readAll(store) },
      { name: 'engine', run: () => readAll(engine) },
      {
        name: 'rows of decimals',
        async run() {
          const result = await connection.runAndReadAll(
            `SELECT symbol, time, ${PRICES.join(', ')}, volume FROM read_parquet('${files}')`,
          )
          const rows = result.getRows()
          let cell = 0
          for (const row of rows) {
            for (let column = 2; column < 2 + PRICES.length; column++) {
              decimals[cell++] = new Decimal((row[column] as DecimalText).toString())
            }
          }
          if (cell !== texts.length) throw new Error(`${cell} prices read`)
        },
      },
      {
        name: 'parseScaled',
        run() {
          for (let cell = 0; cell < texts.length; cell++) scaled[cell] = parseScaled(texts[cell]!)
          return Promise.resolve()
        },
      },
      {
        name: 'decimal',
        run() {
          for (let cell = 0; cell < texts.length; cell++) decimals[cell] = new Decimal(texts[cell]!)
          return Promise.resolve()
        },
      },
    ],
    9,
  )
  for (let cell = 0; cell < texts.length; cell++) {
    if (formatScaled(scaled[cell]!) !== texts[cell])
      throw new Error(`parseScaled read ${texts[cell]!} otherwise`)
  }
  connection.closeSync()
  duck.closeSync()
  await reader.close()
  await database.close()
  const rate = (name: string) => texts.length / times.get(name)! / 1000
  const common = {
    unit: 'million/s',
    peer: rate('decimal'),
    peerName: 'new Decimal for each text in memory',
    better: 'higher',
  } as const
  const program = { peer: rate('rows of decimals'), peerName: "DuckDB's rows and new Decimal for each price" }
  return {
    cases: [
      against(options, {
        ...common,
        ...program,
        case: '800,000 exact prices out of the lake, file read, unpacked and decoded in plain JavaScript',
        ours: rate('lake'),
        target: 1,
      }),
      against(options, {
        ...common,
        ...program,
        case: '800,000 exact prices out of the lake, with DuckDB',
        ours: rate('engine'),
        target: 1,
      }),
      against(options, {
        ...common,
        case: '800,000 exact prices out of the lake, file read, unpacked and decoded in plain JavaScript',
        ours: rate('lake'),
        target: 7,
      }),
      against(options, {
        ...common,
        case: '800,000 exact prices out of the lake, with DuckDB',
        ours: rate('engine'),
        target: 7,
      }),
      against(options, {
        ...common,
        case: '800,000 exact prices from text, one by one',
        ours: rate('parseScaled'),
        target: 1,
      }),
    ],
    skipped: [],
  }
}

/** @throws when a price that was read back is not the one decimal.js makes of its text */
function assertExact(
  parts: readonly BarBatch[],
  texts: readonly string[],
  decimal: (text: string) => DecimalLike,
): void {
  const rows = texts.length / PRICES.length
  let at = 0
  for (const part of parts) {
    for (let row = 0; row < part.length; row++, at++) {
      PRICES.forEach((name, column) => {
        const expected = decimal(texts[column * rows + at]!).toFixed(6)
        const value = part[name][row]!
        if (`${value / 1_000_000n}.${String(value % 1_000_000n).padStart(6, '0')}` !== expected) {
          throw new Error(`${name} of row ${at} was read as ${formatScaled(value)}, not ${expected}`)
        }
      })
    }
  }
  if (at !== rows) throw new Error(`${at} rows read back, not ${rows}`)
}
