import { type BarBatch, DAY_MS, dayNumber, dayOf } from '@varve/core'
import type { SessionClose, SessionCloses } from './CorporateAction.ts'

/**
 * Closes of raw daily bars, to look up by date. Where batches repeat a session, the later one counts.
 *
 * @param symbols - those that will be asked for; all of them when left out
 */
export function closesOf(batches: Iterable<BarBatch>, symbols?: ReadonlySet<string>): SessionCloses {
  const bySymbol = new Map<string, { readonly days: number[]; readonly closes: Map<number, bigint> }>()
  let sorted = true
  for (const batch of batches) {
    for (let row = 0; row < batch.length; row++) {
      const symbol = batch.symbols[batch.symbolIndex[row]!]!
      if (symbols?.has(symbol) === false) continue
      let entry = bySymbol.get(symbol)
      if (entry === undefined) bySymbol.set(symbol, (entry = { days: [], closes: new Map() }))
      const day = Math.floor(batch.time[row]! / DAY_MS)
      if (!entry.closes.has(day)) {
        if (day < (entry.days.at(-1) ?? -Infinity)) sorted = false
        entry.days.push(day)
      }
      entry.closes.set(day, batch.close[row]!)
    }
  }
  if (!sorted) for (const { days } of bySymbol.values()) days.sort((a, b) => a - b)
  const closeAt = (symbol: string, day: number | undefined): SessionClose | undefined => {
    const close = day === undefined ? undefined : bySymbol.get(symbol)?.closes.get(day)
    return close === undefined ? undefined : { date: dayOf(day!), close }
  }
  return {
    before(symbol, date) {
      const days = bySymbol.get(symbol)?.days ?? []
      const limit = dayNumber(date)
      let [low, high] = [0, days.length]
      while (low < high) {
        const middle = (low + high) >>> 1
        if (days[middle]! < limit) low = middle + 1
        else high = middle
      }
      return closeAt(symbol, days[low - 1])
    },
    on: (symbol, date) => closeAt(symbol, dayNumber(date)),
  }
}
