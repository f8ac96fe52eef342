import type { Bar, Session, SessionCalendar, SessionDate } from '@varve/core'
import { addDays, dayNumber, VarveError, DAY_MS, MINUTE_MS } from '@varve/core'
import type { StandInCompany, StandInSplit } from './companies.ts'
import { createCompanies } from './companies.ts'
import { exp, hash32, normal, uniform, walk } from './noise.ts'

export interface StandInMarketOptions {
  readonly seed: number
  /** Companies ever listed. @defaultValue 3,000 */
  readonly symbols?: number
  /** The last session that has bars. */
  readonly asOf: SessionDate
  /** Sessions before that have none. @defaultValue 5 */
  readonly historyYears?: number
  readonly calendar: SessionCalendar
  /** Share of symbol-sessions without a bar, for good. @defaultValue 0.001 */
  readonly missingRate?: number
  /** Share of symbol-sessions a server leaves out the first time it is asked. @defaultValue 0.001 */
  readonly transientRate?: number
}

/** Numbers of one bar as integers: prices in 1/10000 of a dollar, volume in shares. */
export interface RawBar {
  readonly open: number
  readonly high: number
  readonly low: number
  readonly close: number
  readonly volume: number
}

/** One minute that traded. */
export interface RawMinute extends RawBar {
  /** Start, milliseconds UTC. */
  readonly time: number
}

/** A listing as it stands on a day. */
export interface StandInListing {
  readonly symbol: string
  readonly company: StandInCompany
  readonly active: boolean
  readonly delistedOn: SessionDate | null
}

/** A whole synthetic market that stores nothing: every bar is a function of the seed, the symbol and the date. */
export interface StandInMarket {
  readonly seed: number
  readonly asOf: SessionDate
  readonly firstSession: SessionDate
  readonly calendar: SessionCalendar
  /** Symbols that trade under their present name on a day, in code-unit order; with `all`, the others too. */
  listings(date: SessionDate, all?: boolean): readonly StandInListing[]
  /** The daily bar, scaled by 10^6, or `undefined` when there is none. */
  bar(symbol: string, date: SessionDate): Bar | undefined
  /** The same as integers; what the server sends. */
  rawBar(symbol: string, date: SessionDate): RawBar | undefined
  /** Minutes of a session that traded, those before the open and after the close included. */
  minutes(symbol: string, date: SessionDate): readonly RawMinute[]
  /** Listed on that session, but it has no bar and never will (a halt). */
  isMissing(symbol: string, date: SessionDate): boolean
  /** Has a bar that a server leaves out the first time. */
  isTransient(symbol: string, date: SessionDate): boolean
  splits(): readonly (StandInSplit & { readonly symbol: string })[]
}

const CATALYST_RATE = 0.055
/** A shock fades over this many sessions; falling back at once would make a second one. */
const FADE_SESSIONS = 12
const CENT = 100

/**
 * @throws `STANDIN_AS_OF` when `asOf` is no session
 */
