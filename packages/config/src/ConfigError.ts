import { VarveError } from '@varve/core'

export type ConfigProblemCode =
  | 'CONFIG_NOT_FOUND'
  | 'CONFIG_UNREADABLE'
  | 'CONFIG_UNKNOWN_FILE'
  | 'CONFIG_SYNTAX'
  | 'CONFIG_DUPLICATE_KEY'
  | 'CONFIG_UNKNOWN_KEY'
  | 'CONFIG_INVALID_VALUE'
  | 'CONFIG_MISSING_KEY'
  | 'CONFIG_VARIABLE_MISSING'
  | 'CONFIG_VARIABLE_FORBIDDEN'

/** One fault of one file. */
export interface ConfigProblem {
  /** Name of the file inside the configuration directory. */
  readonly file: string
  /** Counted from 1. */
  readonly line: number
  readonly column: number
  readonly code: ConfigProblemCode
  /** Where in the document: `layers.2.criteria.0.metric`; empty for the document itself. */
  readonly path: string
  readonly message: string
}

/** Every fault found, in one error. Its text is one `FILE.yaml:LINE:COLUMN code message` per line. */
export class ConfigError extends VarveError {
  readonly problems: readonly ConfigProblem[]

  constructor(problems: readonly ConfigProblem[]) {
    super(
      problems
        .map((item) => `${item.file}:${item.line}:${item.column} ${item.code} ${item.message}`)
        .join('\n'),
      {
        code: 'CONFIG_INVALID',
        details: { problems },
      },
    )
    this.problems = problems
  }
}
