import type { z } from 'zod'
import { type ConfigProblem, type ConfigProblemCode, problem } from './ConfigError.ts'
import {
  allowedOf,
  descriptionOf,
  inputSchema,
  rangeOf,
  type SettingDescription,
  typeOf,
} from './describe.ts'
import { nearest } from './nearest.ts'
import { keyOf, type Path } from './parseFile.ts'
import { holdsSecret, isSecret, keysAt, schemasAt, valueAt } from './schema.ts'
import { PLACEHOLDER_ISSUE } from './secret.ts'
import type { Origin } from './types.ts'

export interface IssueContext {
  readonly section: string
  readonly schema: z.ZodType
  /** What the schema was given. */
  readonly input: unknown
  readonly descriptions: () => readonly SettingDescription[]
  /** Most problems to tell. */
  readonly limit: number
  /** Whether what stands there was refused already, so that nothing more is to be said of it. */
  readonly refused: (path: Path) => boolean
  /** Where a path stands. */
  readonly placeOf: (path: Path, of: 'key' | 'value') => Origin
}

/** What zod found, in words for somebody who edits a file. Values of secrets are never shown. */
export function problemsOf(issues: readonly z.core.$ZodIssue[], context: IssueContext): ConfigProblem[] {
  return issues.slice(0, context.limit).flatMap((issue) => {
    const path = issue.path.map((part) => (typeof part === 'number' ? part : String(part)))
    if (issue.code === 'unrecognized_keys')
      return issue.keys
        .slice(0, context.limit)
        .map((key) => [...path, key])
        .filter((item) => !context.refused(item))
        .map((item) => unknownKey(item, context))
    if (issue.code === 'invalid_union') {
      const inner = closest(issue.errors, path)
      if (inner !== undefined) return problemsOf(inner, context)
    }
    if (issue.code === 'invalid_key') return context.refused(path) ? [] : [wrongName(issue, path, context)]
    if (issue.code === 'invalid_element')
      return problemsOf(
        issue.issues.map((item) => ({ ...item, path: [...issue.path, ...item.path] })),
        context,
      )
    return context.refused(path) ? [] : [described(issue, path, context)]
  })
}

/** The problems of the shape that was most likely meant: the one that got furthest. */
function closest(
  errors: readonly (readonly z.core.$ZodIssue[])[],
  path: Path,
): z.core.$ZodIssue[] | undefined {
  const best = errors
    .filter((list) => list.some((issue) => issue.path.length > 0))
    .sort((a, b) => a.length - b.length)[0]
  return best?.map((issue) => ({ ...issue, path: [...path, ...issue.path] }))
}

function unknownKey(path: Path, context: IssueContext): ConfigProblem {
  const { schema, section } = context
  const parent = path.slice(0, -1)
  const known = keysAt(schema, parent)
  const name = String(path.at(-1))
  const guess = nearest(name, known)
  if (
    guess === undefined &&
    looksLikeSecret(name) &&
    schemasAt(schema, parent).some((item) => holdsSecret(item))
  ) {
    const message = `an unknown key, not shown because it may be a secret in the wrong place; known: ${known.join(', ')}`
    return { ...at('CONFIG_UNKNOWN_KEY', path, 'key', context, message), key: keyOf(section, parent) }
  }
  const where = parent.length === 0 ? `${section}.yaml` : parent.join('.')
  const help =
    guess !== undefined
      ? `did you mean "${guess}"?`
      : known.length === 0
        ? 'nothing can be set here'
        : `known in ${where}: ${known.join(', ')}`
  return at('CONFIG_UNKNOWN_KEY', path, 'key', context, `unknown key "${path.join('.')}"; ${help}`)
}

/** Long enough and mixed enough to be a key of an account rather than the name of a setting. */
function looksLikeSecret(name: string): boolean {
  return name.length >= 16 && /\d/.test(name)
}

/** A free map that takes only some names. */
function wrongName(issue: z.core.$ZodIssueInvalidKey, path: Path, context: IssueContext): ConfigProblem {
  const why = issue.issues.map(({ message }) => lowered(message)).join(', ')
  const parent = path.length === 1 ? `${context.section}.yaml` : path.slice(0, -1).join('.')
  const message = `"${path.at(-1)}" is no name for an entry of ${parent}: ${why}`
  return at('CONFIG_UNKNOWN_KEY', path, 'key', context, message)
}

