import { errorMessage, isVarveError } from '@varve/core'

/** Exit codes: 0 done, 1 failed, 2 wrong use of the command line, 130 interrupted. */
export const EXIT_FAILED = 1
export const EXIT_INTERRUPTED = 130

/** Errors that list everything that is wrong, one line each. */
const MANY_LINES = new Set([
  'CONFIG_INVALID',
  'CONFIG_MIGRATION_FAILED',
  'STARTUP_REFUSED',
  'CREDENTIALS_INVALID',
])

/**
 * Writes an error for people on standard error: one line with its code, or, for configuration, one line per fault.
 *
 * @returns the exit code
 */
export function printError(error: unknown): number {
  if (isVarveError(error, 'INTERRUPTED')) {
    console.error('varve: interrupted; what was committed stays, run the command again to go on')
    return EXIT_INTERRUPTED
  }
  if (isVarveError(error) && MANY_LINES.has(error.code)) {
    if (error.code !== 'CONFIG_INVALID') console.error(`varve: ${error.code}:`)
    console.error(error.message)
    return EXIT_FAILED
  }
  const code = isVarveError(error) ? error.code : 'UNEXPECTED'
  console.error(`varve: ${code}: ${errorMessage(error).replaceAll(/\s*\n\s*/g, ' ')}`)
  if (process.env.VARVE_DEBUG !== undefined && error instanceof Error) console.error(error.stack)
  return EXIT_FAILED
}
