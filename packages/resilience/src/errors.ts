import { VarveError } from '@varve/core'

export function resilienceOptionsInvalid(what: string, found: unknown): VarveError {
  return new VarveError(`expected ${what}, was ${String(found)}; correct the resilience options`, {
    code: 'RESILIENCE_OPTIONS_INVALID',
    details: { expected: what, found: String(found) },
  })
}

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
