import { VarveError } from '@varve/core'

export function deadlineExceeded(
  name: string,
  deadlineMs: number,
  attempt: number,
  cause: unknown,
): VarveError {
  return new VarveError(
    `${name} did not finish within ${deadlineMs} ms (attempt ${attempt}); try again later`,
    {
      code: 'DEADLINE_EXCEEDED',
      retryable: true,
      cause,
      details: { name, deadlineMs, attempt },
    },
  )
}

export function circuitOpen(name: string, retryAfterMs: number, cause: unknown): VarveError {
  return new VarveError(
    `${name} is not called: it kept failing, and is tried again in ${Math.ceil(retryAfterMs)} ms; use another source`,
    {
      code: 'CIRCUIT_OPEN',
      retryable: true,
      cause,
      details: { name, retryAfterMs, countsForBreaker: false },
    },
  )
}
