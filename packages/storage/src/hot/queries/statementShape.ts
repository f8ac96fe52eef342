/** What a statement does. */
export type StatementType =
  'select' | 'insert' | 'update' | 'delete' | 'copy' | 'ddl' | 'transaction' | 'other'

/** What a statement's own comment says of it: `/* name: bars.read, priority: high *\/ SELECT …`. */
export interface StatementLabel {
  readonly name: string
  /** Any word; `normal` when the comment names none. */
  readonly priority: string
}

const LABEL = /^\s*\/\*\s*name:\s*([\w.:/-]+)\s*(?:,\s*priority:\s*(\w+)\s*)?\*\//

/** The label a statement begins with, if any. */
export function labelOf(text: string): StatementLabel | undefined {
  const match = LABEL.exec(text)
  return match === null ? undefined : { name: match[1]!, priority: match[2] ?? 'normal' }
}

/** Comments, quoted values (closed or not), dollar-quoted bodies, quoted names, parameters, numbers, white space. */
const TOKEN =
  /\/\*[\s\S]*?(?:\*\/|$)|--[^\n]*|[eE]'(?:[^'\\]|\\[\s\S]|'')*(?:'|$)|'(?:[^']|'')*(?:'|$)|\$([A-Za-z_]\w*)?\$[\s\S]*?(?:\$\1\$|$)|"(?:[^"]|"")*(?:"|$)|\$\d+|(?<![\w$])\d[\w.]*|\s+/g

/** The statement with every value replaced and its white space joined. */
function withoutValues(text: string): string {
  return text
    .replaceAll(TOKEN, (token) => {
      if (/^(?:\s|\/\*|--)/.test(token)) return ' '
      return token.startsWith('"') || /^\$\d/.test(token) ? token : '?'
    })
    .replaceAll(/\s+/g, ' ')
    .trim()
}

/**
 * A statement without its values: two calls that differ only in values, or in how many there are in a list, have
 * the same shape. No quoted text and no number of the statement survives.
 */
export function shapeOf(text: string): string {
  return withoutValues(text)
    .replaceAll(/(?:\?|\$\d+)(?:\s*,\s*(?:\?|\$\d+))+/g, '…')
    .replaceAll(/\(…\)(?:\s*,\s*\(…\))+/g, '(…), …')
}

/** How many parameters a statement takes: the highest `$n` in it. */
export function parametersOf(text: string): number {
  return Math.max(0, ...[...withoutValues(text).matchAll(/\$(\d+)/g)].map(([, n]) => Number(n)))
}

const TYPES: readonly (readonly [RegExp, StatementType])[] = [
  [/^(?:select|values|table)\b/i, 'select'],
  [/^(?:insert|merge)\b/i, 'insert'],
  [/^update\b/i, 'update'],
  [/^(?:delete|truncate)\b/i, 'delete'],
  [/^copy\b/i, 'copy'],
  [/^(?:create|alter|drop|comment|reindex|vacuum|analyze|cluster|grant|revoke)\b/i, 'ddl'],
  [/^(?:begin|start|commit|end|rollback|savepoint|release|abort|prepare transaction)\b/i, 'transaction'],
]

/** What a statement of this shape does; a `WITH` counts as what changes data in it, else as a read. */
export function typeOf(shape: string): StatementType {
  const start = shape.replace(/^\(+/, '')
  if (/^with\b/i.test(start)) {
    const change = /\b(insert into|update|delete from|merge into)\b/i.exec(start)?.[1]?.toLowerCase()
    if (change === undefined) return 'select'
    return change.startsWith('update') ? 'update' : change.startsWith('delete') ? 'delete' : 'insert'
  }
  return TYPES.find(([pattern]) => pattern.test(start))?.[1] ?? 'other'
}

/** The first table a statement of this shape names, if one is found. */
export function tableOf(shape: string): string | undefined {
  return /\b(?:from|into|update|copy|table|join)\s+(?:only\s+|if\s+(?:not\s+)?exists\s+)?("[^"]+"|[\w.]+)/i
    .exec(shape)?.[1]
    ?.replaceAll('"', '')
}
