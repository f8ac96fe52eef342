import type { SqlClient } from '@varve/core'
import type { BarStore } from '../../src/index.ts'
import { DAY } from '../support.ts'
import { COLD_FROM, SYMBOLS } from './plan.ts'

/**
 * What a read may show while the work goes on: per symbol an unbroken run of days, each once, beginning no later than
 * what may have expired, all symbols equally far, and no less far than any earlier read.
 */
export class Watch {
  furthest = 0
  reads = 0
  readonly faults: string[] = []

  observe(days: ReadonlyMap<string, readonly number[]>): void {
    this.reads++
    if (days.size === 0) {
      if (this.furthest > 0) this.faults.push('nothing, after something')
      return
    }
    let last = Infinity
    for (const [symbol, list] of days) {
      const first = list[0]!
      if (first > COLD_FROM) this.faults.push(`${symbol}: begins at ${first}`)
      const broken = list.findIndex((day, index) => day !== first + index)
      if (broken >= 0) this.faults.push(`${symbol}: day ${list[broken]} after ${list[broken - 1]}`)
      last = Math.min(last, list.at(-1)!)
    }
    if (days.size < SYMBOLS.length) this.faults.push(`${days.size} symbols`)
    if (last < this.furthest) this.faults.push(`only to ${last} after ${this.furthest}`)
    this.furthest = Math.max(this.furthest, last)
  }
}

/** Days per symbol, by the store. */
export async function readDays(store: BarStore): Promise<Map<string, number[]>> {
  const days = new Map<string, number[]>()
  for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity })) {
    for (let row = 0; row < batch.length; row++) {
      const symbol = batch.symbols[batch.symbolIndex[row]!]!
      const list = days.get(symbol)
      if (list === undefined) days.set(symbol, [batch.time[row]! / DAY])
      else list.push(batch.time[row]! / DAY)
      if (batch.high[row] !== batch.open[row]! + 3n) throw new Error('columns of different rows in one bar')
    }
  }
  return days
}

/**
 * The control: bounds and rows by two statements, with the lake stood in for by every day before `hot_from`. It must
 * be caught, or the check has no teeth.
 */
export async function readInTwoStatements(sql: SqlClient): Promise<Map<string, number[]>> {
  const { rows: bounds } = await sql.query<{
    id: number
    symbol: string
    hot_from: Date
    cold_from: Date | null
  }>('SELECT id, symbol, hot_from, cold_from FROM series ORDER BY symbol')
  await new Promise((resolve) => setTimeout(resolve, 5))
  const { rows: hot } = await sql.query<{ series_id: number; ts: Date }>(
    'SELECT b.series_id, b.ts FROM bars b JOIN series s ON s.id = b.series_id WHERE b.ts >= s.hot_from ORDER BY b.series_id, b.ts',
  )
  const days = new Map<string, number[]>()
  if (hot.length === 0) return days
  for (const bound of bounds) {
    const list: number[] = []
    for (let at = COLD_FROM; at < bound.hot_from.getTime() / DAY; at++) list.push(at)
    for (const row of hot) if (row.series_id === bound.id) list.push(row.ts.getTime() / DAY)
    days.set(bound.symbol, list)
  }
  return days
}
