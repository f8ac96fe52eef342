import { type PoolHolder, describeHolder } from './holders.ts'
import type { PoolOptions } from './options.ts'

/** A pool of connections at one moment. */
export interface PoolStatus {
  /** Connections that exist. */
  readonly size: number
  /** The most there may be. */
  readonly maxConnections: number
  readonly idle: number
  readonly inUse: number
  /** Connections being opened or tried. */
  readonly opening: number
  /** Connections above `maxConnections - overflow`. */
  readonly overflow: number
  /** Callers waiting for a connection. */
  readonly waiting: number
  /** Connections found dead within the last `invalidWindowMs`. */
  readonly invalid: number
  /** Connections opened since the client was made. */
  readonly created: number
  /** Connections that ended since the client was made, whatever the reason. */
  readonly closed: number
  /** Callers that waited too long since the client was made. */
  readonly timedOut: number
  /** `inUse / maxConnections`, 0 to 1. */
  readonly usage: number
  /** How long the longest-held connection has been held, milliseconds; 0 when none is. */
  readonly longestHeldMs: number
  /** Whether the server was lost and has not answered since. */
  readonly serverLost: boolean
  /** `usage < healthyUsage`, `invalid < healthyInvalid`, and the server is not lost. */
  readonly healthy: boolean
  /** What is wrong, one sentence each. */
  readonly warnings: readonly string[]
  /** What to do about it, one sentence each. */
  readonly recommendations: readonly string[]
  /** Connections in use, longest held first. */
  readonly holders: readonly PoolHolder[]
}

/** The counted part of a status; the rest follows from it. */
export type PoolCounts = Omit<
  PoolStatus,
  'usage' | 'longestHeldMs' | 'healthy' | 'warnings' | 'recommendations' | 'overflow' | 'maxConnections'
>

/**
 * A status with its judgement. The rule of thumb for leaks: more than twice as many connections in use as idle
 * ones, and one of them held longer than `heldWarningMs`.
 */
export function judgePool(counts: PoolCounts, options: PoolOptions): PoolStatus {
  const { maxConnections, overflow: allowed, healthyUsage, healthyInvalid, heldWarningMs } = options
  const { size, idle, inUse, waiting, invalid, timedOut, serverLost, holders } = counts
  const usage = inUse / maxConnections
  const longestHeldMs = holders[0]?.heldMs ?? 0
  const warnings: string[] = []
  const recommendations: string[] = []
  const tell = (warning: string, recommendation: string): void => {
    warnings.push(warning)
    recommendations.push(recommendation)
  }
  const long = heldWarningMs === 0 ? [] : holders.filter((holder) => holder.heldMs > heldWarningMs)
  if (serverLost) {
    tell(
      'The server was lost and does not answer yet.',
      'Check that Postgres runs and is reachable; callers are served as soon as it is back.',
    )
  }
  if (usage >= healthyUsage) {
    tell(
      `${inUse} of ${maxConnections} connections are in use.`,
      waiting > 0
        ? `${waiting} callers wait: raise maxConnections if the server has room, or hold connections for a shorter time.`
        : 'Raise maxConnections, or allow some overflow for peaks.',
    )
  }
  if (invalid >= healthyInvalid) {
    tell(
      `${invalid} connections were found dead lately.`,
      'Look for restarts of the server, or a firewall that drops idle connections: lower idleTimeoutMs below its limit.',
    )
  }
  if (long.length > 0 && inUse > 2 * idle) {
    tell(
      `${long.length} of ${inUse} connections in use have been held for more than ${heldWarningMs} ms and ${idle} are idle: this looks like a leak.`,
      `Look at ${describeHolder(long[0]!)}: end its transaction, or read its output to the end.`,
    )
  } else if (long.length > 0) {
    tell(
      `${describeHolder(long[0]!)} is held longer than ${heldWarningMs} ms.`,
      'Do slow work, such as calls to other services, outside the transaction.',
    )
  }
  if (timedOut > 0 && usage < healthyUsage) {
    tell(
      `${timedOut} callers have waited in vain since the start.`,
      'Peaks are higher than the pool: allow some overflow, or raise waitTimeoutMs.',
    )
  }
  return {
    ...counts,
    maxConnections,
    overflow: Math.max(0, size - (maxConnections - allowed)),
    usage,
    longestHeldMs,
    healthy: usage < healthyUsage && invalid < healthyInvalid && !serverLost,
    warnings,
    recommendations,
  }
}
