/** A JSON number as the provider wrote it. `JSON.parse` alone loses digits above 2^53 and hides exponents. */
export class NumberText {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

interface ReviverContext {
  readonly source?: string
}
type SourceReviver = (key: string, value: unknown, context?: ReviverContext) => unknown
const parseWithReviver = JSON.parse as (text: string, reviver: SourceReviver) => unknown

const nativeSource = parseWithReviver('1.0', (_key, _value, context) => context?.source) === '1.0'

/**
 * Parses JSON with every number as {@link NumberText}.
 *
 * @throws SyntaxError
 */
export function parseJson(text: string): unknown {
  return nativeSource ? parseNative(text) : parseJsonPortable(text)
}

function parseNative(text: string): unknown {
  return parseWithReviver(text, (_key, value, context) =>
    typeof value === 'number' ? new NumberText(context?.source ?? String(value)) : value,
  )
}

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y
// A string is found by its quotes and handed to JSON.parse for its escapes.
const STRING = /"(?:[^"\\\u0000-\u001f]|\\.)*"/y
const SPACE = /[ \t\n\r]*/y

/** The same for runtimes whose `JSON.parse` does not tell a number's source text. */
export function parseJsonPortable(text: string): unknown {
  let at = 0
  const fail = (): never => {
    throw new SyntaxError(
      `unexpected ${at < text.length ? JSON.stringify(text[at]) : 'end'} at position ${at}`,
    )
  }
  const match = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)?.[0]
    if (found !== undefined) at += found.length
    return found
  }
  const take = (character: string): boolean => {
    match(SPACE)
    if (text[at] !== character) return false
    at++
    return true
  }
  const list = (close: string, item: () => void): void => {
    if (take(close)) return
    do item()
    while (take(','))
    if (!take(close)) fail()
  }
  const value = (): unknown => {
    match(SPACE)
    const first = text[at]
    if (first === '"') return JSON.parse(match(STRING) ?? fail())
    if (take('{')) {
      const object: Record<string, unknown> = {}
      list('}', () => {
        match(SPACE)
        const key = JSON.parse(match(STRING) ?? fail()) as string
        if (!take(':')) fail()
        // Not by assignment: `__proto__` is an ordinary key in JSON.
        Object.defineProperty(object, key, {
          value: value(),
          enumerable: true,
          configurable: true,
          writable: true,
        })
      })
      return object
    }
    if (take('[')) {
      const array: unknown[] = []
      list(']', () => array.push(value()))
      return array
    }
    for (const [word, meaning] of [
      ['true', true],
      ['false', false],
      ['null', null],
    ] as const) {
      if (text.startsWith(word, at)) {
        at += word.length
        return meaning
      }
    }
    return new NumberText(match(NUMBER) ?? fail())
  }
  const result = value()
  match(SPACE)
  return at === text.length ? result : fail()
}
