import { VarveError } from '@varve/core'

export type ConfigProblemCode =
  | 'CONFIG_NOT_FOUND'
  | 'CONFIG_UNREADABLE'
  | 'CONFIG_UNKNOWN_FILE'
  | 'CONFIG_ENCODING'
  | 'CONFIG_TOO_LARGE'
  | 'CONFIG_TOO_DEEP'
  | 'CONFIG_SYNTAX'
  | 'CONFIG_TAG'
  | 'CONFIG_ALIASES'
  | 'CONFIG_DUPLICATE_KEY'
  | 'CONFIG_UNKNOWN_KEY'
  | 'CONFIG_INVALID_VALUE'
  | 'CONFIG_MISSING_KEY'
  | 'CONFIG_CROSS_FIELD'
  | 'CONFIG_PLACEHOLDER'
  | 'CONFIG_VARIABLE_MISSING'
  | 'CONFIG_VARIABLE_BLANK'
  | 'CONFIG_VARIABLE_FORBIDDEN'
  | 'CONFIG_VARIABLE_INVALID'
  | 'CONFIG_SUBSTITUTION_CYCLE'
  | 'CONFIG_SECRET_MISSING'
  | 'CONFIG_SECRET_BLANK'
  | 'CONFIG_ENVIRONMENT'

/** One fault of one file. */
export interface ConfigProblem {
  /** Relative to the configuration folder; `environment` or `--set` where no file is at fault. */
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  readonly column: number
  readonly code: ConfigProblemCode
  /** Key of the setting; empty for the file itself. */
  readonly key: string
  readonly message: string
}

/** Every fault found, in one error. Its text is one `FILE:LINE:COLUMN CODE message` per line. */
export class ConfigError extends VarveError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(problems.map(formatProblem).join('\n'), { code: 'CONFIG_INVALID', details: { problems } })
    this.problems = problems
  }
}

/** `storage.yaml:3:14 CONFIG_INVALID_VALUE hot.batchSize: expected …` */
export function formatProblem({ file, line, column, code, message }: ConfigProblem): string {
  return `${file}:${line}:${column} ${code} ${message}`
}

/** Where a problem stands. */
export interface Place {
  readonly file: string
  readonly line?: number | undefined
  readonly column?: number | undefined
}

/** A problem whose texts are safe to print, whatever the file holds. */
export function problem(code: ConfigProblemCode, place: Place, message: string, key = ''): ConfigProblem {
  return {
    file: printable(place.file),
    line: place.line ?? 1,
    column: place.column ?? 1,
    code,
    key: printable(key),
    message: printable(message),
  }
}

/** Control characters, line and paragraph separators, and what turns the direction of text around. */
const UNPRINTABLE = /[\p{Cc}\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/gu
const LONGEST_WORD = 120

/** Keys and values of a file may hold anything; a report stays one line of readable text for each problem. */
function printable(text: string): string {
  return text
    .replace(UNPRINTABLE, (character) => `\\u{${character.codePointAt(0)!.toString(16)}}`)
    .replace(/\S{160,}/g, (word) => `${word.slice(0, LONGEST_WORD)}…`)
}
