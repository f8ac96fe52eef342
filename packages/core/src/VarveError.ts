export interface VarveErrorOptions {
  /** Stable, upper snake case; part of the public API. */
  readonly code: string
  /** Whether the same call may succeed later without a change. @defaultValue `false` */
  readonly retryable?: boolean
  readonly cause?: unknown
  /** Plain JSON, without secrets. */
  readonly details?: Readonly<Record<string, unknown>>
}

/** Base of every error Varve throws. Test by code with {@link isVarveError}, not by `instanceof`. */
export class VarveError extends Error {
  readonly code: string
  readonly retryable: boolean
  readonly details: Readonly<Record<string, unknown>>

  constructor(message: string, options: VarveErrorOptions) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = options.code
    this.retryable = options.retryable ?? false
    this.details = options.details ?? {}
  }
}

/** True for an error of Varve's, whichever copy of the package made it; with `code`, only for that code. */
export function isVarveError(error: unknown, code?: string): error is VarveError {
  return (
    error instanceof Error &&
    'code' in error &&
    typeof error.code === 'string' &&
    'retryable' in error &&
    'details' in error &&
    (code === undefined || error.code === code)
  )
}

/** The text of anything thrown. */
export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
