import { shapeOf } from '../queries/statementShape.ts'

/** Who has a connection, written down while it is held. One object per check-out, so that keeping it is cheap. */
export interface Holder {
  /** What the connection was taken for: `query`, `transaction`, `copyIn`, … */
  readonly label: string
  /** When it was handed out, on the monotonic clock. */
  sinceMs: number
  /** Made when the connection was asked for; its text is formatted when somebody reads it. */
  readonly origin: Error | undefined
  /** Text of the statement sent last. */
  statement: string | undefined
  /** Whether that statement still runs. */
  running: boolean
  /** Whether it has been reported as held too long. */
  reported: boolean
}

/** Who has a connection, for people. */
export interface PoolHolder {
  /** What the connection was taken for: `query`, `exec`, `transaction`, `copyIn`, `copyOut`. */
  readonly label: string
  /** Milliseconds since it was handed out. */
  readonly heldMs: number
  /** `running` while the server works on a statement; `idle` while the program does something else. */
  readonly activity: 'running' | 'idle'
  /** Beginning of the statement sent last, without its values. */
  readonly statement?: string
  /** Where in the program it was taken, one frame per line; missing when `holderStacks` is off. */
  readonly stack?: string
}

/** A new holder, not yet served. */
export function createHolder(label: string, withStack: boolean): Holder {
  return {
    label,
    sinceMs: 0,
    origin: withStack ? new Error(label) : undefined,
    statement: undefined,
    running: false,
    reported: false,
  }
}

/** What a person may read of a holder. */
export function toPoolHolder(holder: Holder, nowMs: number): PoolHolder {
  return {
    label: holder.label,
    heldMs: Math.round(nowMs - holder.sinceMs),
    activity: holder.running ? 'running' : 'idle',
    ...(holder.statement === undefined ? {} : { statement: shapeOf(holder.statement).slice(0, 120) }),
    ...(holder.origin === undefined ? {} : { stack: callersOf(holder.origin) }),
  }
}

/** One holder in one phrase. */
export function describeHolder({ label, heldMs, activity, statement }: PoolHolder): string {
  const what =
    statement === undefined ? '' : ` ${activity === 'running' ? 'running' : 'after'} "${statement}"`
  return `${label} for ${heldMs} ms${what}`
}

/** Frames of the program; those of the pool and the client themselves say nothing. */
function callersOf(origin: Error): string {
  const frames = (origin.stack ?? '').split('\n').slice(1)
  const foreign = frames.filter(
    (frame) => !/[\\/]hot[\\/](?:pool[\\/](?:holders|ConnectionPool)|PostgresClient)\.[jt]s/.test(frame),
  )
  return (foreign.length === 0 ? frames : foreign).map((frame) => frame.trim()).join('\n')
}
