import { z } from 'zod'
import type { ConfigSections } from './types.ts'

/** One setting, as its schema tells it. */
export interface SettingDescription {
  /** `storage.hot.batchSize`; an entry of a list has `[]`, a map's free key is `NAME`. */
  readonly key: string
  readonly section: string
  /** In words: `whole number`, `list of string`, `"info", "warn"`. */
  readonly type: string
  /** In words: `100 to 10000`, `at least 1 character`; empty for any. */
  readonly range: string
  /** `undefined` when there is none. */
  readonly default: unknown
  readonly description: string
  readonly secret: boolean
  /** Has to be given where its parent is. */
  readonly required: boolean
  /** Has settings of its own below it. */
  readonly group: boolean
}

/** The part of JSON Schema that zod writes and this reads. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly propertyNames?: JsonSchema
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly oneOf?: readonly JsonSchema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly description?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly maxLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly pattern?: string
  readonly format?: string
  readonly secret?: boolean
}

/** What a file may hold, as JSON Schema (draft-07), before anything is made of defaults. */
export function inputSchema(schema: z.ZodType): JsonSchema {
  return z.toJSONSchema(schema, {
    io: 'input',
    unrepresentable: 'any',
    target: 'draft-7',
    reused: 'inline',
  }) as JsonSchema
}

/** Every setting of every section, in the order of the schemas; no two share a key. */
export function describeSettings(sections: ConfigSections): SettingDescription[] {
  return Object.entries(sections).flatMap(([section, schema]) => describeSection(section, schema))
}

export function describeSection(section: string, schema: z.ZodType): SettingDescription[] {
  const rows = new Map<string, SettingDescription>()
  for (const row of rowsOf(section, inputSchema(schema), section, true)) {
    const other = rows.get(row.key)
    if (other === undefined) rows.set(row.key, row)
    // The same key behind several shapes of a union.
    else if (!other.type.split(' or ').includes(row.type))
      rows.set(row.key, { ...other, type: `${other.type} or ${row.type}` })
  }
  return [...rows.values()]
}

/** The description of a concrete key, such as `rate-limits.profiles.demo`. */
export function descriptionOf(
  descriptions: readonly SettingDescription[],
  key: readonly (string | number)[],
): SettingDescription | undefined {
  const wanted = key.map(String)
  return descriptions.find((item) => {
    const parts = partsOf(item)
    return (
      parts.length === wanted.length &&
      parts.every(
        (part, index) =>
          part === wanted[index] || (part === '[]' && /^\d+$/.test(wanted[index]!)) || part === 'NAME',
      )
    )
  })
}

const splitKeys = new WeakMap<SettingDescription, readonly string[]>()

function partsOf(item: SettingDescription): readonly string[] {
  let parts = splitKeys.get(item)
  if (parts === undefined) splitKeys.set(item, (parts = item.key.replaceAll('[]', '.[]').split('.')))
  return parts
}

function* rowsOf(
  section: string,
  schema: JsonSchema,
  key: string,
  required: boolean,
): Generator<SettingDescription> {
  const shapes = [schema, ...(schema.anyOf ?? schema.oneOf ?? [])]
  const below = shapes.flatMap((shape) =>
    Object.entries(shape.properties ?? {}).map(
      ([name, child]) => [name, child, shape.required?.includes(name) ?? false] as const,
    ),
  )
  const items = shapes.map((shape) => shape.items).find((item) => item !== undefined)
  const values = shapes
    .map((shape) => shape.additionalProperties)
    .find((item) => typeof item === 'object' && Object.keys(item).length > 0) as JsonSchema | undefined
  const group = below.length > 0
  if (key !== section && (!group || schema.description !== undefined)) {
    yield {
      key,
      section,
      type: typeOf(schema),
      range: rangeOf(schema),
      default: group && isEmptyMap(schema.default) ? undefined : schema.default,
      description: schema.description ?? '',
      secret: shapes.some((shape) => shape.secret === true),
      required,
      group,
    }
  }
  for (const [name, child, needed] of below) yield* rowsOf(section, child, `${key}.${name}`, needed)
  if (items !== undefined && hasRows(items)) yield* rowsOf(section, items, `${key}[]`, true)
  if (values !== undefined) yield* rowsOf(section, values, `${key}.NAME`, false)
}

