// The kinds of rows a long run under faults loads: how to make them, hand them in and read them back.
import { type BarSource, BarBatchBuilder, DAY_MS, barAt } from '@varve/core'
import type { BarStore, LoadBatch, RecordStore } from '@varve/storage'
import type { Ledger, Stored } from './faultsLedger.ts'

export const FIRST_WATERMARK = 1500 * DAY_MS
/** A prime, so that steps of any length visit every day once before they come back. */
const DAYS = 3001
const STEP = 1201
const SYMBOLS = 12
const BAR_SOURCE: BarSource = { provider: 'polygon', feed: 'sip', adjustment: 'raw' }
const WIRE: BarSource = { provider: 'wire', feed: 'all', adjustment: 'raw' }
export const RECORDS_FROM = Date.UTC(2024, 0, 1)

export interface Kind {
  readonly name: 'bars' | 'trades' | 'news'
  readonly ledger: Ledger
  /** The n-th key of a writer; no two are alike. */
  key(writer: string, n: number): string
  /** A batch of values by key. */
  batch(values: ReadonlyMap<string, string>, recordedAt: number): LoadBatch
  /** Everything stored. */
  read(options?: { readonly knownAt?: number; readonly signal?: AbortSignal }): Promise<Stored>
}

/** Symbol and instant of the n-th key: a few symbols, each on days in scattered order. */
function place(writer: string, n: number, from: number): string {
  const turn = Math.floor(n / SYMBOLS)
  const symbol = `${writer}${(n % SYMBOLS) + SYMBOLS * Math.floor(turn / DAYS)}`
  return `${symbol}@${from + ((turn * STEP) % DAYS) * DAY_MS}`
}

function placeOf(key: string): { symbol: string; time: number } {
  const [symbol = '', time = ''] = key.split('@')
  return { symbol, time: Number(time) }
}

function collect(stored: Map<string, string[]>, key: string, value: string): void {
  const there = stored.get(key)
  if (there === undefined) stored.set(key, [value])
  else there.push(value)
}

export function barKind(store: BarStore, ledger: Ledger): Kind {
  return {
    name: 'bars',
    ledger,
    key: (writer, n) => place(writer, n, 0),
    batch(values, recordedAt) {
      const builder = new BarBatchBuilder('1d', BAR_SOURCE)
      for (const [key, value] of values) {
        const { symbol, time } = placeOf(key)
        const price = BigInt(value)
        builder.add(symbol, time, price, price + 3n, price - 2n, price + 1n, price * 7n)
      }
      return { dataset: 'bars', batch: builder.build(), recordedAt }
    },
    async read({ knownAt, signal } = {}) {
      const stored = new Map<string, string[]>()
      const range = { interval: '1d', from: -Infinity, to: Infinity } as const
      const asked = {
        ...(knownAt === undefined ? {} : { knownAt }),
        ...(signal === undefined ? {} : { signal }),
      }
      for await (const batch of store.read({ ...range, ...asked })) {
        for (let row = 0; row < batch.length; row++) {
          const { symbol, time, open, high, low, close, volume } = barAt(batch, row)
          const whole = high === open + 3n && low === open - 2n && close === open + 1n && volume === open * 7n
          collect(stored, `${symbol}@${time}`, whole ? String(open) : `${open} with other columns mixed in`)
        }
      }
      return stored
    },
  }
}

export function recordKind(store: RecordStore, name: 'trades' | 'news', ledger: Ledger): Kind {
  return {
    name,
    ledger,
    // Trades lie in a partition per day: forty days are enough.
    key: (writer, n) => `${writer}${n % SYMBOLS}@${RECORDS_FROM + (n % 40) * DAY_MS + n}`,
    batch(values, recordedAt) {
      if (name === 'trades') {
        const rows = [...values].map(([key, value]) => {
          const { symbol, time } = placeOf(key)
          return { symbol, time, values: { price: BigInt(value), size: '1', sequence: 1 } }
        })
        return { dataset: 'trades', source: WIRE, rows, recordedAt }
      }
      const rows = [...values].map(([key, value]) => {
        const { symbol, time } = placeOf(key)
        return { symbol, time, values: { article_id: key, title: value } }
      })
      return { dataset: 'news', source: WIRE, rows, recordedAt }
    },
    async read(options = {}) {
      const stored = new Map<string, string[]>()
      if (name === 'trades') {
        for await (const page of store.read({ dataset: 'trades', ...options }))
          for (const { symbol, time, values } of page.rows)
            collect(stored, `${symbol}@${time}`, String(values.price))
      } else {
        for await (const page of store.read({ dataset: 'news', ...options }))
          for (const { symbol, time, values } of page.rows)
            collect(stored, `${symbol}@${time}`, String(values.title))
      }
      return stored
    },
  }
}
