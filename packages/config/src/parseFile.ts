import {
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml'
import type { z } from 'zod'
import { type ConfigProblem, type ConfigProblemCode, problem } from './ConfigError.ts'
import type { ConfigLimits } from './limits.ts'
import type { RawFile } from './readFolder.ts'
import { DANGEROUS_NAMES, holdsSecret, schemasAt, takesText } from './schema.ts'

export type Path = readonly (string | number)[]

/** A mark in a text that stands for a variable, or may. */
const MARK = '${'

/** A text of a file that names variables. */
export interface Reference {
  readonly path: Path
  readonly text: string
  /** Nothing but the reference: it may stand for a number or a list. */
  readonly whole: boolean
  readonly quoted: boolean
  readonly line: number
  readonly column: number
  /** Puts the text without variables in. */
  set(value: unknown): void
}

/** A file as maps, lists and scalars, and where each stands. */
export interface ParsedFile {
  readonly file: string
  readonly section: string
  readonly profile: string | undefined
  tree: unknown
  readonly references: readonly Reference[]
  /** Places of which nothing was taken, since what stands there was refused. */
  readonly refused: Path[]
  /** Line and column of a key (or of its value) counted from 1; of its nearest parent where it is not there. */
  placeOf(path: Path, of?: 'key' | 'value'): { readonly line: number; readonly column: number }
}

/**
 * Parses a file and builds its tree. What a configuration has no use for (tags, anchors, merge keys, keys that name
 * JavaScript's own) is refused.
 *
 * @param schema - of the section; `undefined` for a file of an older form
 * @returns `undefined` when the file cannot be used
 */
export function parseFile(
  raw: RawFile,
  schema: z.ZodType | undefined,
  limits: ConfigLimits,
  problems: ConfigProblem[],
): ParsedFile | undefined {
  const { file } = raw
  const lines = new LineCounter()
  let document: ReturnType<typeof parseDocument>
  try {
    document = parseDocument(raw.text, {
      lineCounter: lines,
      uniqueKeys: false,
      merge: false,
      schema: 'core',
      // Anything quieter lets a second document pass unseen.
      logLevel: 'error',
      stringKeys: false,
      // Pretty ones copy their line into each message: slow where a long line holds many, and no place for secrets.
      prettyErrors: false,
    })
  } catch (error) {
    problems.push(
      error instanceof RangeError
        ? problem('CONFIG_TOO_DEEP', { file }, `nested deeper than ${limits.maxDepth} maps and lists`)
        : problem('CONFIG_SYNTAX', { file }, `cannot be understood: ${String(error)}`),
    )
    return undefined
  }
  const before = problems.length
  const refused: Path[] = []
  const at = (offset: number | undefined) => {
    const { line, col } = lines.linePos(offset ?? 0)
    return { file, line: Math.max(1, line), column: Math.max(1, col) }
  }
  const fail = (code: ConfigProblemCode, offset: number | undefined, message: string, path: Path = []) => {
    refused.push(path)
    if (problems.length - before < limits.maxProblems)
      problems.push(problem(code, at(offset), message, keyOf(raw.section, path)))
  }
  let last = 0
  for (const error of document.errors) {
    const { line } = at(error.pos[0])
    // What follows in the same line is a consequence.
    if (line === last) continue
    last = line
    const [code, message] = syntaxProblem(error.code, error.message, limits)
    fail(code, error.pos[0], message)
  }
  if (problems.length > before) return undefined

  const references: Reference[] = []
  const schemaAt = (path: Path) => (schema === undefined ? [] : schemasAt(schema, path))

  const build = (node: unknown, path: Path, depth: number, put: (value: unknown) => void): unknown => {
    if (node === null || node === undefined) return null
    const { tag, anchor, range } = node as Node & { tag?: string; anchor?: string }
    const offset = range?.[0]
    if (depth > limits.maxDepth) {
      fail('CONFIG_TOO_DEEP', offset, `nested deeper than ${limits.maxDepth} maps and lists`, path)
      return null
    }
    if (isAlias(node) || anchor !== undefined) {
      fail('CONFIG_ALIASES', offset, NO_ALIASES, path)
      return null
    }
    if (tag !== undefined && !/^tag:yaml\.org,2002:(map|seq|str|int|float|bool|null)$/.test(tag)) {
      // A secret that starts with ! reads as a tag.
      const shown = schemaAt(path).some((item) => holdsSecret(item)) ? '!…' : shortTag(tag)
      fail(
        'CONFIG_TAG',
        offset,
        `the tag ${shown} is not allowed; write the plain value, between quotes if it starts with !`,
        path,
      )
      return null
    }
    if (isMap(node)) return buildMap(node.items, path, depth)
    if (isSeq(node)) {
      const list: unknown[] = []
      node.items.forEach((item, index) => {
        list.push(build(item, [...path, index], depth + 1, (value) => (list[index] = value)))
      })
      return list
    }
    if (!isScalar(node)) return null
    const { value } = node
    if (hasLeadingZero(node)) {
      const schemas = schemaAt(path)
      const name = path.join('.')
      const shown = schemas.some((item) => holdsSecret(item)) ? 'a number (hidden)' : node.source
      const message = takesText(schemas)
        ? `${name}: found ${shown}, which reads as the number ${shown === node.source ? String(value) : 'without its zero'}; put quotes around it`
        : `${name}: found ${shown}, which is octal to some readers and decimal to others; write it without the leading zero`
      fail('CONFIG_INVALID_VALUE', offset, message, path)
      return null
    }
    if (typeof value !== 'string' || !value.includes(MARK))
      return typeof value === 'bigint' ? Number(value) : value
    const { line, column } = at(offset)
    const whole = /^\$\{[^}]*\}$/.test(value)
    const quoted = node.type !== 'PLAIN'
    references.push({ path, text: value, whole, quoted, line, column, set: put })
    return value
  }

  const buildMap = (items: readonly Pair[], path: Path, depth: number): Record<string, unknown> => {
    const map: Record<string, unknown> = {}
    const seen = new Map<string, number | undefined>()
    for (const pair of items) {
      if (!isPair(pair)) continue
      const key = pair.key as Node | null
      const offset = key?.range?.[0] ?? (pair.value as Node | null)?.range?.[0]
      if (isAlias(key)) {
        fail('CONFIG_ALIASES', offset, 'a key is written out, not referred to', path)
        continue
      }
      if (key === null || !isScalar(key) || key.value === null || key.value === '') {
        fail('CONFIG_SYNTAX', offset, 'a key is missing before the colon, or is no plain text', path)
        continue
      }
      const name = String(key.value)
      const own = [...path, name]
      if (name === '<<') {
        fail(
          'CONFIG_ALIASES',
          offset,
          'merge keys (<<) are not used in configuration; write the settings out',
          path,
        )
        continue
      }
      if (DANGEROUS_NAMES.has(name)) {
        fail('CONFIG_UNKNOWN_KEY', offset, `"${name}" is no setting`, own)
        continue
      }
      if (seen.has(name)) {
        const first = at(seen.get(name))
        fail(
          'CONFIG_DUPLICATE_KEY',
          offset,
          `"${own.join('.')}" is already set in line ${first.line}; keep one of the two`,
          own,
        )
        continue
      }
      seen.set(name, offset)
      if (name.includes('.') && schema !== undefined && schemaAt(own).length === 0) {
        dotted(name, path, offset, items)
        continue
      }
      map[name] = build(pair.value, own, depth + 1, (value) => (map[name] = value))
    }
    return map
  }

  const dotted = (name: string, path: Path, offset: number | undefined, items: readonly Pair[]): void => {
    const parts = name.split('.')
    const beside = items.find((item) => isScalar(item.key) && String(item.key.value) === parts[0])
    const nested = parts.map((part, index) => `${'  '.repeat(index)}${part}:`).join(' ⏎ ')
    if (beside !== undefined) {
      const other = at((beside.key as Node).range?.[0])
      fail(
        'CONFIG_DUPLICATE_KEY',
        offset,
        `"${name}" and the map "${parts[0]}" in line ${other.line} set the same; keep the map and put ${parts.slice(1).join('.')} into it`,
        [...path, name],
      )
      return
    }
    const known = schemaAt([...path, ...parts]).length > 0
    fail(
      'CONFIG_UNKNOWN_KEY',
      offset,
      known ? `keys are nested, not dotted; instead of "${name}" write ${nested}` : `unknown key "${name}"`,
      [...path, name],
    )
  }

  const entries = new WeakMap<object, ReadonlyMap<string, Pair>>()
  /** The first of a name, found at once in big maps too. */
  const entryOf = (map: YAMLMap, name: string): Pair | undefined => {
    let byName = entries.get(map)
    if (byName === undefined) {
      byName = new Map(
        map.items
          .toReversed()
          .flatMap((item) => (isScalar(item.key) ? [[String(item.key.value), item]] : [])),
      )
      entries.set(map, byName)
    }
    return byName.get(name)
  }

  const { contents } = document
  if (contents !== null && !isMap(contents) && !(isScalar(contents) && contents.value === null)) {
    fail(
      isAlias(contents) ? 'CONFIG_ALIASES' : 'CONFIG_INVALID_VALUE',
      contents.range?.[0],
      `expected settings as "key: value", found ${isSeq(contents) ? 'a list' : 'a single text'}`,
    )
    return undefined
  }
  const tree = isMap(contents) ? build(contents, [], 1, () => undefined) : {}

  return {
    file,
    section: raw.section,
    profile: raw.profile,
    tree,
    references,
    refused,
    placeOf(path, of = 'value') {
      let node: unknown = contents
      let offset: number | undefined = (contents as Node | null)?.range?.[0]
      for (const [index, part] of path.entries()) {
        if (isMap(node)) {
          const pair = entryOf(node, String(part))
          if (pair === undefined) break
          const last = index === path.length - 1
          const keyOffset = (pair.key as Node).range?.[0]
          const value = pair.value as Node | null
          offset = last && of === 'value' && value !== null ? (value.range?.[0] ?? keyOffset) : keyOffset
          node = pair.value
        } else if (isSeq(node)) {
          const item = node.items[Number(part)] as Node | undefined
          if (item === undefined) break
          offset = item.range?.[0] ?? offset
          node = item
        } else break
      }
      const { line, column } = at(offset)
      return { line, column }
    },
  }
}

