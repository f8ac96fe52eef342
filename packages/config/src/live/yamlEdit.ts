import { isMap, isScalar, parseDocument, stringify, type Document, type Node, type Scalar } from 'yaml'
import { isBranch, own, sameValue } from './changes.ts'

/** Why a text cannot be edited, in words; thrown inside this folder only. */
export class CannotEdit extends Error {}

/**
 * A YAML (or JSON) text with one value changed or added. Everything else stays as it is to the byte where the place of
 * the value allows it; where it does not, comments and order stay and layout is normalised.
 *
 * @throws {@link CannotEdit}
 */
export function setInText(
  text: string,
  path: readonly string[],
  value: unknown,
  format: 'yaml' | 'json',
): string {
  const document = parseDocument(text)
  const fault = document.errors[0]
  if (fault !== undefined) throw new CannotEdit(`the file is not YAML: ${fault.message.split('\n')[0]}`)
  const expected = withValueAt(document.toJS() as unknown, path, value)
  const ways =
    format === 'json'
      ? [
          () => replaceInPlace(text, document, path, JSON.stringify(value)),
          () => `${JSON.stringify(expected, null, 2)}\n`,
        ]
      : [
          () => replaceInPlace(text, document, path, flowText(value, styleAt(document, path))),
          () => insertLine(text, document, path, value),
          () => rewrite(document, path, value),
        ]
  for (const way of ways) {
    const result = way()
    if (result !== undefined && says(result, expected)) return result
  }
  throw new CannotEdit('its place in the file is written in a form that cannot be changed automatically')
}

/** The proof that an edit did what was asked and nothing else. */
function says(text: string, expected: unknown): boolean {
  const document = parseDocument(text)
  return document.errors.length === 0 && sameValue(document.toJS() as unknown, expected)
}

function withValueAt(tree: unknown, path: readonly string[], value: unknown): unknown {
  const [key, ...rest] = path
  if (key === undefined) return value
  if (tree !== null && tree !== undefined && !isBranch(tree))
    throw new CannotEdit(`"${key}" would lie inside a single value or a list`)
  const branch = isBranch(tree) ? tree : {}
  return { ...branch, [key]: withValueAt(own(branch, key), rest, value) }
}

function styleAt(document: Document, path: readonly string[]): Scalar.Type | undefined {
  const node = document.getIn(path, true)
  return isScalar(node) && typeof node.value === 'string' ? node.type : undefined
}

/** On one line. A text keeps the quotes its predecessor had. */
function flowText(value: unknown, style: Scalar.Type | undefined): string {
  if (typeof value === 'string' && value.includes('\n')) return JSON.stringify(value)
  const quoted = style === 'QUOTE_DOUBLE' || style === 'QUOTE_SINGLE'
  return stringify(value, {
    collectionStyle: 'flow',
    lineWidth: 0,
    flowCollectionPadding: true,
    defaultStringType: quoted ? style : 'PLAIN',
    defaultKeyType: 'PLAIN',
  }).trim()
}

function replaceInPlace(
  text: string,
  document: Document,
  path: readonly string[],
  replacement: string,
): string | undefined {
  const node = document.getIn(path, true) as Node | undefined
  if (node === undefined || typeof node !== 'object' || !node.range) return undefined
  const [start, end] = node.range
  // A value that stands alone on its line has no text yet, or spans lines: those are rewritten.
  if (end <= start || text.slice(start, end).includes('\n')) return undefined
  return text.slice(0, start) + replacement + text.slice(end)
}

/** Adds a line below the last setting of the innermost group that is there already. */
function insertLine(
  text: string,
  document: Document,
  path: readonly string[],
  value: unknown,
): string | undefined {
  const newline = text.includes('\r\n') ? '\r\n' : '\n'
  const lines = (rest: readonly string[], indent: string) =>
    stringify(nested(rest, value), { lineWidth: 0 })
      .trimEnd()
      .split('\n')
      .map((line) => indent + line + newline)
      .join('')
  if (document.contents === null || (isScalar(document.contents) && document.contents.value === null)) {
    const head = text === '' || text.endsWith('\n') ? text : text + newline
    return head + lines(path, '')
  }
  let depth = path.length - 1
  while (depth > 0 && !isMap(document.getIn(path.slice(0, depth), true))) depth--
  const map = depth === 0 ? document.contents : document.getIn(path.slice(0, depth), true)
  if (!isMap(map) || map.flow === true || map.has(path[depth])) return undefined
  const first = map.items[0]?.key as Node | undefined
  const last = map.items.at(-1)
  const end = (last?.value as Node | null)?.range?.[1] ?? (last?.key as Node | undefined)?.range?.[1]
  if (!first?.range || end === undefined) return undefined
  const column = first.range[0] - (text.lastIndexOf('\n', first.range[0] - 1) + 1)
  const lineEnd = text[end - 1] === '\n' ? end : text.indexOf('\n', end) + 1
  const at = lineEnd === 0 ? text.length : lineEnd
  const head = text.slice(0, at)
  const gap = head === '' || head.endsWith('\n') ? '' : newline
  return head + gap + lines(path.slice(depth), ' '.repeat(column)) + text.slice(at)
}

/** Through the document: comments and order stay, layout becomes the usual one. */
function rewrite(document: Document, path: readonly string[], value: unknown): string {
  let depth = path.length - 1
  while (depth > 0 && !isMap(document.getIn(path.slice(0, depth), true))) depth--
  if (!isMap(document.contents)) document.contents = document.createNode({}) as never
  document.setIn(path.slice(0, depth + 1), document.createNode(nested(path.slice(depth + 1), value)))
  return document.toString({ lineWidth: 0 })
}

function nested(path: readonly string[], value: unknown): unknown {
  return path.reduceRight((inner: unknown, key) => ({ [key]: inner }), value)
}
