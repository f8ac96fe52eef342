import { VarveError } from '@varve/core'

/** A provider was asked for something it cannot be asked for; the same request never succeeds. */
export function providerInvalidRequest(provider: string, message: string, details = {}): VarveError {
  return new VarveError(`${provider}: ${message}`, {
    code: 'PROVIDER_INVALID_REQUEST',
    details: { provider, countsForBreaker: false, ...details },
  })
}

export function providerClosed(provider: string): VarveError {
  return new VarveError(`${provider} was closed; create it again`, {
    code: 'PROVIDER_CLOSED',
    details: { provider },
  })
}

export function fileNotFound(file: string, cause: unknown): VarveError {
  return new VarveError(`${file} does not exist; check the path`, {
    code: 'FILE_NOT_FOUND',
    cause,
    details: { file },
  })
}

export function fileUnreadable(file: string, why: string, cause?: unknown): VarveError {
  return new VarveError(`${file} cannot be read: ${why}; give a CSV, CSV.gz or Parquet file`, {
    code: 'FILE_UNREADABLE',
    cause,
    details: { file, why },
  })
}

export function fileColumnsMissing(
  file: string,
  found: readonly string[],
  missing: readonly string[],
): VarveError {
  return new VarveError(
    `${file} lacks ${missing.join(', ')}; found the columns ${found.join(', ') || '(none)'}. ` +
      'Needed: symbol (or ticker), date (or time, timestamp, session), open, high, low, close, volume',
    { code: 'FILE_COLUMNS_MISSING', details: { file, found, missing } },
  )
}