export function createStandInMarket(options: StandInMarketOptions): StandInMarket {
  const { seed, symbols: count = 3_000, asOf, historyYears = 5, calendar } = options
  const { missingRate = 0.001, transientRate = 0.001 } = options
  if (!calendar.isSession(asOf)) {
    throw new VarveError(`${asOf} is no session of ${calendar.exchange}; end the market on one`, {
      code: 'STANDIN_AS_OF',
      details: { asOf },
    })
  }
  const sessions = calendar.sessionsInRange(addDays(asOf, -Math.round(365.25 * historyYears)), asOf)
  const sessionIndex = new Map(sessions.map((session, index) => [session.date, index]))
  const companies = createCompanies(seed, count, sessions)
  const bySymbol = new Map<
    string,
    { readonly company: StandInCompany; readonly from: SessionDate | null; readonly to: SessionDate | null }
  >()
  for (const company of companies) {
    company.symbols.forEach(({ symbol, from }, index) => {
      bySymbol.set(symbol, { company, from, to: company.symbols[index + 1]?.from ?? company.delistedOn })
    })
  }

  const splits = companies
    .flatMap(({ split, symbols }) => (split === null ? [] : [{ ...split, symbol: symbols.at(-1)!.symbol }]))
    .sort((a, b) => (a.date < b.date ? -1 : a.date > b.date ? 1 : a.symbol < b.symbol ? -1 : 1))

  /** The session, when the symbol was listed under this name on it. */
  const tradable = (symbol: string, date: SessionDate) => {
    const found = bySymbol.get(symbol)
    const index = sessionIndex.get(date)
    if (found === undefined || index === undefined) return undefined
    const { company, from, to } = found
    if ((from !== null && date < from) || (to !== null && date >= to)) return undefined
    if (company.listedOn !== null && date < company.listedOn) return undefined
    return { company, session: sessions[index]! }
  }
  const missing = (company: StandInCompany, day: number) => uniform(seed, company.id, day, 11) < missingRate

  const rawBar = (symbol: string, date: SessionDate): RawBar | undefined => {
    const found = tradable(symbol, date)
    const day = found === undefined ? 0 : dayNumber(date)
    return found === undefined || missing(found.company, day)
      ? undefined
      : dayBar(seed, found.company, sessionNumber(day), date)
  }

  return {
    seed,
    asOf,
    firstSession: sessions[0]!.date,
    calendar,
    listings(date, all = false) {
      const found: StandInListing[] = []
      for (const [symbol, { company, from, to }] of bySymbol) {
        const begun =
          (from === null || date >= from) && (company.listedOn === null || date >= company.listedOn)
        const ended = to !== null && date >= to
        if (begun && (all || !ended))
          found.push({ symbol, company, active: !ended, delistedOn: ended ? to : null })
      }
      return found.sort((a, b) => (a.symbol < b.symbol ? -1 : 1))
    },
    bar(symbol, date) {
      const raw = rawBar(symbol, date)
      if (raw === undefined) return undefined
      return {
        symbol,
        time: dayNumber(date) * DAY_MS,
        open: BigInt(raw.open) * 100n,
        high: BigInt(raw.high) * 100n,
        low: BigInt(raw.low) * 100n,
        close: BigInt(raw.close) * 100n,
        volume: BigInt(raw.volume) * 1_000_000n,
        sourceRow: -1,
      }
    },
    rawBar,
    minutes(symbol, date) {
      const found = tradable(symbol, date)
      const raw = rawBar(symbol, date)
      return found === undefined || raw === undefined
        ? []
        : minutesOf(seed, found.company.id, found.session, raw)
    },
    isMissing(symbol, date) {
      const found = tradable(symbol, date)
      return found !== undefined && missing(found.company, dayNumber(date))
    },
    isTransient(symbol, date) {
      const found = tradable(symbol, date)
      if (found === undefined || missing(found.company, dayNumber(date))) return false
      return uniform(seed, found.company.id, dayNumber(date), 12) < transientRate
    },
    splits: () => splits,
  }
}

/** Weekdays since 1970: neighbours differ by one across weekends, and holidays only skip a step. */
function sessionNumber(day: number): number {
  // 1970-01-01 was a Thursday.
  const sinceMonday = day + 3
  return Math.floor(sinceMonday / 7) * 5 + Math.min(4, sinceMonday % 7)
}

interface Catalyst {
  /** Of the price, as a fraction. */
  readonly shock: number
  /** Of the volume, as a factor. */
  readonly volume: number
}

function catalyst(seed: number, id: number, step: number): Catalyst | undefined {
  if (uniform(seed, id, step, 21) >= CATALYST_RATE) return undefined
  const size = 0.035 + 0.08 * uniform(seed, id, step, 22)
  return {
    shock: uniform(seed, id, step, 23) < 0.55 ? size : -size,
    volume: 2 + 4 * uniform(seed, id, step, 24),
  }
}

/** The price level after a session's close, dollars, before splits and ticks. */
function level(seed: number, company: StandInCompany, step: number): number {
  let shocks = 0
  for (let age = 0; age < FADE_SESSIONS; age++) {
    const found = catalyst(seed, company.id, step - age)
    if (found !== undefined) shocks += found.shock * (1 - age / FADE_SESSIONS)
  }
  return company.basePrice * exp(company.volatility * walk(hash32(seed, company.id, 31), step) + shocks)
}

