import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { isMap, isScalar, LineCounter, parseDocument, visit, type Document, type Node } from 'yaml'
import type { z } from 'zod'
import { ConfigError, type ConfigProblem, type ConfigProblemCode } from './ConfigError.ts'
import { nearest } from './nearest.ts'
import { keysAt } from './schemaKeys.ts'
import { substituteVariables } from './substitute.ts'

/** Schema of each file, by its name without `.yaml`. Every schema must accept `{}`: a missing file means defaults. */
export type ConfigSections = Readonly<Record<string, z.ZodType>>

export interface LoadConfigOptions<Sections extends ConfigSections> {
  /** Folder of YAML files; `null` takes every default. */
  readonly directory: string | null
  readonly sections: Sections
  /** Values used where a file says nothing, by section; the lowest precedence. */
  readonly defaults?: { readonly [Name in keyof Sections]?: unknown }
  readonly env?: Readonly<Record<string, string | undefined>>
  /** Names of environment variables the files may refer to. */
  readonly allowedVariables?: readonly string[]
}

export interface LoadedConfig<Sections extends ConfigSections> {
  readonly values: { readonly [Name in keyof Sections]: z.output<Sections[Name]> }
  /** Files read, in order of their names. */
  readonly files: readonly string[]
}

/**
 * Reads and checks a folder of single-purpose YAML files.
 *
 * @throws `CONFIG_INVALID` ({@link ConfigError}) with every problem of every file, each with line and column
 */
export function loadConfig<Sections extends ConfigSections>(
  options: LoadConfigOptions<Sections>,
): LoadedConfig<Sections> {
  const problems: ConfigProblem[] = []
  const documents = new Map<string, SourceFile>()
  if (options.directory !== null) {
    for (const file of listFiles(options.directory)) {
      const section = file.replace(/\.ya?ml$/, '')
      if (options.sections[section] === undefined) {
        const guess = nearest(section, Object.keys(options.sections))
        const known = Object.keys(options.sections).map((name) => `${name}.yaml`)
        problems.push(
          at(
            file,
            'CONFIG_UNKNOWN_FILE',
            `no setting lives in this file${guess ? `; did you mean ${guess}.yaml?` : `; known files: ${known.join(', ')}`}`,
          ),
        )
        continue
      }
      if (documents.has(section)) {
        problems.push(
          at(
            file,
            'CONFIG_DUPLICATE_KEY',
            `${section} is already defined by ${documents.get(section)!.file}; keep one`,
          ),
        )
        continue
      }
      const source = readSource(options.directory, file, options, problems)
      if (source !== undefined) documents.set(section, source)
    }
  }
  const values: Record<string, unknown> = {}
  for (const [section, schema] of Object.entries(options.sections)) {
    const source = documents.get(section)
    const input =
      source === undefined ? (options.defaults?.[section] ?? {}) : (source.document.toJS() as unknown)
    const parsed = schema.safeParse(input ?? {})
    if (parsed.success) values[section] = parsed.data
    else
      problems.push(
        ...parsed.error.issues.flatMap((issue) => describe(issue, schema, section, source, input)),
      )
  }
  if (problems.length > 0) {
    problems.sort((a, b) =>
      a.file < b.file ? -1 : a.file > b.file ? 1 : a.line - b.line || a.column - b.column,
    )
    throw new ConfigError(problems)
  }
  return {
    values: values as LoadedConfig<Sections>['values'],
    files: [...documents.values()].map((source) => source.file),
  }
}

interface SourceFile {
  readonly file: string
  readonly document: Document
  readonly lines: LineCounter
}

function at(
  file: string,
  code: ConfigProblemCode,
  message: string,
  line = 1,
  column = 1,
  path = '',
): ConfigProblem {
  return { file, line, column, code, path, message }
}

function listFiles(directory: string): string[] {
  if (!existsSync(directory) || !statSync(directory).isDirectory()) {
    throw new ConfigError([
      at(directory, 'CONFIG_NOT_FOUND', 'no such directory; run "varve init" to write one'),
    ])
  }
  try {
    return readdirSync(directory)
      .filter((name) => /\.ya?ml$/.test(name))
      .sort()
  } catch (error) {
    throw new ConfigError([at(directory, 'CONFIG_UNREADABLE', `cannot list the directory: ${String(error)}`)])
  }
}

