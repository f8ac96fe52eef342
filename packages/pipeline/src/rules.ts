import { type Bar, dayOf, formatScaled, type Interval, type SessionCalendar, DAY_MS } from '@varve/core'

export interface RuleContext {
  readonly interval: Interval
  readonly calendar: SessionCalendar
}

/** A rule one bar can break by itself. Rules are tried in order; the first error names the row. */
export interface BarRule {
  readonly rule: string
  /** `error` keeps the row out as suspect; `warning` stores and marks it. */
  readonly severity: 'error' | 'warning'
  readonly breaks: (bar: Bar, context: RuleContext) => boolean
  readonly message: (bar: Bar) => string
}

/** Upper and lower case letters, digits, dot and dash, as exchanges write symbols: `BRK.B`, `KIMpL`, `AAC-WS`. */
const SYMBOL = /^[A-Za-z][A-Za-z0-9.\-+=^$]{0,20}$/

const prices = (bar: Bar) =>
  `open ${formatScaled(bar.open)}, high ${formatScaled(bar.high)}, low ${formatScaled(bar.low)}, close ${formatScaled(bar.close)}`

export const BAR_RULES: readonly BarRule[] = [
  {
    rule: 'symbol_invalid',
    severity: 'error',
    breaks: (bar) => !SYMBOL.test(bar.symbol),
    message: (bar) => `"${bar.symbol}" is not a symbol`,
  },
  {
    rule: 'not_a_session',
    severity: 'error',
    breaks: (bar, { interval, calendar }) =>
      interval === '1d'
        ? !calendar.isSession(dayOf(bar.time / DAY_MS))
        : calendar.sessionOf(bar.time) === undefined,
    message: () => 'the exchange was closed',
  },
  {
    rule: 'price_not_positive',
    severity: 'error',
    breaks: (bar) => bar.open <= 0n || bar.high <= 0n || bar.low <= 0n || bar.close <= 0n,
    message: prices,
  },
  {
    rule: 'volume_negative',
    severity: 'error',
    breaks: (bar) => bar.volume < 0n,
    message: (bar) => `volume ${formatScaled(bar.volume)}`,
  },
  { rule: 'high_below_low', severity: 'error', breaks: (bar) => bar.high < bar.low, message: prices },
  {
    rule: 'open_outside_range',
    severity: 'error',
    breaks: (bar) => bar.open > bar.high || bar.open < bar.low,
    message: prices,
  },
  {
    rule: 'close_outside_range',
    severity: 'error',
    breaks: (bar) => bar.close > bar.high || bar.close < bar.low,
    message: prices,
  },
  {
    rule: 'volume_zero',
    severity: 'warning',
    breaks: (bar) => bar.volume === 0n,
    message: () => 'nothing traded',
  },
]