/** Whole ticks: a cent from one dollar on, a hundredth of one below. */
function ticks(dollars: number): number {
  const units = Math.max(1, Math.round(dollars * 10_000))
  return units >= 10_000 ? Math.round(units / CENT) * CENT : units
}

function dayBar(seed: number, company: StandInCompany, step: number, date: SessionDate): RawBar {
  const { id, volatility, split } = company
  // Before a split the same company traded at another price and in other numbers.
  const before = split !== null && date < split.date
  const shares = before ? split.to / split.from : 1
  const previous = level(seed, company, step - 1) * shares
  const close = level(seed, company, step) * shares
  const gap = 0.6 * uniform(seed, id, step, 41) + 0.1 * normal(seed, id, step, 42)
  const open = previous + (close - previous) * gap
  const spread = volatility * (0.3 + 0.7 * uniform(seed, id, step, 43))
  const raw = {
    open: ticks(open),
    close: ticks(close),
    high: ticks(Math.max(open, close) * (1 + spread * uniform(seed, id, step, 44))),
    low: ticks(Math.min(open, close) * (1 - spread * uniform(seed, id, step, 45))),
  }
  const busy = exp(0.25 * normal(seed, id, step, 46)) * (catalyst(seed, id, step)?.volume ?? 1)
  const volume = Math.max(1, Math.round((company.dollarVolume * busy) / close))
  return {
    open: raw.open,
    high: Math.max(raw.high, raw.open, raw.close),
    low: Math.min(raw.low, raw.open, raw.close),
    close: raw.close,
    volume,
  }
}

/**
 * A path from open to close inside the day's range, busier at both ends; thin names skip minutes, and some minutes
 * outside the regular hours trade.
 */
function minutesOf(seed: number, id: number, session: Session, day: RawBar): RawMinute[] {
  const stream = hash32(seed, id, session.openAt / MINUTE_MS, 51)
  const minutes = Math.round((session.closeAt - session.openAt) / MINUTE_MS)
  const range = day.high - day.low
  const priceAt = (minute: number): number => {
    const bridge = Math.min(minute, minutes - minute) / minutes
    const drift = day.open + ((day.close - day.open) * minute) / minutes
    const swing = range * 0.15 * bridge * walk(stream, minute, 7)
    return Math.min(day.high, Math.max(day.low, ticks((drift + swing) / 10_000)))
  }
  const perMinute = day.volume / minutes
  const found: RawMinute[] = []
  const add = (time: number, open: number, close: number, volume: number, salt: number) => {
    if (volume < 1) return
    const wick = Math.round((range / 60) * uniform(stream, salt, 52))
    const snap = (price: number) => Math.min(day.high, Math.max(day.low, ticks(price / 10_000)))
    const high = Math.max(open, close, snap(Math.max(open, close) + wick))
    const low = Math.min(open, close, snap(Math.min(open, close) - wick))
    found.push({ time, open, high, low, close, volume })
  }
  for (let minute = -90; minute < minutes + 120; minute++) {
    const time = session.openAt + minute * MINUTE_MS
    const luck = uniform(stream, minute + 1000, 53)
    if (minute < 0 || minute >= minutes) {
      // Regular volume has to be large before anybody trades outside the hours.
      if (luck > 0.06 || perMinute < 50) continue
      const edge = minute < 0 ? day.open : day.close
      add(time, edge, edge, Math.round(1 + perMinute * 0.05), minute + 1000)
      continue
    }
    const ends = 1 + 2 * (1 - Math.min(minute, minutes - 1 - minute) / (minutes / 2)) ** 2
    const expected = perMinute * ends * (0.4 + 0.8 * uniform(stream, minute, 54))
    const volume = expected >= 1 ? Math.round(expected) : luck < expected ? 1 : 0
    add(time, priceAt(minute), priceAt(minute + 1), volume, minute)
  }
  return found
}
