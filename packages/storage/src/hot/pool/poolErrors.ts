import { VarveError } from '@varve/core'
import { type PoolHolder, describeHolder } from './holders.ts'

const NAMED_HOLDERS = 3

/**
 * Nobody gave a connection back in time.
 *
 * @param holders - who has them, longest first
 * @returns `POOL_EXHAUSTED`, retryable
 */
export function exhaustedError(
  waitedMs: number,
  maxConnections: number,
  waiting: number,
  holders: readonly PoolHolder[],
): VarveError {
  const longest = holders.slice(0, NAMED_HOLDERS)
  const who = longest.length === 0 ? '' : `; longest held: ${longest.map(describeHolder).join(', ')}`
  return new VarveError(
    `no connection became free within ${Math.round(waitedMs)} ms: all ${maxConnections} are in use and ${waiting} more callers wait${who}; ` +
      'shorten the work done while a connection is held, or raise maxConnections',
    {
      code: 'POOL_EXHAUSTED',
      retryable: true,
      details: {
        waitedMs: Math.round(waitedMs),
        maxConnections,
        waiting,
        holders: longest.map(({ label, heldMs, activity, statement }) => ({
          label,
          heldMs,
          activity,
          statement,
        })),
      },
    },
  )
}
