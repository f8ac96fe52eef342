import { fileColumnsMissing } from '../errors.ts'
import type { FileFieldNames } from '../schema.ts'

/** What a row needs, in the order it is checked. */
export const FIELDS = ['symbol', 'time', 'open', 'high', 'low', 'close', 'volume'] as const
export type Field = (typeof FIELDS)[number]
export const NUMBER_FIELDS = ['open', 'high', 'low', 'close', 'volume'] as const
export type NumberField = (typeof NUMBER_FIELDS)[number]

/** Position of each field among a file's columns. */
export type FieldPositions = Readonly<Record<Field, number>>

/**
 * Finds the columns by name, in any case. A file may have both a date and a timestamp: daily bars prefer the date,
 * intraday bars the timestamp.
 *
 * @throws `FILE_COLUMNS_MISSING`
 */
export function findFields(
  file: string,
  header: readonly string[],
  daily: boolean,
  fieldNames: FileFieldNames,
): FieldPositions {
  const names = header.map((name) => name.trim().toLowerCase())
  const { date, instant, ...others } = fieldNames
  const accepted: Record<Field, readonly string[]> = {
    ...others,
    time: daily ? [...date, ...instant] : [...instant, ...date],
  }
  const positions = {} as Record<Field, number>
  const missing: string[] = []
  for (const field of FIELDS) {
    const name = accepted[field].find((candidate) => names.includes(candidate.toLowerCase()))
    if (name === undefined) missing.push(field === 'time' ? 'date' : field)
    else positions[field] = names.indexOf(name.toLowerCase())
  }
  if (missing.length > 0) throw fileColumnsMissing(file, header, missing)
  return positions
}
