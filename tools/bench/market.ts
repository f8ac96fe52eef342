import { type BarBatch, BarBatchBuilder } from '@varve/core'

const HOUR_MS = 3_600_000
const DAY_MS = 86_400_000
const PER_DAY = 8
/** Prices have four decimals, as most vendors give them; values are scaled by 10^6. */
const TICK = 100n

export const BENCH_SOURCE = { provider: 'bench', feed: 'walk', adjustment: 'raw' } as const

/**
 * Hourly bars of random walks, the same in every run: symbol by symbol, as a backfill brings them.
 *
 * @param first - index of the first symbol; another one brings other walks
 * @param apart - from one symbol's index to the next
 */
export function hourlyBars(symbols: number, days: number, first = 0, apart = 1): BarBatch {
  const builder = new BarBatchBuilder('1h', BENCH_SOURCE, symbols * days * PER_DAY)
  let state = (7 + first) >>> 0
  const random = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 4_294_967_296
  }
  const tradingDays: number[] = []
  for (let at = Date.UTC(2020, 0, 2); tradingDays.length < days; at += DAY_MS) {
    const weekday = new Date(at).getUTCDay()
    if (weekday !== 0 && weekday !== 6) tradingDays.push(at)
  }
  for (let index = 0; index < symbols; index++) {
    const symbol = symbolName(first + index * apart)
    let price = Math.round((5 + random() * 400) * 10_000)
    for (const day of tradingDays) {
      for (let bar = 0; bar < PER_DAY; bar++) {
        const open = price
        price = Math.max(10_000, price + Math.round((random() - 0.5) * 2000))
        const high = Math.max(open, price) + Math.round(random() * 500)
        const low = Math.min(open, price) - Math.round(random() * 500)
        const volume = BigInt(Math.floor(random() * 1_000_000)) * 1_000_000n
        const time = day + 13.5 * HOUR_MS + bar * HOUR_MS
        builder.add(
          symbol,
          time,
          BigInt(open) * TICK,
          BigInt(high) * TICK,
          BigInt(low) * TICK,
          BigInt(price) * TICK,
          volume,
        )
      }
    }
  }
  return builder.build()
}

/** AAAA, AAAB, …: in order of their index. */
export function symbolName(index: number): string {
  let name = ''
  for (let rest = index, place = 0; place < 4; place++) {
    name = String.fromCharCode(65 + (rest % 26)) + name
    rest = Math.floor(rest / 26)
  }
  return name
}
