import { VarveError, errorMessage, isVarveError } from '@varve/core'
import type { Job } from './jobTypes.ts'

export function jobLostError(queue: string, jobs: readonly Job[], held: number): VarveError {
  return new VarveError(
    `${jobs.length - held} of ${jobs.length} jobs of queue ${queue} are no longer this worker's: they took longer than the heartbeat allows and were given to another; roll back and leave them`,
    { code: 'JOB_LOST', details: { queue, jobs: jobs.length, held } },
  )
}

export function notCompletedError(queue: string, count: number): VarveError {
  return new VarveError(
    `the handler of queue ${queue} returned without completing ${count} of its jobs; call complete inside its transaction for every job`,
    { code: 'JOB_NOT_COMPLETED', retryable: true, details: { queue, count } },
  )
}

export function engineStoppedError(): VarveError {
  return new VarveError('the job engine is not running; call start first', { code: 'JOB_ENGINE_STOPPED' })
}

export function unknownQueueError(queue: string, known: readonly string[]): VarveError {
  return new VarveError(`queue "${queue}" is not one of this engine's: ${known.join(', ')}`, {
    code: 'QUEUE_UNKNOWN',
    details: { queue, known },
  })
}

/** Whether a failed attempt is worth another one. */
export function isWorthRetry(error: unknown): boolean {
  return isVarveError(error) ? error.retryable : true
}

/** What is kept of an error with the job. */
export function describeError(error: unknown): { code?: string; message: string } {
  return isVarveError(error) ? { code: error.code, message: error.message } : { message: errorMessage(error) }
}

/** A pause the error itself asks for, such as a provider's Retry-After. */
export function askedDelayMs(error: unknown): number {
  const asked = isVarveError(error) ? error.details.retryAfterMs : undefined
  return typeof asked === 'number' && Number.isFinite(asked) && asked > 0 ? asked : 0
}
