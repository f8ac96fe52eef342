import { inputSchema, type JsonSchema } from './describe.ts'
import type { ConfigSections } from './types.ts'
import { isMap } from './schema.ts'

/** A variable reference stands where a number, boolean or other text would. */
const REFERENCE = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' } as const

/**
 * JSON Schema (draft-07) of one file, for editors: completion, documentation on hover, and checks while typing.
 * `${NAME}` is accepted wherever a single value or a list is.
 */
export function jsonSchema(section: string, sections: ConfigSections): Readonly<Record<string, unknown>> {
  const schema = inputSchema(sections[section]!)
  return { ...(withReferences(schema, true) as object), title: `${section}.yaml` }
}

function withReferences(value: unknown, root = false): unknown {
  if (Array.isArray(value)) return value.map((item) => withReferences(item))
  if (!isMap(value)) return value
  const {
    secret: _secret,
    merge: _merge,
    readOnly: _readOnly,
    ...rest
  } = value as JsonSchema & {
    merge?: unknown
    readOnly?: unknown
  }
  const inner = Object.fromEntries(
    Object.entries(rest).map(([key, item]) => {
      if (key === 'properties')
        return [
          key,
          Object.fromEntries(
            Object.entries(item as object).map(([name, child]) => [name, withReferences(child)]),
          ),
        ]
      // Defaults make every setting optional in a file.
      if (['default', 'enum', 'const', 'required'].includes(key)) return [key, item]
      return [key, withReferences(item)]
    }),
  )
  const { type } = rest
  const takesReference =
    !root && (['integer', 'number', 'boolean', 'array'].includes(String(type)) || isBoundText(rest))
  if (!takesReference) {
    // A map whose settings are all commented out is empty, which YAML reads as null.
    return type === 'object' && !root ? { ...inner, type: ['object', 'null'] } : inner
  }
  const { description, default: fallback, ...constraint } = inner as Record<string, unknown>
  return {
    ...(description === undefined ? {} : { description }),
    ...(fallback === undefined ? {} : { default: fallback }),
    anyOf: [constraint, REFERENCE],
  }
}

/** A text of which not every one is right, so that a reference might not be either. */
function isBoundText(schema: JsonSchema): boolean {
  const { enum: words, const: only, pattern, format, minLength, maxLength } = schema
  return [words, only, pattern, format, minLength, maxLength].some((item) => item !== undefined)
}
