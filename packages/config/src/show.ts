import { REDACTED, Secret } from '@varve/core'
import type { z } from 'zod'
import type { Path } from './parseFile.ts'
import { isMap, isSecret, schemasAt } from './schema.ts'

/** A copy with everything covered that is a secret, or that its schema calls one. */
export function covered(value: unknown, schema: z.ZodType, path: Path = []): unknown {
  if (value instanceof Secret) return REDACTED
  if (value === undefined || value === null) return value
  if (schemasAt(schema, path).some(isSecret)) return REDACTED
  if (Array.isArray(value)) return value.map((item, index) => covered(item, schema, [...path, index]))
  if (!isMap(value)) return value
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) =>
      item === undefined ? [] : [[key, covered(item, schema, [...path, key])]],
    ),
  )
}

/** A copy that reads the same after a file of it has been loaded: `${` stands for itself. */
export function escaped(value: unknown): unknown {
  if (typeof value === 'string') return value.replaceAll('${', () => '$${')
  if (Array.isArray(value)) return value.map(escaped)
  if (!isMap(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, escaped(item)]))
}

/** Every setting below a value; an empty map is a setting too, an empty section is none. */
export function leavesOf(
  value: unknown,
  path: readonly string[] = [],
): { path: readonly string[]; value: unknown }[] {
  if (isMap(value) && (Object.keys(value).length > 0 || path.length < 2))
    return Object.entries(value).flatMap(([key, item]) => leavesOf(item, [...path, key]))
  return value === undefined ? [] : [{ path, value }]
}

/** Freezes a value and everything below it. */
export function freeze<T>(value: T): T {
  if (value === null || typeof value !== 'object' || Object.isFrozen(value)) return value
  for (const item of Object.values(value)) freeze(item)
  return Object.freeze(value)
}
