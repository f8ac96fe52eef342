import { SCALE, type SessionDate, daysBetween } from '@varve/core'
import type {
  AdjustWarning,
  AdjustWarningReason,
  CorporateAction,
  DividendAction,
  SessionCloses,
  SpinOffAction,
  SplitAction,
} from './CorporateAction.ts'
import { ONE, type Rational, add, multiply, parseRational, rational, subtract } from './Rational.ts'
import type { AdjustSettings } from './options.ts'

/** What prices before an ex-date are multiplied by, down to the ex-date of the step before it. */
export interface FactorStep {
  readonly exDate: SessionDate
  /** Shares before ÷ shares after, of every split from this ex-date on. Volumes are divided by it. */
  readonly split: Rational
  /** What distributions from this ex-date on leave of a price. */
  readonly dividend: Rational
}

/** The factors of one symbol as of a date. */
export interface SymbolFactors {
  readonly symbol: string
  /** By ex-date, ascending; bars on or after the last one are as traded. */
  readonly steps: readonly FactorStep[]
  /** Actions that take part in them. */
  readonly applied: number
  readonly warnings: readonly AdjustWarning[]
}

type Distribution = DividendAction | SpinOffAction

/** Actions of one ex-date that count for an observer. */
interface ExDay {
  readonly exDate: SessionDate
  /** Shares before ÷ after of the day's splits, whether or not prices are to be adjusted for them. */
  readonly split: Rational
  readonly splits: number
  readonly distributions: readonly Distribution[]
}

/**
 * Cumulative factors of one symbol. The order of `actions` is irrelevant: on one day splits come first, and all
 * distributions of the day are shares of one and the same previous close.
 *
 * @param actions - of this symbol; those after `asOf` or not known at `knownAt` are left out here
 * @param firstDate - date of the first bar: actions up to it change nothing and are not looked at
 * @see CRSP, "Data Descriptions Guide", Factor to Adjust Price in Period; Zipline, `calc_dividend_ratios`
 */
export function computeFactors(
  symbol: string,
  actions: readonly CorporateAction[],
  closes: SessionCloses,
  settings: AdjustSettings,
  firstDate: SessionDate,
): SymbolFactors {
  const warnings: AdjustWarning[] = []
  const days = exDays(actions, settings, firstDate, warnings)
  const steps: FactorStep[] = []
  let split = ONE
  let dividend = ONE
  let applied = 0
  for (let index = days.length - 1; index >= 0; index--) {
    const day = days[index]!
    const before = applied
    if (settings.splits && day.splits > 0) {
      split = multiply(split, day.split)
      applied += day.splits
    }
    if (settings.dividends && day.distributions.length > 0) {
      const kept = keptOf(symbol, day, days, closes, settings)
      if (typeof kept === 'string') {
        for (const action of day.distributions) warnings.push(warningOf(action, kept))
      } else {
        dividend = multiply(dividend, kept)
        applied += day.distributions.length
      }
    }
    if (applied > before) steps.unshift({ exDate: day.exDate, split, dividend })
  }
  return { symbol, steps, applied, warnings }
}

/** Days with actions that count, ascending. */
function exDays(
  actions: readonly CorporateAction[],
  settings: AdjustSettings,
  firstDate: SessionDate,
  warnings: AdjustWarning[],
): ExDay[] {
  const days = new Map<SessionDate, { split: Rational; splits: number; distributions: Distribution[] }>()
  const dayFor = (date: SessionDate) => {
    let day = days.get(date)
    if (day === undefined) days.set(date, (day = { split: ONE, splits: 0, distributions: [] }))
    return day
  }
  for (const action of actions) {
    if (action.exDate <= firstDate || action.exDate > settings.asOf) continue
    if (settings.knownAt !== undefined && action.knownAt !== undefined && action.knownAt > settings.knownAt)
      continue
    const wanted = action.kind === 'split' ? settings.splits : settings.dividends
    if (action.kind === 'split') {
      const ratio = splitRatio(action)
      if (ratio === undefined) {
        if (wanted) warnings.push(warningOf(action, 'value_invalid'))
        continue
      }
      const day = dayFor(action.exDate)
      day.split = multiply(day.split, ratio)
      day.splits++
    } else if (wanted) {
      const fault = distributionFault(action, settings)
      if (fault !== undefined) warnings.push(warningOf(action, fault))
      else dayFor(action.exDate).distributions.push(action as Distribution)
    }
  }
  return [...days].map(([exDate, day]) => ({ exDate, ...day })).sort((a, b) => (a.exDate < b.exDate ? -1 : 1))
}

