import { z } from 'zod'

/** The parts of a zod definition that are walked. */
interface Definition {
  readonly type: string
  readonly innerType?: z.ZodType
  readonly in?: z.ZodType
  readonly element?: z.ZodType
  readonly keyType?: z.ZodType
  readonly valueType?: z.ZodType
  /** Of an enum. */
  readonly entries?: Readonly<Record<string, string | number>>
  readonly options?: readonly z.ZodType[]
  readonly shape?: Readonly<Record<string, z.ZodType>>
  readonly getter?: () => z.ZodType
}

/** Names that mean something to JavaScript itself; no setting is called so. */
export const DANGEROUS_NAMES: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

export function definitionOf(schema: z.ZodType): Definition {
  return schema._zod.def as unknown as Definition
}

/** Schemas never change, and every key of a load asks for what stands behind some. */
const unwrapped = new WeakMap<z.ZodType, readonly z.ZodType[]>()

/** The schemas that stand behind defaults, optionals, pipes and unions. */
export function unwrap(schema: z.ZodType): readonly z.ZodType[] {
  let found = unwrapped.get(schema)
  if (found === undefined) unwrapped.set(schema, (found = behind(schema)))
  return found
}

function behind(schema: z.ZodType): readonly z.ZodType[] {
  const definition = definitionOf(schema)
  if (definition.innerType !== undefined) return unwrap(definition.innerType)
  if (definition.type === 'pipe') return unwrap(definition.in!)
  if (definition.type === 'lazy') return unwrap(definition.getter!())
  if (definition.type === 'union') return definition.options!.flatMap(unwrap)
  return [schema]
}

/** Schemas that an entry of a map or list must meet; empty where there is no such entry. */
export function childSchemas(schema: z.ZodType, part: string | number): readonly z.ZodType[] {
  return unwrap(schema).flatMap((item) => {
    const { type, shape, element, valueType } = definitionOf(item)
    if (type === 'object') return shape !== undefined && Object.hasOwn(shape, part) ? [shape[part]!] : []
    if (type === 'array') return element === undefined || !/^\d+$/.test(String(part)) ? [] : [element]
    if (type === 'record') return valueType === undefined || !isName(String(part)) ? [] : [valueType]
    return []
  })
}

const isName = (part: string) => part !== '' && !DANGEROUS_NAMES.has(part)

/** Schemas at a path; empty where no setting can stand. */
export function schemasAt(schema: z.ZodType, path: readonly (string | number)[]): readonly z.ZodType[] {
  let found: readonly z.ZodType[] = [schema]
  for (const part of path) found = found.flatMap((item) => childSchemas(item, part))
  return found
}

/** Keys the map at a path takes by name. */
export function keysAt(schema: z.ZodType, path: readonly (string | number)[]): readonly string[] {
  return schemasAt(schema, path)
    .flatMap(unwrap)
    .flatMap((item) => {
      const { shape, keyType } = definitionOf(item)
      const named = keyType === undefined ? {} : (definitionOf(keyType).entries ?? {})
      return [...Object.keys(shape ?? {}), ...Object.values(named).map(String)]
    })
}

/** Whether any schema behind this one is of a type. */
export function hasType(schema: z.ZodType, ...types: readonly string[]): boolean {
  return unwrap(schema).some((item) => types.includes(definitionOf(item).type))
}

/** Whether `null` is a value of the setting. */
export function isNullable(schema: z.ZodType): boolean {
  const definition = definitionOf(schema)
  if (definition.type === 'nullable' || definition.type === 'null') return true
  if (definition.innerType !== undefined) return isNullable(definition.innerType)
  if (definition.type === 'pipe') return isNullable(definition.in!)
  return definition.type === 'union' && definition.options!.some(isNullable)
}

/** A mark of the schema or of anything it wraps: `secret`, `merge`. */
export function markOf(schema: z.ZodType, mark: 'secret' | 'merge'): unknown {
  for (let current: z.ZodType | undefined = schema; current !== undefined;) {
    const found = (z.globalRegistry.get(current) as Record<string, unknown> | undefined)?.[mark]
    if (found !== undefined) return found
    const definition: Definition = definitionOf(current)
    current = definition.innerType ?? (definition.type === 'pipe' ? definition.in : undefined)
  }
  return undefined
}

/** Whether a value of this schema may not be seen, in any of its shapes. */
export function isSecret(schema: z.ZodType): boolean {
  if (markOf(schema, 'secret') === true) return true
  const shapes = unwrap(schema)
  return shapes.length > 1 && shapes.some((item) => markOf(item, 'secret') === true)
}

/** Whether this schema, or anything below it, holds what may not be seen. */
export function holdsSecret(schema: z.ZodType, above: readonly z.ZodType[] = []): boolean {
  if (isSecret(schema)) return true
  if (above.includes(schema)) return false
  return unwrap(schema).some((item) => {
    const { shape, element, valueType } = definitionOf(item)
    const below = [...Object.values(shape ?? {}), element, valueType]
    return below.some((child) => child !== undefined && holdsSecret(child, [...above, schema]))
  })
}

/** Whether a text is taken as it is rather than read as a number, boolean, list or map. */
export function takesText(schemas: readonly z.ZodType[]): boolean {
  return schemas.some((schema) => {
    if (!hasType(schema, 'string', 'template_literal')) return false
    return !hasType(schema, 'number', 'int', 'boolean', 'array', 'object', 'record')
  })
}

export function isMap(value: unknown): value is Record<string, unknown> {
  return (
    value !== null &&
    typeof value === 'object' &&
    !Array.isArray(value) &&
    Object.getPrototypeOf(value) === Object.prototype
  )
}

/** The entry of a tree of maps and lists, or `undefined`. */
export function valueAt(tree: unknown, path: readonly (string | number)[]): unknown {
  let current = tree
  for (const part of path) {
    if (current === null || typeof current !== 'object' || !Object.hasOwn(current, part)) return undefined
    current = (current as Record<string | number, unknown>)[part]
  }
  return current
}
