import { isSessionDate } from '@varve/core'
import { NumberText } from './losslessJson.ts'

/** An object of a parsed response. Unknown fields are ignored, missing ones are `undefined`. */
export type JsonObject = Readonly<Record<string, unknown>>

export function asObject(value: unknown): JsonObject | undefined {
  return typeof value === 'object' &&
    value !== null &&
    !Array.isArray(value) &&
    !(value instanceof NumberText)
    ? (value as JsonObject)
    : undefined
}

export function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined
}

/** A number's source text; `undefined` for anything else. */
export function numberTextOf(value: unknown): string | undefined {
  return value instanceof NumberText ? value.text : undefined
}

/** A whole number that is a count or an instant, never money. */
export function integerOf(value: unknown): number | undefined {
  const number = value instanceof NumberText ? Number(value.text) : NaN
  return Number.isSafeInteger(number) ? number : undefined
}

/** The date part of `2024-05-01` or `2024-05-01T00:00:00Z`. */
export function dateOf(value: unknown): string | undefined {
  const date = textOf(value)?.slice(0, 10)
  return date !== undefined && isSessionDate(date) ? date : undefined
}

/** A response's fields as text, for the record of a rejected row. */
export function rawFields(item: JsonObject): Record<string, string | null> {
  return Object.fromEntries(
    Object.entries(item).map(([key, value]) => [
      key,
      value === null || value === undefined
        ? null
        : value instanceof NumberText
          ? value.text
          : typeof value === 'string'
            ? value
            : JSON.stringify(value),
    ]),
  )
}
