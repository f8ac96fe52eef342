import { canonicalJson, isSessionDate, tryParseScaled } from '@varve/core'
import { MAX_TIME, MIN_TIME } from '../bars/instants.ts'

/**
 * What a column of a dataset holds, in JavaScript, in Postgres and in the lake:
 *
 * | kind | JavaScript | Postgres | Parquet |
 * |---|---|---|---|
 * | `text` | string | text | UTF8 |
 * | `decimal` | bigint, scaled by 10^6 | numeric(18,6) | DECIMAL(18,6) on INT64 |
 * | `figure` | canonical decimal text | numeric(38,18) | DECIMAL(38,18) |
 * | `integer` | number, safe | bigint | INT64 |
 * | `boolean` | boolean | boolean | BOOLEAN |
 * | `instant` | number, milliseconds UTC | timestamptz | TIMESTAMP(MILLIS) |
 * | `date` | string `YYYY-MM-DD` | date | DATE |
 * | `texts` | string[] | text[] | UTF8, a JSON array |
 * | `json` | plain JSON | json, canonical | UTF8, the same text |
 */
export type ColumnKind =
  'text' | 'decimal' | 'figure' | 'integer' | 'boolean' | 'instant' | 'date' | 'texts' | 'json'

/** JavaScript type of each kind, as read back. */
export interface ColumnTypes {
  readonly text: string
  readonly decimal: bigint
  readonly figure: string
  readonly integer: number
  readonly boolean: boolean
  readonly instant: number
  readonly date: string
  readonly texts: readonly string[]
  readonly json: unknown
}

/** What a loader may hand in for each kind; decimals also as their text, which is read exactly or refused. */
export interface ColumnInputs extends Omit<ColumnTypes, 'decimal' | 'figure'> {
  readonly decimal: bigint | string
  readonly figure: bigint | string
}

/** A value of any kind, as kept in memory. */
export type ColumnValue = string | bigint | number | boolean | readonly string[] | JsonValue | null

/** A `json` value: its canonical text, so that equal content is equal text everywhere. */
export class JsonValue {
  readonly text: string

  constructor(text: string) {
    this.text = text
  }
}

/** Why a value cannot be held. */
export interface ValueFault {
  readonly rule: ValueRule
  readonly found: string
}

/** Rules every dataset shares. */
export type ValueRule =
  | 'wrong_type'
  | 'not_a_number'
  | 'too_many_decimals'
  | 'out_of_range'
  | 'not_a_date'
  | 'not_an_instant'
  | 'text_not_storable'

/** Decimals of a figure. */
export const FIGURE_DECIMALS = 18
/** Digits of a figure before the point. */
const FIGURE_WHOLE = 20
const FIGURE = /^([+-]?)0*(\d*)(?:\.(\d*?)0*)?$/

/** The value as it is kept, or why it cannot be; nothing is ever rounded. */
export function checkValue(kind: ColumnKind, input: unknown): ColumnValue | ValueFault {
  const wrong: ValueFault = { rule: 'wrong_type', found: describe(input) }
  switch (kind) {
    case 'text':
      return typeof input === 'string' ? checkText(input) : wrong
    case 'decimal':
      return checkDecimal(input) ?? wrong
    case 'figure':
      return checkFigure(input) ?? wrong
    case 'integer':
      if (typeof input !== 'number' && typeof input !== 'bigint') return wrong
      return Number.isSafeInteger(Number(input))
        ? Number(input) + 0
        : { rule: 'out_of_range', found: String(input) }
    case 'boolean':
      return typeof input === 'boolean' ? input : wrong
    case 'instant':
      if (typeof input !== 'number') return wrong
      return isInstant(input) ? input + 0 : { rule: 'not_an_instant', found: String(input) }
    case 'date':
      if (typeof input !== 'string') return wrong
      return isSessionDate(input) ? input : { rule: 'not_a_date', found: input }
    case 'texts': {
      if (!Array.isArray(input) || !input.every((item) => typeof item === 'string')) return wrong
      for (const item of input) if (!isStorable(item)) return notStorable(item)
      return [...input]
    }
    case 'json': {
      const text = JSON.stringify(input) === undefined ? undefined : canonicalJson(input)
      if (text === undefined) return wrong
      return isStorable(text) ? new JsonValue(text) : notStorable(text)
    }
  }
}

/** Whether {@link checkValue} refused. */
export function isFault(value: ColumnValue | ValueFault): value is ValueFault {
  return typeof value === 'object' && value !== null && 'rule' in value && 'found' in value
}

/** Whether an instant can be held: whole milliseconds between 1800 and 2200. */
export function isInstant(time: number): boolean {
  return Number.isInteger(time) && time >= MIN_TIME && time < MAX_TIME
}

/** Whether Postgres and UTF-8 hold a text exactly: no NUL, no lone half of a surrogate pair. */
export function isStorable(text: string): boolean {
  return !text.includes('\0') && text.isWellFormed()
}

/** The value as read back by a caller. */
export function publicValue(value: ColumnValue): unknown {
  return value instanceof JsonValue ? (JSON.parse(value.text) as unknown) : value
}

/** The value as one text: equal values of a kind give equal text, different ones different text. */
export function valueText(value: ColumnValue): string | null {
  if (value === null || typeof value === 'string') return value
  if (value instanceof JsonValue) return value.text
  if (typeof value === 'boolean') return value ? 't' : 'f'
  if (typeof value === 'object') {
    return `${value.length}#${value.map((item) => `${Buffer.byteLength(item)}:${item}`).join('')}`
  }
  return String(value)
}

function checkText(input: string): string | ValueFault {
  return isStorable(input) ? input : notStorable(input)
}

function notStorable(text: string): ValueFault {
  return { rule: 'text_not_storable', found: JSON.stringify(text.slice(0, 60)) }
}

function checkDecimal(input: unknown): bigint | ValueFault | undefined {
  if (typeof input !== 'string' && typeof input !== 'bigint') return undefined
  // A scaled number is checked for its range by way of its own text, six places on.
  const parsed = tryParseScaled(typeof input === 'bigint' ? `${input}e-6` : input)
  return parsed.ok ? parsed.value : { rule: parsed.reason, found: String(input) }
}

/** Canonical decimal text: no exponent, no zeros in front or behind, no `-0`. */
function checkFigure(input: unknown): string | ValueFault | undefined {
  if (typeof input !== 'string' && typeof input !== 'bigint') return undefined
  const text = String(input)
  const match = FIGURE.exec(text)
  if (match === null || !/\d/.test(text)) return { rule: 'not_a_number', found: text }
  const whole = match[2] ?? ''
  const fraction = match[3] ?? ''
  if (whole.length > FIGURE_WHOLE) return { rule: 'out_of_range', found: text }
  if (fraction.length > FIGURE_DECIMALS) return { rule: 'too_many_decimals', found: text }
  if (whole === '' && fraction === '') return '0'
  const sign = match[1] === '-' ? '-' : ''
  return `${sign}${whole === '' ? '0' : whole}${fraction === '' ? '' : `.${fraction}`}`
}

function describe(input: unknown): string {
  if (input === null || input === undefined) return String(input)
  return Array.isArray(input) ? 'array' : typeof input
}