function splitRatio(action: SplitAction): Rational | undefined {
  const from = parseRational(action.from)
  const to = parseRational(action.to)
  if (from === undefined || to === undefined || from.numerator <= 0n || to.numerator <= 0n) return undefined
  return rational(from.numerator * to.denominator, from.denominator * to.numerator)
}

function distributionFault(
  action: Exclude<CorporateAction, SplitAction>,
  settings: AdjustSettings,
): AdjustWarningReason | undefined {
  if (action.kind === 'rights') return 'not_supported'
  if (action.kind === 'spin_off') {
    if (action.kept === undefined) return 'not_supported'
    const kept = parseRational(action.kept)
    if (kept === undefined || kept.numerator > kept.denominator) return 'value_invalid'
    return kept.numerator <= 0n ? 'ratio_not_positive' : undefined
  }
  if (action.currency !== undefined && action.currency !== settings.currency) return 'foreign_currency'
  const cash = parseRational(action.cash)
  return cash === undefined || cash.numerator < 0n ? 'value_invalid' : undefined
}

/** Share of a price that a day's distributions leave, or why it cannot be said. */
function keptOf(
  symbol: string,
  day: ExDay,
  days: readonly ExDay[],
  closes: SessionCloses,
  settings: AdjustSettings,
): Rational | AdjustWarningReason {
  let cash: Rational = { numerator: 0n, denominator: 1n }
  let gone: Rational = { numerator: 0n, denominator: 1n }
  for (const action of day.distributions) {
    if (action.kind === 'dividend') cash = add(cash, parseRational(action.cash)!)
    else gone = add(gone, subtract(ONE, parseRational(action.kept!)!))
  }
  const stays = subtract(ONE, gone)
  if (stays.numerator <= 0n) return 'ratio_not_positive'
  if (cash.numerator === 0n) return stays
  if (settings.dividendMethod === 'reinvested') {
    const close = closes.on(symbol, day.exDate)
    if (close === undefined || close.close <= 0n) return 'no_ex_close'
    const price = rational(close.close, SCALE)
    const withCash = add(price, cash)
    return multiply(
      stays,
      rational(price.numerator * withCash.denominator, price.denominator * withCash.numerator),
    )
  }
  const close = closes.before(symbol, day.exDate)
  if (
    close === undefined ||
    close.close <= 0n ||
    daysBetween(close.date, day.exDate) > settings.closeMaxAgeDays
  )
    return 'no_previous_close'
  // Cash is per share of the ex-date: the close is put on that day's share basis, also when prices stay as traded.
  let basis = ONE
  for (const other of days)
    if (other.exDate > close.date && other.exDate <= day.exDate) basis = multiply(basis, other.split)
  const value = multiply(rational(close.close, SCALE), basis)
  const kept = subtract(
    stays,
    rational(cash.numerator * value.denominator, cash.denominator * value.numerator),
  )
  return kept.numerator > 0n ? kept : 'ratio_not_positive'
}

const BECAUSE: Record<AdjustWarningReason, string> = {
  no_previous_close: 'there is no raw close in the days before it; load daily bars of that time',
  no_ex_close: 'there is no raw close of that day; load its daily bar, or use the method previous_close',
  ratio_not_positive: 'it is worth as much as the share or more; check its amount',
  value_invalid: 'its values are not usable; check them',
  foreign_currency: 'its cash is in another currency than the prices; convert it first',
  not_supported: 'no factor follows from what is known of it',
}

function warningOf(action: CorporateAction, reason: AdjustWarningReason): AdjustWarning {
  const { symbol, exDate, kind } = action
  return {
    symbol,
    exDate,
    kind,
    reason,
    message: `${kind} of ${symbol} on ${exDate} not applied: ${BECAUSE[reason]}`,
  }
}
