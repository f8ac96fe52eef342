import { stringify } from 'yaml'
import { allowedOf, inputSchema, type JsonSchema, rangeOf, typeOf } from './describe.ts'
import type { ConfigSections } from './types.ts'

export interface TemplateOptions {
  /** What the file is for; written above it. */
  readonly purpose?: string
  /** Where the editor finds the schema. @defaultValue `./.schema/SECTION.json` */
  readonly schemaPath?: string
}

/**
 * The text of a file with every setting commented out at its default and its meaning above it. As it stands it
 * changes nothing.
 */
export function template(section: string, sections: ConfigSections, options: TemplateOptions = {}): string {
  const { purpose, schemaPath = `./.schema/${section}.json` } = options
  const lines = [...schemaLine(schemaPath)]
  if (purpose !== undefined) lines.push(...wrapped(purpose, '# '))
  lines.push('# Every line that is commented out is the default.', '')
  lines.push(...linesOf(inputSchema(sections[section]!), ''))
  return `${lines.join('\n').trimEnd()}\n`
}

/** Tells the YAML language server where the schema lies. */
export function schemaLine(schemaPath: string): string[] {
  return [`# yaml-language-server: $schema=${schemaPath}`]
}

/** @param inOptionalGroup - the group itself is commented out, and what it cannot do without is not */
function linesOf(schema: JsonSchema, indent: string, inOptionalGroup = false): string[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, child]) => {
    const group = child.properties !== undefined
    const allowed = group ? '' : ` (${allowedOf({ type: typeOf(child), range: rangeOf(child) })})`
    const lines: string[] = []
    if (child.description !== undefined || allowed !== '')
      lines.push(...wrapped(`${child.description ?? name}${allowed}`, `${indent}# `))
    if (group) {
      const optional = isOptionalGroup(child)
      const below = linesOf(child, `${indent}  `, optional)
      if (optional) lines.push(...[`${indent}${name}:`, ...below].map((line) => commented(line, indent)))
      else lines.push(`${indent}${name}:`, ...below)
    } else {
      const needed = inOptionalGroup && schema.required?.includes(name) === true
      lines.push(...valueLines(name, child).map((line) => `${indent}${needed ? '' : '# '}${line}`))
    }
    return [...lines, ...(indent === '' ? [''] : [])]
  })
}

/** A group that means something by being there: it has settings without a default. */
function isOptionalGroup(schema: JsonSchema): boolean {
  return (schema.required ?? []).length > 0
}

/** Taking `# ` away from each line of a group gives the group, with its comments still comments. */
function commented(line: string, indent: string): string {
  return `${indent}# ${line.slice(indent.length)}`
}

function valueLines(name: string, schema: JsonSchema): string[] {
  const example = schema.default ?? exampleOf(schema)
  if (example === undefined) return [`${name}:`]
  const flow = stringify({ [name]: example }, { lineWidth: 0, collectionStyle: 'flow' }).trim()
  // A map at the top comes out as `{ name: value }`.
  return flow
    .replace(/^\{\s*/, '')
    .replace(/\s*\}$/, '')
    .split('\n')
}

/** Something to start from where there is no default; `undefined` where only the reader can know. */
function exampleOf(schema: JsonSchema): unknown {
  if (schema.default === null) return null
  const reference = /\$\{[A-Z_]+\}/.exec(schema.description ?? '')
  if (reference !== null) return reference[0]
  if (schema.enum !== undefined) return schema.enum[0]
  if (schema.type === 'array') return []
  if (schema.type === 'object') return {}
  return schema.minimum
}

/** Text in lines of at most 100 characters. */
function wrapped(text: string, prefix: string): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && prefix.length + line.length + 1 + word.length > 100) {
      lines.push(prefix + line)
      line = word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, prefix + line]
}
