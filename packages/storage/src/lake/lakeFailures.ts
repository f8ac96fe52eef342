import { type VarveError, isVarveError } from '@varve/core'

const CODES: ReadonlySet<string> = new Set([
  'LAKE_UNREADABLE',
  'LAKE_UNREACHABLE',
  'LAKE_ACCESS_DENIED',
  'ENCRYPTED_DATA_DAMAGED',
])

/** Whether an error says that the lake, or a file of it, cannot be read: what an answer in part may stand for. */
export function isLakeFailure(error: unknown): error is VarveError {
  return isVarveError(error) && CODES.has(error.code)
}
