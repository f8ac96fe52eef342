import {
  type BarBatch,
  DAY_MS,
  type SessionDate,
  VarveError,
  checkedOptions,
  dayNumber,
  dayOf,
  isIntraday,
} from '@varve/core'
import type { AdjustWarning, CorporateAction, SessionCloses } from './CorporateAction.ts'
import { type SymbolFactors, computeFactors } from './factors.ts'
import { type AdjustOptions, type AdjustSettings, adjustOptionsSchema } from './options.ts'
import { type Rational, invert, multiply } from './Rational.ts'
import { scaleColumn } from './scaleColumn.ts'
import { closesOf } from './sessionCloses.ts'
import { sessionDateAt, sessionStart } from './sessionStart.ts'

/** What prices were adjusted for. */
export type Adjustment = 'raw' | 'split' | 'dividend' | 'all'

/** Bars as an observer of one date would chart them, and how they came about. */
export interface AdjustedBars {
  /** `source.adjustment` says `all` where `adjustment` says `dividend`. */
  readonly bars: BarBatch
  readonly adjustment: Adjustment
  readonly asOf: SessionDate
  /** Milliseconds UTC; `undefined` for all that is known. */
  readonly knownAt: number | undefined
  /** Actions that took part. */
  readonly applied: number
  /** Factors of every symbol that has any. */
  readonly factors: ReadonlyMap<string, SymbolFactors>
  /** Actions that should have taken part and could not. */
  readonly warnings: readonly AdjustWarning[]
}

/** Factor of the rows of one symbol between two ex-dates. */
interface Span {
  /** First instant after it, milliseconds UTC. */
  readonly end: number
  readonly price: Rational
  readonly volume: Rational
}

/**
 * Raw bars adjusted for corporate actions as of a date. Prices are multiplied by one exact fraction, `Π from ÷ to`
 * of the splits times what distributions left, and rounded once to 6 decimals, ties to even; volumes are divided
 * by the splits' fraction. Bars after `asOf` are left as traded. Columns nothing changes in are those of `batch`.
 *
 * @param batch - rows in any order
 * @param actions - each once, in any order, also of other symbols
 * @param options - `closes` are the raw daily closes distributions are measured by; the batch's own for `1d`
 * @throws `ADJUST_NOT_RAW` when the batch was adjusted before
 * @throws `ADJUST_OUT_OF_RANGE` when a volume becomes too large to hold
 * @see CRSP "Data Descriptions Guide"; Zipline `calc_dividend_ratios`; docs/concepts/adjusted-prices.md
 */
export function adjustBars(
  batch: BarBatch,
  actions: readonly CorporateAction[],
  options: AdjustOptions & { readonly closes?: SessionCloses | undefined },
): AdjustedBars {
  const { closes = closesOfDaily(batch, actions), ...data } = options
  const settings = checkedOptions(adjustOptionsSchema, data, 'adjustBars')
  if (batch.source.adjustment !== 'raw') {
    throw new VarveError(
      `bars of ${batch.source.provider} are adjusted already (${batch.source.adjustment}); adjust the raw series instead`,
      { code: 'ADJUST_NOT_RAW', details: { source: { ...batch.source } } },
    )
  }
  const adjustment: Adjustment = settings.splits
    ? settings.dividends
      ? 'all'
      : 'split'
    : settings.dividends
      ? 'dividend'
      : 'raw'
  const factors = factorsOf(batch, actions, closes, settings)
  const bars = applyFactors(batch, factors, settings)
  let applied = 0
  const warnings: AdjustWarning[] = []
  for (const entry of factors.values()) {
    applied += entry.applied
    warnings.push(...entry.warnings)
  }
  return {
    bars: { ...bars, source: { ...batch.source, adjustment } },
    adjustment,
    asOf: settings.asOf,
    knownAt: settings.knownAt,
    applied,
    factors,
    warnings,
  }
}

/** A batch's own closes, as far as dividends need them. */
function closesOfDaily(batch: BarBatch, actions: readonly CorporateAction[]): SessionCloses {
  if (isIntraday(batch.interval)) return NO_CLOSES
  return closesOf(
    [batch],
    new Set(actions.filter(({ kind }) => kind === 'dividend').map(({ symbol }) => symbol)),
  )
}