function described(issue: z.core.$ZodIssue, path: Path, context: IssueContext): ConfigProblem {
  const { schema, section, input } = context
  const found = valueAt(input, path)
  const schemas = schemasAt(schema, path)
  const hidden = schemas.some(isSecret)
  const name = path.length === 0 ? `${section}.yaml` : path.join('.')
  if (issue.code === 'custom') {
    const params = (issue as { params?: Record<string, unknown> }).params ?? {}
    const code: ConfigProblemCode =
      params[PLACEHOLDER_ISSUE] === true
        ? 'CONFIG_PLACEHOLDER'
        : params.blank === true
          ? 'CONFIG_SECRET_BLANK'
          : 'CONFIG_INVALID_VALUE'
    return at(code, path, 'value', context, `${name}: ${issue.message}`)
  }
  const description = descriptionOf(context.descriptions(), [section, ...path])
  const allowed = description === undefined ? allowedBySchemas(schemas, issue) : allowedOf(description)
  if (found === undefined) {
    const means = description?.description ? ` (${description.description})` : ''
    return at(
      hidden ? 'CONFIG_SECRET_MISSING' : 'CONFIG_MISSING_KEY',
      path,
      'key',
      context,
      `${name} is missing${means}; expected ${allowed}`,
    )
  }
  // A text where a group is expected may be the secret of the group.
  const shown = schemas.some((item) => holdsSecret(item)) ? `${typeName(found)} (hidden)` : show(found)
  const hint = hintOf(issue, found)
  const close = hidden ? '' : nearestValue(issue, found)
  return at(
    'CONFIG_INVALID_VALUE',
    path,
    'value',
    context,
    `${name}: expected ${allowed}${specific(issue)}; found ${shown}${close}${hint}`,
  )
}

function at(
  code: ConfigProblemCode,
  path: Path,
  of: 'key' | 'value',
  context: IssueContext,
  message: string,
): ConfigProblem {
  const origin = context.placeOf(path, of)
  const file =
    origin.file ??
    origin.source ??
    (origin.variable === undefined ? `${context.section}.yaml` : 'environment')
  const { kind, variable } = origin
  const by = kind === 'environment' && variable !== undefined ? `${variable}: ` : ''
  const from = kind !== 'environment' && variable !== undefined && of === 'value' ? ` (from ${variable})` : ''
  return problem(
    code,
    { file, line: origin.line, column: origin.column },
    `${by}${message}${from}`,
    keyOf(context.section, path),
  )
}

/** What a value may be where no row describes it: an entry of a list, a choice between a word and a map. */
function allowedBySchemas(schemas: readonly z.ZodType[], issue: z.core.$ZodIssue): string {
  const shapes = schemas.map((schema) => inputSchema(schema))
  const [only] = shapes
  if (only === undefined) return lowered(issue.message)
  return shapes.length === 1
    ? allowedOf({ type: typeOf(only), range: rangeOf(only) })
    : [...new Set(shapes.map(typeOf))].join(' or ')
}

const lowered = (text: string) => text.charAt(0).toLowerCase() + text.slice(1)

/** What a schema says beyond type and range, such as the wording of a pattern. */
function specific(issue: z.core.$ZodIssue): string {
  if (issue.code !== 'invalid_format') return ''
  const { message } = issue
  return /^invalid/i.test(message) ? '' : ` (${lowered(message)})`
}

/** Every word that would have been right at the place of an issue. */
function wordsOf(issue: z.core.$ZodIssue): readonly unknown[] {
  if (issue.code === 'invalid_value') return issue.values
  if (issue.code !== 'invalid_union') return []
  const { options } = issue as { options?: readonly unknown[] }
  return [
    ...(options ?? []),
    ...issue.errors.flat().flatMap((item) => (item.path.length === 0 ? wordsOf(item) : [])),
  ]
}

function nearestValue(issue: z.core.$ZodIssue, found: unknown): string {
  if (typeof found !== 'string') return ''
  const guess = nearest(
    found,
    wordsOf(issue).filter((value) => typeof value === 'string'),
  )
  return guess === undefined ? '' : `; did you mean "${guess}"?`
}

/** YAML reads some texts otherwise than people do. */
function hintOf(issue: z.core.$ZodIssue, found: unknown): string {
  if (issue.code !== 'invalid_type') return ''
  const { expected } = issue
  if (found === null) return '; give it a value, or comment the line out for the default'
  if (typeof found === 'string') {
    if (expected === 'array') return '; write a list: [a, b]'
    if (expected === 'boolean' && /^(yes|no|on|off|y|n)$/i.test(found)) return '; write true or false'
    if (expected === 'boolean' && /^(true|false)$/i.test(found)) return '; write it without quotes'
    if (expected !== 'number' && expected !== 'int') return ''
    if (/^[+-]?[\d_,']+(\.\d+)?$/.test(found) && /[_,']/.test(found))
      return '; write digits without separators'
    if (/^[+-]?0\d+$/.test(found)) return '; write it without the leading zero'
    if (/^[+-]?\d+(\.\d+)?$/.test(found)) return '; write it without quotes'
    if (/^\d+(\.\d+)?\s*(ms|s|m|h|d|kb|mb|gb|%)$/i.test(found))
      return '; write a plain number, its unit is part of the name of the setting'
    if (/^\d{1,2}:\d{2}/.test(found)) return '; write a plain number'
    return ''
  }
  if (expected === 'string' && (typeof found === 'number' || typeof found === 'boolean'))
    return '; put quotes around it'
  return ''
}

function typeName(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  if (typeof value === 'object') return 'a map'
  return typeof value === 'string' ? 'a text' : `a ${typeof value}`
}

const LONGEST_SHOWN = 60

function show(value: unknown): string {
  if (value === null) return 'nothing'
  if (Array.isArray(value)) return `a list of ${value.length}`
  if (typeof value === 'object') return 'a map'
  const text = typeof value === 'string' ? JSON.stringify(value) : String(value)
  return text.length > LONGEST_SHOWN ? `${text.slice(0, LONGEST_SHOWN)}…` : text
}