function isEmptyMap(value: unknown): boolean {
  return (
    value !== null && typeof value === 'object' && !Array.isArray(value) && Object.keys(value).length === 0
  )
}

function hasRows(schema: JsonSchema): boolean {
  return [schema, ...(schema.anyOf ?? schema.oneOf ?? [])].some((shape) => shape.properties !== undefined)
}

export function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return literal(schema.const)
  if (schema.enum !== undefined) return schema.enum.map(literal).join(', ')
  const options = schema.anyOf ?? schema.oneOf
  if (options !== undefined) return [...new Set(options.map(typeOf))].join(' or ')
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'anything' : typeOf(schema.items)}`
  if (schema.type === 'object') return 'map'
  if (schema.type === 'integer') return 'whole number'
  if (schema.type === 'string') return schema.format === 'uri' ? 'URL' : 'text'
  return schema.type === undefined ? 'anything' : [schema.type].flat().join(' or ')
}

export function rangeOf(schema: JsonSchema): string {
  const shape = (schema.anyOf ?? schema.oneOf)?.find((item) => rangeOf(item) !== '') ?? schema
  const parts: string[] = []
  const least = shape.minimum !== undefined && shape.minimum > -(2 ** 53) + 1 ? shape.minimum : undefined
  const most = shape.maximum !== undefined && shape.maximum < 2 ** 53 - 1 ? shape.maximum : undefined
  if (least !== undefined && most !== undefined) parts.push(`${least} to ${most}`)
  else if (least !== undefined) parts.push(`${least} or more`)
  else if (most !== undefined) parts.push(`${most} or less`)
  if (shape.exclusiveMinimum !== undefined) parts.push(`above ${shape.exclusiveMinimum}`)
  if (shape.exclusiveMaximum !== undefined) parts.push(`below ${shape.exclusiveMaximum}`)
  if (shape.minLength !== undefined)
    parts.push(`at least ${shape.minLength} character${shape.minLength === 1 ? '' : 's'}`)
  if (shape.maxLength !== undefined) parts.push(`at most ${shape.maxLength} characters`)
  if (shape.minItems !== undefined && shape.minItems === shape.maxItems)
    parts.push(`exactly ${shape.minItems}`)
  else {
    if (shape.minItems !== undefined) parts.push(`at least ${shape.minItems}`)
    if (shape.maxItems !== undefined) parts.push(`at most ${shape.maxItems}`)
  }
  if (shape.pattern !== undefined && shape.format !== 'uri') parts.push(`like ${shape.pattern}`)
  return parts.join(', ')
}

/** What is allowed, in words: `whole number, 100 to 10000`. */
export function allowedOf({ type, range }: Pick<SettingDescription, 'type' | 'range'>): string {
  return range === '' ? type : `${type}, ${range}`
}

const literal = (value: unknown) => JSON.stringify(value)

/** Keys that two sections define alike, with both places; empty when every setting has one source. */
export function duplicateSettings(
  sections: ConfigSections,
  options: {
    /** Names that mean something else in every file, such as `enabled`. */
    readonly common?: readonly string[]
  } = {},
): readonly { readonly name: string; readonly keys: readonly string[] }[] {
  const byName = new Map<string, string[]>()
  for (const { key, section, group, description } of describeSettings(sections)) {
    const name = key.split('.').at(-1)!
    if (group || name === 'NAME' || key.includes('[]') || options.common?.includes(name) === true) continue
    const same = `${name}\u0000${description}`
    byName.set(same, [...(byName.get(same) ?? []), `${section}.yaml ${key}`])
  }
  return [...byName]
    .filter(([, keys]) => new Set(keys.map((key) => key.split(' ')[0])).size > 1)
    .map(([same, keys]) => ({ name: same.split('\u0000')[0]!, keys }))
}
