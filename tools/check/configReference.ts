// Writes docs/reference/configuration.md from the schemas of the configuration files, so that the page cannot say
// anything else than what is checked at start-up. `node --conditions=@varve/source tools/check/configReference.ts`
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { ALLOWED_VARIABLES, SECTIONS } from '@varve/application'
import { z } from 'zod'

/** The page this writes. */
export const CONFIG_REFERENCE = fileURLToPath(
  new URL('../../docs/reference/configuration.md', import.meta.url),
)

interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly additionalProperties?: JsonSchema | boolean
  readonly items?: JsonSchema
  readonly anyOf?: readonly JsonSchema[]
  readonly enum?: readonly unknown[]
  readonly const?: unknown
  readonly default?: unknown
  readonly description?: string
  readonly minimum?: number
  readonly exclusiveMinimum?: number
  readonly maximum?: number
  readonly exclusiveMaximum?: number
  readonly minLength?: number
  readonly minItems?: number
  readonly maxItems?: number
  readonly pattern?: string
  readonly format?: string
}

interface Row {
  readonly key: string
  readonly type: string
  readonly range: string
  readonly fallback: string
  readonly description: string
}

/** What each file is for. */
const PURPOSE: Readonly<Record<keyof typeof SECTIONS, string>> = {
  layers:
    'Which symbols matter, and how much: the criteria of layers 0 to 3. See [layers](../concepts/layers.md).',
  retention:
    'How long each layer keeps each kind of data, and how far back a backfill reaches. `LAYER` stands for 0, 1, 2 or 3; a layer left out does not want the data, and `coldDays` must not be below `hotDays`.',
  storage: 'Where data lies.',
  providers: 'Sources of market data.',
  'rate-limits': "Quotas of providers' plans.",
  pipeline: 'How the flow works.',
  daemon: 'The long-running service.',
}

/** The whole page. */
export function configReference(): string {
  const parts = [
    '# Configuration',
    '<!-- Written by tools/check/configReference.ts from the schemas; do not edit. -->',
    `One YAML file per purpose, in the folder given by \`--config\` (\`./config\` by default; \`varve init\` writes one with every default in it). A file that is missing means its defaults; without the folder the built-in defaults apply. An unknown file, an unknown key or a value out of range stops the command before anything is opened, and \`varve config check\` reports every fault as \`FILE.yaml:LINE:COLUMN CODE message\`.`,
    `In any string \`\${NAME}\` is replaced by an environment variable. Allowed are ${ALLOWED_VARIABLES.map((name) => `\`${name}\``).join(' and ')}; a missing or blank one stops the command. \`DATABASE_URL\` also takes effect without being named in a file.`,
  ]
  for (const [name, schema] of Object.entries(SECTIONS)) {
    const json = z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema
    parts.push(`## ${name}.yaml`, PURPOSE[name as keyof typeof SECTIONS], table([...rows(json, '')]))
  }
  return `${parts.join('\n\n')}\n`
}

function table(found: readonly Row[]): string {
  const cell = (text: string) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  return [
    '| key | type | range | default | meaning |',
    '|---|---|---|---|---|',
    ...found.map(
      (row) =>
        `| \`${row.key}\` | ${cell(row.type)} | ${cell(row.range)} | ${cell(row.fallback)} | ${cell(row.description)} |`,
    ),
  ].join('\n')
}

function* rows(schema: JsonSchema, path: string, required = true): Generator<Row> {
  const inner = schema.anyOf?.find((item) => item.properties !== undefined) ?? schema
  const children = Object.entries(inner.properties ?? {})
  const says =
    schema.description !== undefined || (schema.default !== undefined && literal(schema.default) !== '`{}`')
  if (path !== '' && (children.length === 0 || says)) {
    yield {
      key: path,
      type: typeOf(schema),
      range: rangeOf(schema),
      fallback: schema.default === undefined ? (required ? 'required' : '–') : literal(schema.default),
      description: schema.description ?? '',
    }
  }
  if (isPerLayer(children)) {
    yield* rows(children[0]![1], `${path}.LAYER`)
    return
  }
  for (const [key, child] of children) {
    yield* rows(child, path === '' ? key : `${path}.${key}`, inner.required?.includes(key) ?? false)
  }
  const { items, additionalProperties } = schema
  if (items !== undefined && hasRows(items)) yield* rows(items, `${path}[]`)
  if (typeof additionalProperties === 'object' && Object.keys(additionalProperties).length > 0) {
    const value = additionalProperties.items ?? additionalProperties
    yield* rows(value, `${path}.PLAN${additionalProperties.items === undefined ? '' : '[]'}`)
  }
}

/** Layers 0 to 3 with the same keys below each. */
function isPerLayer(children: readonly (readonly [string, JsonSchema])[]): boolean {
  return children.length === 4 && children.every(([key], index) => key === String(index))
}

function hasRows(schema: JsonSchema): boolean {
  return schema.properties !== undefined
}

function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return literal(schema.const)
  if (schema.enum !== undefined) return schema.enum.map((value) => literal(value)).join(', ')
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(' or ')
  if (schema.type === 'array')
    return `list of ${schema.items === undefined ? 'anything' : typeOf(schema.items)}`
  if (schema.type === 'object') return 'map'
  if (schema.type === 'integer') return 'whole number'
  return schema.type === undefined ? 'anything' : [schema.type].flat().join(' or ')
}

function rangeOf(schema: JsonSchema): string {
  const numeric =
    schema.anyOf?.find((item) => item.minimum !== undefined || item.exclusiveMinimum !== undefined) ?? schema
  const parts: string[] = []
  if (numeric.minimum !== undefined && numeric.minimum > -(2 ** 53) + 1) parts.push(`≥ ${numeric.minimum}`)
  if (numeric.exclusiveMinimum !== undefined) parts.push(`> ${numeric.exclusiveMinimum}`)
  if (numeric.maximum !== undefined && numeric.maximum < 2 ** 53 - 1) parts.push(`≤ ${numeric.maximum}`)
  if (numeric.exclusiveMaximum !== undefined) parts.push(`< ${numeric.exclusiveMaximum}`)
  if (schema.minLength !== undefined)
    parts.push(`at least ${schema.minLength} character${schema.minLength === 1 ? '' : 's'}`)
  if (schema.minItems !== undefined && schema.minItems === schema.maxItems)
    parts.push(`exactly ${schema.minItems}`)
  else if (schema.minItems !== undefined) parts.push(`at least ${schema.minItems}`)
  if (schema.pattern !== undefined) parts.push(`\`${schema.pattern}\``)
  else if (schema.format === 'uri') parts.push('URL')
  return parts.join(', ')
}

const literal = (value: unknown) => `\`${JSON.stringify(value)}\``

if (process.argv[1] === fileURLToPath(import.meta.url)) writeFileSync(CONFIG_REFERENCE, configReference())
