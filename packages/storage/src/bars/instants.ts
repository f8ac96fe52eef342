import { VarveError } from '@varve/core'

/** Bars lie between these instants; beyond them microseconds are no longer exact in a double. */
export const MIN_TIME = Date.UTC(1800, 0, 1)
export const MAX_TIME = Date.UTC(2200, 0, 1)

/** The nearest instant the store can hold; infinities become its ends. */
export function clampTime(time: number): number {
  if (Number.isNaN(time))
    throw new VarveError('expected an instant in milliseconds, was NaN', { code: 'OPTION_INVALID' })
  return Math.min(MAX_TIME, Math.max(MIN_TIME, Math.round(time)))
}

/** An instant as an SQL literal. Made of digits only, so it may stand in a statement that takes no parameters. */
export function timeLiteral(time: number): string {
  return `'${new Date(clampTime(time)).toISOString()}'::timestamptz`
}

/** Row ids as an SQL array literal, for statements that take no parameters. */
export function idArrayLiteral(ids: readonly number[]): string {
  for (const id of ids) {
    if (!Number.isSafeInteger(id))
      throw new VarveError(`expected an id, was ${id}`, { code: 'OPTION_INVALID' })
  }
  return `'{${ids.join(',')}}'::int[]`
}