const NO_CLOSES: SessionCloses = { before: () => undefined, on: () => undefined }

/** Factors of the symbols of a batch that actions name. */
function factorsOf(
  batch: BarBatch,
  actions: readonly CorporateAction[],
  closes: SessionCloses,
  settings: AdjustSettings,
): Map<string, SymbolFactors> {
  const bySymbol = new Map<string, CorporateAction[]>()
  for (const action of actions) {
    const list = bySymbol.get(action.symbol)
    if (list === undefined) bySymbol.set(action.symbol, [action])
    else list.push(action)
  }
  const found = new Map<string, SymbolFactors>()
  if (bySymbol.size === 0) return found
  const first = new Float64Array(batch.symbols.length).fill(Infinity)
  for (let row = 0; row < batch.length; row++) {
    const symbol = batch.symbolIndex[row]!
    if (batch.time[row]! < first[symbol]!) first[symbol] = batch.time[row]!
  }
  for (const [index, symbol] of batch.symbols.entries()) {
    const own = bySymbol.get(symbol)
    if (own === undefined || first[index] === Infinity) continue
    const firstDate = isIntraday(batch.interval)
      ? sessionDateAt(first[index]!, settings.timeZone)
      : dayOf(Math.floor(first[index]! / DAY_MS))
    found.set(symbol, computeFactors(symbol, own, closes, settings, firstDate))
  }
  return found
}

function applyFactors(
  batch: BarBatch,
  factors: ReadonlyMap<string, SymbolFactors>,
  settings: AdjustSettings,
): BarBatch {
  const starts = new Map<SessionDate, number>()
  const startOf = (date: SessionDate) => {
    let at = starts.get(date)
    if (at === undefined) {
      at = isIntraday(batch.interval) ? sessionStart(date, settings.timeZone) : dayNumber(date) * DAY_MS
      starts.set(date, at)
    }
    return at
  }
  let prices = false
  let volumes = false
  const spans = batch.symbols.map((symbol): readonly Span[] => {
    const steps = factors.get(symbol)?.steps ?? []
    return steps.map(({ exDate, split, dividend }) => {
      const price = multiply(split, dividend)
      if (price.numerator !== price.denominator) prices = true
      if (split.numerator !== split.denominator) volumes = true
      return { end: startOf(exDate), price, volume: invert(split) }
    })
  })
  if (!prices && !volumes) return batch
  const column = () => new BigInt64Array(batch.length)
  const open = column()
  const high = column()
  const low = column()
  const close = column()
  const volume = volumes ? column() : batch.volume
  forRuns(batch, spans, (start, end, span) => {
    const price = span?.price ?? UNCHANGED
    scaleColumn(batch.open, open, start, end, price)
    scaleColumn(batch.high, high, start, end, price)
    scaleColumn(batch.low, low, start, end, price)
    scaleColumn(batch.close, close, start, end, price)
    if (volume !== batch.volume)
      scaleColumn(batch.volume, volume as BigInt64Array<ArrayBuffer>, start, end, span?.volume ?? UNCHANGED)
  })
  return { ...batch, open, high, low, close, volume }
}

const UNCHANGED: Rational = { numerator: 1n, denominator: 1n }

/** Rows that follow one another and share a symbol and span; `undefined` for rows on or after the last ex-date. */
function forRuns(
  batch: BarBatch,
  spans: readonly (readonly Span[])[],
  work: (start: number, end: number, span: Span | undefined) => void,
): void {
  let row = 0
  while (row < batch.length) {
    const symbol = batch.symbolIndex[row]!
    const own = spans[symbol]!
    const time = batch.time[row]!
    const position = own.findIndex((span) => time < span.end)
    const from = position === -1 ? (own.at(-1)?.end ?? -Infinity) : (own[position - 1]?.end ?? -Infinity)
    const until = position === -1 ? Infinity : own[position]!.end
    const start = row++
    while (
      row < batch.length &&
      batch.symbolIndex[row] === symbol &&
      batch.time[row]! >= from &&
      batch.time[row]! < until
    )
      row++
    work(start, row, position === -1 ? undefined : own[position])
  }
}