/** `storage` and `['hot', 'batchSize']` as `storage.hot.batchSize`. */
export function keyOf(section: string, path: Path): string {
  return [section, ...path].join('.')
}

function shortTag(tag: string): string {
  return tag.startsWith('tag:yaml.org,2002:') ? `!!${tag.slice('tag:yaml.org,2002:'.length)}` : tag
}

const NO_ALIASES =
  'anchors (&name) and aliases (*name) are not used in configuration; write the value out, or put quotes around a text that starts with & or *'

/** Whether a number is written `0777`: YAML 1.1 reads it as octal, YAML 1.2 as decimal. */
export function hasLeadingZero(node: Scalar): boolean {
  return typeof node.value === 'number' && /^[-+]?0\d+$/.test(node.source ?? '')
}

/** What the parser says, in words for somebody who has never read the YAML specification; never quoting the file. */
function syntaxProblem(
  code: string,
  text: string,
  limits: ConfigLimits,
): [code: ConfigProblemCode, message: string] {
  if (code === 'BAD_ALIAS') return ['CONFIG_ALIASES', NO_ALIASES]
  if (code === 'RESOURCE_EXHAUSTION')
    return ['CONFIG_TOO_DEEP', `nested deeper than ${limits.maxDepth} maps and lists`]
  if (code === 'TAG_RESOLVE_FAILED')
    return [
      'CONFIG_TAG',
      'tags (!name) are not allowed; write the plain value, between quotes if it starts with !',
    ]
  // Behind a colon the parser quotes what it found, which may be a secret.
  const plain = text
    .split('\n')[0]!
    .replace(/ at line \d+, column \d+:?\s*$/, '')
    .split(': ')[0]!
  const known: Readonly<Record<string, string>> = {
    TAB_AS_INDENT: 'indented with a tab; YAML wants spaces',
    BAD_INDENT: /\bend with\b/.test(plain)
      ? `${plain}; is a bracket or brace not closed?`
      : 'the indentation does not fit the lines around it',
    BAD_SCALAR_START: `${plain}; put quotes around the text`,
    BAD_DQ_ESCAPE:
      'a backslash between double quotes begins an escape; use single quotes, or write two backslashes',
    MULTIPLE_DOCS: 'the file holds several documents (---); keep one',
    MISSING_CHAR: `${plain}; is a quote, bracket or colon missing?`,
    BLOCK_AS_IMPLICIT_KEY:
      'a second colon stands in the line; put a text that holds one between quotes, or the map on lines of its own, indented',
    MULTILINE_IMPLICIT_KEY: 'a key has to stand on one line, with a colon behind it',
    UNEXPECTED_TOKEN: `${plain}; put quotes around texts that hold : # [ ] { } or start with * & ! % @ | >`,
    KEY_OVER_1024_CHARS: 'a key is longer than 1024 characters; is a quote or a line break missing?',
    DUPLICATE_KEY: 'the key is set twice; keep one',
  }
  return ['CONFIG_SYNTAX', known[code] ?? plain]
}
