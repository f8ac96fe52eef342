import { fileColumnsMissing } from '../errors.ts'

/** What a row needs, in the order it is checked. */
export const FIELDS = ['symbol', 'time', 'open', 'high', 'low', 'close', 'volume'] as const
export type Field = (typeof FIELDS)[number]
export const NUMBER_FIELDS = ['open', 'high', 'low', 'close', 'volume'] as const
export type NumberField = (typeof NUMBER_FIELDS)[number]

/** Position of each field among a file's columns. */
export type FieldPositions = Readonly<Record<Field, number>>

const DAY_NAMES = ['date', 'session']
const INSTANT_NAMES = ['timestamp', 'time', 'datetime', 'ts_utc', 'ts']

/**
 * Finds the columns by name, in any case. A file may have both a date and a timestamp: daily bars prefer the date,
 * intraday bars the timestamp.
 *
 * @throws `FILE_COLUMNS_MISSING`
 */
export function findFields(file: string, header: readonly string[], daily: boolean): FieldPositions {
  const names = header.map((name) => name.trim().toLowerCase())
  const accepted: Record<Field, readonly string[]> = {
    symbol: ['symbol', 'ticker'],
    time: daily ? [...DAY_NAMES, ...INSTANT_NAMES] : [...INSTANT_NAMES, ...DAY_NAMES],
    open: ['open'],
    high: ['high'],
    low: ['low'],
    close: ['close'],
    volume: ['volume'],
  }
  const positions = {} as Record<Field, number>
  const missing: string[] = []
  for (const field of FIELDS) {
    const name = accepted[field].find((candidate) => names.includes(candidate))
    if (name === undefined) missing.push(field === 'time' ? 'date' : field)
    else positions[field] = names.indexOf(name)
  }
  if (missing.length > 0) throw fileColumnsMissing(file, header, missing)
  return positions
}
