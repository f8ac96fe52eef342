import {
  type Clock,
  type SqlClient,
  type SqlTx,
  checkedOptions,
  errorMessage,
  publish,
  systemClock,
} from '@varve/core'
import { EVENTS_CHANNEL, type EventPosition, type EventStore, isAfter } from './EventStore.ts'
import { type SubscriptionSettings, subscriptionOptionsSchema } from './options.ts'
import type { EventType, StoredEvent } from './types.ts'
import { createWakeUp } from './wakeUp.ts'

/** Its numbers, with their defaults: {@link subscriptionOptionsSchema}. */
export interface SubscriptionOptions extends SubscriptionSettings {
  readonly sql: SqlClient
  readonly store: EventStore
  /** Names the place in the log; processes using the same name share the work. */
  readonly name: string
  /** Only these types; the others are passed over. */
  readonly types?: readonly EventType[]
  /**
   * Handles a batch. What it does through `tx` commits together with the new place in the log, hence exactly
   * once. When it throws nothing is kept and the batch comes again.
   */
  readonly handler: (tx: SqlTx, events: StoredEvent[]) => Promise<void>
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** Reads the log from where it stopped last time, each event once. */
export interface Subscription extends AsyncDisposable {
  /** Handles one batch; returns how many events it held. Rejects with the handler's error. */
  runOnce(signal?: AbortSignal): Promise<number>
  /** Handles batches until there is nothing more to read; returns the number of events. */
  drain(signal?: AbortSignal): Promise<number>
  /** Handles what is there and what comes, until {@link stop}. Errors are published and tried again. */
  start(): void
  /** Ends the loop after the batch under way. */
  stop(): Promise<void>
}

const START: EventPosition = { transactionId: '0', position: 0n }

export function createSubscription(options: SubscriptionOptions): Subscription {
  const { sql, store, name, types, handler, clock = systemClock } = options
  const { batchSize, pollMs, firstRetryMs } = checkedOptions(
    subscriptionOptionsSchema,
    options,
    'a subscription',
  )
  let running: { readonly abort: AbortController; readonly done: Promise<void> } | undefined
  let registered = false

  const register = async (): Promise<void> => {
    if (registered) return
    await sql.query(
      'INSERT INTO event_subscriptions (name, transaction_id, position) VALUES ($1, $2::xid8, $3::bigint) ON CONFLICT DO NOTHING',
      [name, START.transactionId, String(START.position)],
    )
    registered = true
  }

  /** A look without a lock, so that an idle subscription costs one statement. */
  const somethingNew = async (): Promise<boolean> => {
    const { rows } = await sql.query<{ found: boolean }>(
      `SELECT EXISTS (SELECT FROM events e, event_subscriptions s WHERE s.name = $1
         AND (e.transaction_id, e.position) > (s.transaction_id, s.position)
         AND e.transaction_id < pg_snapshot_xmin(pg_current_snapshot())) AS found`,
      [name],
    )
    return rows[0]!.found
  }

  /** One batch; `undefined` when the log had nothing at all. */
  const step = async (signal?: AbortSignal): Promise<number | undefined> => {
    signal?.throwIfAborted()
    await register()
    if (!(await somethingNew())) return undefined
    return sql.tx(async (tx) => {
      // The row lock lets one process at a time work on this name; the next one sees where it stopped.
      const { rows } = await tx.query<{ transaction_id: string; position: bigint }>(
        'SELECT transaction_id::text AS transaction_id, position FROM event_subscriptions WHERE name = $1 FOR UPDATE',
        [name],
      )
      const after = { transactionId: rows[0]!.transaction_id, position: rows[0]!.position }
      // Everything below the horizon is final, so the reads below agree with each other.
      const below = await store.horizon(tx)
      const events = await store.read({ after, limit: batchSize, types, below }, tx)
      if (events.length > 0) {
        signal?.throwIfAborted()
        await handler(tx, events)
      }
      // A short batch means the rest was of other types: pass over it, or every look would scan it again.
      const reached = events.length < batchSize ? await store.lastPosition(below, tx) : events.at(-1)
      if (reached !== undefined && isAfter(reached, after)) {
        await tx.query(
          `UPDATE event_subscriptions SET transaction_id = $2::xid8, position = $3::bigint, updated_at = clock_timestamp()
           WHERE name = $1`,
          [name, reached.transactionId, String(reached.position)],
        )
      }
      return events.length
    })
  }

  const drain = async (signal?: AbortSignal): Promise<number> => {
    let total = 0
    for (;;) {
      const handled = await step(signal)
      if (handled === undefined) return total
      total += handled
    }
  }

  const loop = async (signal: AbortSignal): Promise<void> => {
    const wake = createWakeUp(clock)
    let stopListening: (() => Promise<void>) | undefined
    let retryMs = pollMs
    try {
      while (!signal.aborted) {
        try {
          stopListening ??= await sql.listen(EVENTS_CHANNEL, () => {
            retryMs = firstRetryMs
            wake.now()
          })
          if ((await drain(signal)) > 0) retryMs = firstRetryMs
        } catch (error) {
          if (signal.aborted) break
          retryMs = pollMs
          publish('log', () => ({
            level: 'error',
            component: 'events',
            message: `subscription ${name}: ${errorMessage(error)}`,
          }))
        }
        await wake.wait(retryMs, signal)
        retryMs = Math.min(pollMs, retryMs * 2)
      }
    } finally {
      await stopListening?.().catch(() => undefined)
    }
  }

  const stop = async (): Promise<void> => {
    const current = running
    running = undefined
    current?.abort.abort()
    await current?.done
  }

  return {
    runOnce: async (signal) => (await step(signal)) ?? 0,
    drain,
    start() {
      if (running !== undefined) return
      const abort = new AbortController()
      running = { abort, done: loop(abort.signal) }
    },
    stop,
    [Symbol.asyncDispose]: stop,
  }
}
