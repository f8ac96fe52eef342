import { dayNumber, isSessionDate, MAX_SCALED, SCALE, DAY_MS } from '@varve/core'
import type { NumberCell, NumberFault } from '../numberCell.ts'
import { parseNumberText } from '../numberCell.ts'

/** Why a cell cannot be read exactly. */
export type CellFault = NumberFault | 'date_invalid'

const COMPACT_DATE = /^(\d{4})(\d{2})(\d{2})$/
const INSTANT = /^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?(?:Z|[+-]\d{2}:?\d{2})$/
/** Whole milliseconds in an epoch number of seconds reach 13 digits in 2001; seconds have fewer. */
const FIRST_MILLISECONDS = 1e11

/** A double by the shortest decimal that gives it back: what the writer of the file meant. */
export function parseDouble(value: number): NumberCell {
  const scaled = Math.round(value * 1e6)
  // Up to 15 digits, at most one decimal of that length reads back as this double, so the division proves it.
  if (Math.abs(scaled) < 1e15 && scaled / 1e6 === value) return BigInt(scaled)
  return parseNumberText(String(value))
}

/** A 32-bit float by its shortest decimal; as a double it would show digits the writer never had. */
export function parseFloat32(value: number): NumberCell {
  for (let digits = 1; digits <= 9; digits++) {
    const text = value.toPrecision(digits)
    if (Math.fround(Number(text)) === value) return parseNumberText(text)
  }
  return parseNumberText(String(value))
}

/** `unscaled × 10^-scale`, exactly. */
export function parseUnscaled(unscaled: bigint, scale: number): NumberCell {
  let value = unscaled
  if (scale <= 6) value *= scale === 6 ? 1n : 10n ** BigInt(6 - scale)
  else {
    const divisor = 10n ** BigInt(scale - 6)
    if (value % divisor !== 0n) return 'too_many_decimals'
    value /= divisor
  }
  return value > MAX_SCALED || value < -MAX_SCALED ? 'out_of_range' : value
}

export function parseInteger(value: bigint): NumberCell {
  const scaled = value * SCALE
  return scaled > MAX_SCALED || scaled < -MAX_SCALED ? 'out_of_range' : scaled
}

/** Milliseconds UTC of a date or instant as text, or a fault. */
export function parseTimeText(text: string | null | undefined, daily: boolean): number | CellFault {
  if (text === null || text === undefined || text === '') return 'null'
  if (isSessionDate(text)) return daily ? dayNumber(text) * DAY_MS : 'date_invalid'
  const compact = COMPACT_DATE.exec(text)
  if (compact !== null) {
    const date = `${compact[1]}-${compact[2]}-${compact[3]}`
    return daily && isSessionDate(date) ? dayNumber(date) * DAY_MS : 'date_invalid'
  }
  // `Date.parse` rolls 02-30 over to March: the date part has to exist by itself. Without a zone an instant is a guess.
  const instant =
    INSTANT.test(text) && isSessionDate(text.slice(0, 10)) ? Date.parse(text.replace(' ', 'T')) : NaN
  if (!Number.isNaN(instant)) return parseInstant(instant, daily)
  return /^\d{10,13}$/.test(text) ? parseEpoch(Number(text), daily) : 'date_invalid'
}

/** A day count since 1970. */
export function parseDays(days: number, daily: boolean): number | CellFault {
  return daily ? parseInstant(days * DAY_MS, daily) : 'date_invalid'
}

/** `YYYYMMDD` for daily bars; seconds or milliseconds since 1970. */
export function parseEpoch(value: number, daily: boolean): number | CellFault {
  if (daily && value >= 10_000_101 && value <= 99_991_231) return parseTimeText(String(value), daily)
  return parseInstant(value < FIRST_MILLISECONDS ? value * 1000 : value, daily)
}

/** An instant, which for daily bars has to be the UTC midnight of its session date. */
export function parseInstant(ms: number, daily: boolean): number | CellFault {
  if (!Number.isSafeInteger(ms) || ms < YEAR_1 || ms > YEAR_9999) return 'date_invalid'
  return daily && ms % DAY_MS !== 0 ? 'date_invalid' : ms
}
const YEAR_1 = Date.parse('0001-01-01T00:00:00Z')
const YEAR_9999 = Date.parse('9999-12-31T23:59:59Z')