function readSource(
  directory: string,
  file: string,
  options: Pick<LoadConfigOptions<ConfigSections>, 'env' | 'allowedVariables'>,
  problems: ConfigProblem[],
): SourceFile | undefined {
  let text: string
  try {
    text = readFileSync(join(directory, file), 'utf8')
  } catch (error) {
    problems.push(
      at(
        file,
        'CONFIG_UNREADABLE',
        `cannot read the file: ${error instanceof Error ? error.message : String(error)}`,
      ),
    )
    return undefined
  }
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true })
  for (const error of document.errors) {
    const place = lines.linePos(error.pos[0])
    const code = error.code === 'DUPLICATE_KEY' ? 'CONFIG_DUPLICATE_KEY' : 'CONFIG_SYNTAX'
    problems.push(
      at(
        file,
        code,
        error.message.split('\n')[0]!.replace(/ at line \d+, column \d+:?$/, ''),
        place.line,
        place.col,
      ),
    )
  }
  if (document.errors.length > 0) return undefined
  const allowed = new Set(options.allowedVariables ?? [])
  const env = options.env ?? process.env
  let sound = true
  visit(document, {
    Scalar(_key, node) {
      if (typeof node.value !== 'string' || !node.value.includes('${')) return
      const result = substituteVariables(node.value, env, allowed)
      if (result.ok) {
        node.value = result.value
        return
      }
      sound = false
      const place = lines.linePos(node.range?.[0] ?? 0)
      const [code, message] =
        result.reason === 'forbidden'
          ? ([
              'CONFIG_VARIABLE_FORBIDDEN',
              `\${${result.variable}} may not be used here; allowed: ${[...allowed].join(', ') || 'none'}`,
            ] as const)
          : ([
              'CONFIG_VARIABLE_MISSING',
              `environment variable ${result.variable} is ${result.reason}; set it before starting`,
            ] as const)
      problems.push(at(file, code, message, place.line, place.col))
    },
  })
  return sound ? { file, document, lines } : undefined
}

function describe(
  issue: z.core.$ZodIssue,
  schema: z.ZodType,
  section: string,
  source: SourceFile | undefined,
  input: unknown,
): ConfigProblem[] {
  const path = issue.path.map((part) => (typeof part === 'symbol' ? String(part) : part))
  const dotted = path.join('.')
  const file = source?.file ?? `${section}.yaml`
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => {
      const place = positionOf(source, [...path, key], true)
      const guess = nearest(key, keysAt(schema, path))
      return at(
        file,
        'CONFIG_UNKNOWN_KEY',
        `unknown key "${key}"${guess ? `; did you mean "${guess}"?` : ''}`,
        place.line,
        place.column,
        [...path, key].join('.'),
      )
    })
  }
  const missing = issue.code === 'invalid_type' && valueAt(input, path) === undefined
  const place = positionOf(source, path, false)
  const found = valueAt(input, path)
  const shown = missing || found === undefined ? '' : `; found ${JSON.stringify(found)}`
  return [
    at(
      file,
      missing ? 'CONFIG_MISSING_KEY' : 'CONFIG_INVALID_VALUE',
      `${dotted === '' ? 'the document' : dotted}: ${lowerFirst(issue.message)}${issue.code === 'custom' ? '' : shown}`,
      place.line,
      place.column,
      dotted,
    ),
  ]
}

function lowerFirst(text: string): string {
  return text.charAt(0).toLowerCase() + text.slice(1)
}

function valueAt(input: unknown, path: readonly (string | number)[]): unknown {
  let current = input
  for (const part of path) {
    if (current === null || typeof current !== 'object') return undefined
    current = (current as Record<string | number, unknown>)[part]
  }
  return current
}

/** Where a path stands in the file; its nearest existing parent when it does not. */
function positionOf(
  source: SourceFile | undefined,
  path: readonly (string | number)[],
  ofKey: boolean,
): { line: number; column: number } {
  if (source === undefined) return { line: 1, column: 1 }
  for (let length = path.length; length > 0; length--) {
    const parentPath = path.slice(0, length - 1)
    const parent = length === 1 ? source.document.contents : source.document.getIn(parentPath, true)
    const last = path[length - 1]
    if (isMap(parent)) {
      const pair = parent.items.find((item) => isScalar(item.key) && String(item.key.value) === String(last))
      const node = (ofKey || length < path.length ? pair?.key : (pair?.value ?? pair?.key)) as
        Node | null | undefined
      if (pair !== undefined && node?.range) {
        const place = source.lines.linePos(node.range[0])
        return { line: place.line, column: place.col }
      }
    }
    const node = source.document.getIn(path.slice(0, length), true) as Node | undefined
    if (node !== undefined && node !== null && typeof node === 'object' && 'range' in node && node.range) {
      const place = source.lines.linePos(node.range[0])
      return { line: place.line, column: place.col }
    }
  }
  return { line: 1, column: 1 }
}
