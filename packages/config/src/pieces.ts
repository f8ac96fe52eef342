import type { z } from 'zod'
import type { Path } from './parseFile.ts'
import { childSchemas, hasType, isMap, isNullable, markOf, schemasAt, valueAt } from './schema.ts'
import type { Origin } from './types.ts'

/** What one source says about one section. */
export interface Piece {
  readonly section: string
  readonly tree: unknown
  /** Who said it, and where. */
  readonly origin: (path: Path, of?: 'key' | 'value') => Origin
}

/** Lays one tree over another: maps are merged, everything else is replaced. */
export function merge(base: unknown, over: unknown, schemas: readonly z.ZodType[]): unknown {
  // A map whose settings are all commented out reads as null; it says nothing.
  if (over === null && isEmptyGroup(schemas)) return base
  if (!isMap(over)) return over
  if (isReplaced(schemas)) return over
  const merged: Record<string, unknown> = isMap(base) ? { ...base } : {}
  for (const [key, value] of Object.entries(over)) {
    // Most of a file is single values, for which no schema has to be looked up.
    if (value !== null && value !== undefined && !isMap(value)) {
      merged[key] = value
      continue
    }
    const below = schemas.flatMap((schema) => childSchemas(schema, key))
    const next = merge(Object.hasOwn(merged, key) ? merged[key] : undefined, value, below)
    if (next !== undefined) merged[key] = next
  }
  return merged
}

function isEmptyGroup(schemas: readonly z.ZodType[]): boolean {
  return schemas.some((schema) => hasType(schema, 'object', 'record') && !isNullable(schema))
}

function isReplaced(schemas: readonly z.ZodType[]): boolean {
  return schemas.some((schema) => markOf(schema, 'merge') === 'replace')
}

/** Everything said about a path, the highest precedence first; what a replacement hides is left out. */
export function sayings(
  pieces: readonly Piece[],
  path: Path,
  schema: z.ZodType,
): readonly { readonly value: unknown; readonly origin: Origin }[] {
  const found: { value: unknown; origin: Origin }[] = []
  const silentNull = isEmptyGroup(schemasAt(schema, path))
  for (const piece of [...pieces].reverse()) {
    const value = valueAt(piece.tree, path)
    if (value === null && silentNull) continue
    if (value !== undefined) found.push({ value, origin: piece.origin(path) })
    else if (hides(piece.tree, path, schema)) break
  }
  return found
}

/** Whether a tree replaces a parent of the path without naming the path itself. */
function hides(tree: unknown, path: Path, schema: z.ZodType): boolean {
  let schemas: readonly z.ZodType[] = [schema]
  for (let length = 0; length < path.length; length++) {
    const value = valueAt(tree, path.slice(0, length))
    if (value === undefined) return false
    if (!isMap(value) && !(value === null && isEmptyGroup(schemas))) return true
    if (isMap(value) && length > 0 && isReplaced(schemas)) return true
    schemas = schemas.flatMap((item) => childSchemas(item, path[length]!))
  }
  return false
}

/** `{ hot: { batchSize: 5 } }` of a path and a value. */
export function treeOf(path: Path, value: unknown): unknown {
  return path.reduceRight<unknown>((below, part) => ({ [part]: below }), value)
}

/** Every place of a tree where no map stands, and what stands there. */
export function leafPaths(
  tree: unknown,
  path: Path = [],
): { readonly path: Path; readonly value: unknown }[] {
  return isMap(tree)
    ? Object.entries(tree).flatMap(([key, item]) => leafPaths(item, [...path, key]))
    : [{ path, value: tree }]
}

/** Whether one path is the other, or leads to it. */
export function overlaps(a: Path, b: Path): boolean {
  const length = Math.min(a.length, b.length)
  for (let index = 0; index < length; index++) if (String(a[index]) !== String(b[index])) return false
  return true
}
