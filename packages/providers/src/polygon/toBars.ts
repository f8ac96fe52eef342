import type { BarBatch, BarSource, DateRange, Interval, SessionCalendar } from '@varve/core'
import { BarBatchBuilder, dayNumber, DAY_MS } from '@varve/core'
import type { RejectedRow } from '../model.ts'
import type { NumberCell } from '../numberCell.ts'
import { describeNumberFaults, parseNumberText } from '../numberCell.ts'
import type { Aggregate } from './aggregates.ts'
import type { JsonObject } from './fields.ts'
import { numberTextOf, rawFields } from './fields.ts'

/** A bar's numbers, read exactly or not at all. */
interface Numbers {
  readonly open: NumberCell
  readonly high: NumberCell
  readonly low: NumberCell
  readonly close: NumberCell
  readonly volume: NumberCell
}

type ExactNumbers = { readonly [K in keyof Numbers]: bigint }

function readNumbers(item: JsonObject): Numbers {
  // A number that came as something else, such as a string, is no number.
  const cell = (name: string): NumberCell => {
    const value = item[name]
    return value === null || value === undefined
      ? 'null'
      : parseNumberText(numberTextOf(value) ?? 'not a number')
  }
  return { open: cell('o'), high: cell('h'), low: cell('l'), close: cell('c'), volume: cell('v') }
}

const isExact = (numbers: Numbers): numbers is ExactNumbers =>
  Object.values(numbers).every((value) => typeof value === 'bigint')

/** Collects bars of one answer and the rows that could not be read. */
export class BarCollector {
  readonly rejected: RejectedRow[] = []
  readonly #builder: BarBatchBuilder
  readonly #origin: string

  constructor(interval: Interval, source: BarSource, origin: string) {
    this.#builder = new BarBatchBuilder(interval, source)
    this.#origin = origin
  }

  get length(): number {
    return this.#builder.length
  }

  add(symbol: string | null, time: number | null, item: JsonObject): void {
    const numbers = readNumbers(item)
    if (symbol !== null && time !== null && isExact(numbers)) this.addExact(symbol, time, numbers)
    else this.reject(symbol, time, item)
  }

  addExact(symbol: string, time: number, { open, high, low, close, volume }: ExactNumbers): void {
    this.#builder.add(symbol, time, open, high, low, close, volume)
  }

  reject(symbol: string | null, time: number | null, item: JsonObject): void {
    const described =
      symbol === null
        ? { rule: 'symbol_missing', message: 'the symbol is missing' }
        : time === null
          ? { rule: 'date_invalid', message: 'the time is no instant' }
          : describeNumberFaults(Object.entries(readNumbers(item)))
    this.rejected.push({
      symbol,
      time,
      rule: described?.rule ?? 'unreadable',
      message: `${symbol ?? 'a bar'}: ${described?.message ?? 'part of the bar cannot be read'}`,
      sourceRow: -1,
      origin: this.#origin,
      raw: rawFields(item),
    })
  }

  build(): BarBatch {
    return this.#builder.build()
  }
}

/** Day bars: `t` is midnight in New York, the bar's time the session date. */
export function collectDays(
  collector: BarCollector,
  symbol: string,
  rows: readonly Aggregate[],
  range: DateRange,
  calendar: SessionCalendar,
): void {
  for (const { t, item } of rows) {
    const date = calendar.dateOf(t)
    if (date >= range.from && date <= range.to) collector.add(symbol, dayNumber(date) * DAY_MS, item)
  }
}

/**
 * Intraday bars of the regular session; the provider serves the hours before and after as well. `stepMs` may be a
 * multiple of the window fetched: then whole bars are put together, counted from the session's open, exactly.
 */
export function collectIntraday(
  collector: BarCollector,
  symbol: string,
  rows: readonly Aggregate[],
  range: DateRange,
  calendar: SessionCalendar,
  stepMs: number,
): void {
  let open: { readonly time: number; readonly items: JsonObject[] } | undefined
  const flush = () => {
    if (open === undefined) return
    const { time, items } = open
    const parts = items.map(readNumbers)
    const unreadable = parts.findIndex((numbers) => !isExact(numbers))
    if (unreadable >= 0) collector.reject(symbol, time, items[unreadable]!)
    else collector.addExact(symbol, time, join(parts as ExactNumbers[]))
    open = undefined
  }
  for (const { t, item } of rows) {
    const date = calendar.sessionOf(t)
    const session = date === undefined ? undefined : calendar.session(date)
    if (session === undefined || session.date < range.from || session.date > range.to) continue
    const time = session.openAt + Math.floor((t - session.openAt) / stepMs) * stepMs
    if (open?.time !== time) {
      flush()
      open = { time, items: [] }
    }
    open.items.push(item)
  }
  flush()
}

function join(parts: readonly ExactNumbers[]): ExactNumbers {
  const first = parts[0]!
  return {
    open: first.open,
    high: parts.reduce((high, part) => (part.high > high ? part.high : high), first.high),
    low: parts.reduce((low, part) => (part.low < low ? part.low : low), first.low),
    close: parts.at(-1)!.close,
    volume: parts.reduce((sum, part) => sum + part.volume, 0n),
  }
}
