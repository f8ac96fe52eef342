import { type Document, isScalar, parseDocument, visit } from 'yaml'
import type { z } from 'zod'
import { hasLeadingZero, type Path } from './parseFile.ts'
import { childSchemas, DANGEROUS_NAMES, definitionOf, schemasAt, takesText, unwrap } from './schema.ts'
import type { ConfigSections } from './types.ts'
import { nearest } from './nearest.ts'
import { describeSettings } from './describe.ts'

/** Where a key leads. */
export interface Target {
  readonly section: string
  readonly path: Path
}

/** `storage.hot.batchSize` → section and path; `undefined` when no schema has it. */
export function targetOf(sections: ConfigSections, key: string): Target | undefined {
  const [section, ...parts] = key.split('.')
  if (section === undefined || !Object.hasOwn(sections, section)) return undefined
  const path = pathOf([sections[section]!], parts)
  return path === undefined ? undefined : { section, path }
}

/** Names of a free map may hold dots, as symbols do (`limits.BRK.B`): the shortest name that leads somewhere is taken. */
function pathOf(schemas: readonly z.ZodType[], parts: readonly string[]): readonly string[] | undefined {
  if (schemas.length === 0) return undefined
  if (parts.length === 0) return []
  for (let length = 1; length <= parts.length; length++) {
    const name = parts.slice(0, length).join('.')
    const below = schemas.flatMap((schema) => childSchemas(schema, name))
    const rest = pathOf(below, parts.slice(length))
    if (rest !== undefined) return [name, ...rest]
  }
  return undefined
}

/** The setting a misspelt key most likely meant. */
export function nearestKey(sections: ConfigSections, key: string): string | undefined {
  const known = describeSettings(sections)
    .map((item) => item.key)
    .filter((item) => !item.includes('[]') && !item.split('.').includes('NAME'))
  const last = key.split('.').at(-1)!
  return nearest(key, known) ?? known.find((item) => item.split('.').at(-1) === last)
}

const upperSnake = (name: string) =>
  name
    .replaceAll('-', '_')
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1_$2')
    .toUpperCase()

/** Name of the environment variable that sets a key: `VARVE_STORAGE__HOT__BATCH_SIZE`. */
export function variableNameOf(prefix: string, key: string): string {
  return `${prefix}${key.split('.').map(upperSnake).join('__')}`
}

/** The key such a name sets; `undefined` when there is none. */
export function keyOfVariable(sections: ConfigSections, prefix: string, name: string): Target | undefined {
  const [first, ...rest] = name.slice(prefix.length).split('__')
  const section = Object.keys(sections).find((item) => upperSnake(item) === first)
  if (section === undefined || rest.length === 0) return undefined
  const path: string[] = []
  let schemas = [sections[section]!]
  for (const part of rest) {
    const shapes = schemas.flatMap(unwrap)
    const named = shapes
      .flatMap((item) => Object.keys(definitionOf(item).shape ?? {}))
      .find((item) => upperSnake(item) === part)
    const free = shapes.some((item) => definitionOf(item).type === 'record')
    const key = named ?? (free ? part.toLowerCase().replaceAll('_', '-') : undefined)
    if (key === undefined) return undefined
    path.push(key)
    schemas = schemas.flatMap((item) => childSchemas(item, key))
    if (schemas.length === 0) return undefined
  }
  return { section, path }
}

/** A text from outside a file as the value a setting wants: as it stands for texts, otherwise read like YAML. */
export function valueOfText(sections: ConfigSections, { section, path }: Target, text: string): unknown {
  if (takesText(schemasAt(sections[section]!, path))) return text
  try {
    const document = parseDocument(text, {
      schema: 'core',
      logLevel: 'error',
      merge: false,
      prettyErrors: false,
    })
    return document.errors.length > 0 || !isPlain(document) ? text : (document.toJS() as unknown)
  } catch (error) {
    // Nested too deep for the parser.
    if (error instanceof RangeError) return text
    throw error
  }
}

/** No tags, no aliases, no names of JavaScript's own: what a file may not hold, a variable may not either. */
function isPlain(document: Document): boolean {
  let plain = true
  const refuse = () => {
    plain = false
    return visit.BREAK
  }
  visit(document, {
    Alias: refuse,
    Scalar: (_key, node) => (hasLeadingZero(node) ? refuse() : undefined),
    Node: (_key, node, above) =>
      node.tag !== undefined || ('anchor' in node && node.anchor !== undefined) || above.length > DEEPEST
        ? refuse()
        : undefined,
    Pair: (_key, { key }) => {
      const name = isScalar(key) ? String(key.value) : undefined
      return name === undefined || name === '' || name === '<<' || DANGEROUS_NAMES.has(name)
        ? refuse()
        : undefined
    },
  })
  return plain
}

const DEEPEST = 64
