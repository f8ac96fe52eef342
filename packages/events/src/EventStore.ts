import { type Clock, type SqlClient, type SqlTx, VarveError, publish, systemClock } from '@varve/core'
import { EVENT_VERSIONS, type EventType, type NewEvent, type StoredEvent, parseEvent } from './types.ts'

/** Channel notified when events were committed; the payload is empty. */
export const EVENTS_CHANNEL = 'varve_events'

/** A place in the order of all events. */
export interface EventPosition {
  readonly transactionId: string
  readonly position: bigint
}

export interface ReadOptions {
  /** Only events after this place. */
  readonly after?: EventPosition
  readonly limit: number
  readonly types?: readonly EventType[]
  readonly streams?: readonly string[]
  /** Only events that occurred at or after this instant, milliseconds. */
  readonly from?: number
  /** Only events that occurred before this instant, milliseconds. */
  readonly to?: number
  /** Only events below this transaction id (see {@link EventStore.horizon}). */
  readonly below?: string
}

export interface EventCountFilter {
  readonly streams?: readonly string[]
  readonly after?: EventPosition
}

/** Append-only log of facts in the caller's own database and transaction. */
export interface EventStore {
  /**
   * Appends inside the caller's transaction; an id that is already stored is skipped. One statement whatever the
   * number of events; readers are woken when the transaction commits.
   *
   * Versions of a stream are strictly increasing, also under concurrent appenders: they queue at the stream.
   *
   * @throws `EVENT_INVALID`
   */
  append(
    tx: SqlTx,
    events: readonly NewEvent[],
  ): Promise<{ readonly appended: number; readonly duplicates: number }>
  /**
   * Events in the order (transaction id, position), only those below the oldest transaction still running: what
   * was read stays complete, nothing can slip in before it. Within a stream this order can differ from versions
   * when two transactions wrote to it at once.
   */
  read(options: ReadOptions, tx?: SqlTx): Promise<StoredEvent[]>
  /** All committed events of a stream by version. */
  readStream(stream: string, tx?: SqlTx): Promise<StoredEvent[]>
  /** Transaction id below which every event is final. */
  horizon(tx?: SqlTx): Promise<string>
  /** The last event's place below a transaction id, or `undefined`. */
  lastPosition(below: string, tx?: SqlTx): Promise<EventPosition | undefined>
  /** Number of stored events by type; types without any are left out. */
  countByType(tx?: SqlTx, filter?: EventCountFilter): Promise<Partial<Record<EventType, number>>>
}

export interface EventStoreOptions {
  readonly sql: SqlClient
  /** Gives `recordedAt`. @defaultValue `systemClock` */
  readonly clock?: Clock
}

interface EventRow {
  readonly id: string
  readonly type: EventType
  readonly stream: string
  readonly data: StoredEvent['data']
  readonly metadata: Record<string, unknown>
  readonly occurred_at: Date
  readonly version: bigint
  readonly schema_version: number
  readonly position: bigint
  readonly transaction_id: string
  readonly recorded_at: Date
}

const COLUMNS =
  'id::text, type, stream, data, metadata, occurred_at, version, schema_version, position, transaction_id::text AS transaction_id, recorded_at'

// The stream's counter row is locked until commit, so that appenders to one stream queue and see each other's
// last version. Streams are locked in order, or two appends could wait for each other. The counters are looked up
// in one object: Postgres expects a single row here and would join them by comparing everything with everything.
const APPEND = `
WITH input AS (
  SELECT DISTINCT ON (id) * FROM (
    SELECT (e->>'id')::uuid AS id, e->>'type' AS type, (e->>'schemaVersion')::int AS schema_version,
           e->>'stream' AS stream, e->'data' AS data, e->'metadata' AS metadata,
           to_timestamp((e->>'occurredAt')::float8 / 1000) AS occurred_at, ordinality
    FROM jsonb_array_elements($1::jsonb) WITH ORDINALITY AS list (e, ordinality)
  ) AS list ORDER BY id, ordinality
), fresh AS (
  SELECT i.*, row_number() OVER (PARTITION BY stream ORDER BY ordinality) AS place
  FROM input i WHERE NOT EXISTS (SELECT FROM events e WHERE e.id = i.id)
), counters AS (
  INSERT INTO event_streams AS s (stream, version)
  SELECT stream, count(*) FROM fresh GROUP BY stream ORDER BY stream
  ON CONFLICT (stream) DO UPDATE SET version = s.version + excluded.version
  RETURNING s.stream, s.version
), reached AS MATERIALIZED (
  SELECT jsonb_object_agg(stream, version) AS versions FROM counters
), inserted AS (
  INSERT INTO events (id, type, schema_version, stream, version, data, metadata, occurred_at, recorded_at)
  SELECT f.id, f.type, f.schema_version, f.stream,
         (reached.versions ->> f.stream)::bigint - (max(f.place) OVER (PARTITION BY f.stream)) + f.place, f.data, f.metadata, f.occurred_at,
         to_timestamp($2::float8 / 1000)
  FROM fresh f, reached
  ORDER BY f.ordinality
  ON CONFLICT (id) DO NOTHING
  RETURNING type
)
SELECT type, count(*)::int AS count, pg_notify('${EVENTS_CHANNEL}', '')::text AS notified FROM inserted GROUP BY type`

/** An event store over the tables of {@link eventsMigrations}. */
export function createEventStore({ sql, clock = systemClock }: EventStoreOptions): EventStore {
  return {
    async append(tx, events) {
      if (events.length === 0) return { appended: 0, duplicates: 0 }
      const payload = events.map((event) => {
        const { id, type, stream, data, metadata = {}, occurredAt } = parseEvent(event)
        return { id, type, stream, data, metadata, occurredAt, schemaVersion: EVENT_VERSIONS[type] }
      })
      const { rows } = await tx.query<{ type: string; count: number }>(APPEND, [
        JSON.stringify(payload),
        clock.now(),
      ])
      let appended = 0
      for (const { type, count } of rows) {
        appended += count
        publish('events', () => ({ type, count }))
      }
      return { appended, duplicates: events.length - appended }
    },

    async read(options, tx = sql) {
      const { after, limit, types, streams, from, to, below } = options
      if (!Number.isInteger(limit) || limit < 1) {
        throw new VarveError(`expected limit of 1 or more, was ${limit}`, {
          code: 'OPTION_INVALID',
          details: { limit },
        })
      }
      const params: unknown[] = []
      const use = (value: unknown): string => `$${params.push(value)}`
      const where = [
        below === undefined
          ? 'transaction_id < pg_snapshot_xmin(pg_current_snapshot())'
          : `transaction_id < ${use(below)}::xid8`,
      ]
      if (after !== undefined) {
        where.push(
          `(transaction_id, position) > (${use(after.transactionId)}::xid8, ${use(String(after.position))}::bigint)`,
        )
      }
      if (types !== undefined) where.push(`type = ANY (${use(types)}::text[])`)
      if (streams !== undefined) where.push(`stream = ANY (${use(streams)}::text[])`)
      if (from !== undefined) where.push(`occurred_at >= to_timestamp(${use(from)}::float8 / 1000)`)
      if (to !== undefined) where.push(`occurred_at < to_timestamp(${use(to)}::float8 / 1000)`)
      const { rows } = await tx.query<EventRow>(
        `SELECT ${COLUMNS} FROM events WHERE ${where.join(' AND ')} ORDER BY events.transaction_id, position LIMIT ${use(limit)}::int`,
        params,
      )
      return rows.map(toStoredEvent)
    },

    async readStream(stream, tx = sql) {
      const { rows } = await tx.query<EventRow>(
        `SELECT ${COLUMNS} FROM events WHERE stream = $1 ORDER BY version`,
        [stream],
      )
      return rows.map(toStoredEvent)
    },

    async horizon(tx = sql) {
      const { rows } = await tx.query<{ horizon: string }>(
        'SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS horizon',
      )
      return rows[0]!.horizon
    },

    async lastPosition(below, tx = sql) {
      const { rows } = await tx.query<{ transaction_id: string; position: bigint }>(
        `SELECT transaction_id::text AS transaction_id, position FROM events WHERE transaction_id < $1::xid8
         ORDER BY events.transaction_id DESC, position DESC LIMIT 1`,
        [below],
      )
      const [row] = rows
      return row === undefined ? undefined : { transactionId: row.transaction_id, position: row.position }
    },

    async countByType(tx = sql, { streams, after } = {}) {
      const params: unknown[] = []
      const use = (value: unknown): string => `$${params.push(value)}`
      const where = ['true']
      if (streams !== undefined) where.push(`stream = ANY (${use(streams)}::text[])`)
      if (after !== undefined) {
        where.push(
          `(transaction_id, position) > (${use(after.transactionId)}::xid8, ${use(String(after.position))}::bigint)`,
        )
      }
      const { rows } = await tx.query<{ type: EventType; count: bigint }>(
        `SELECT type, count(*) AS count FROM events WHERE ${where.join(' AND ')} GROUP BY type ORDER BY type`,
        params,
      )
      return Object.fromEntries(rows.map(({ type, count }) => [type, Number(count)]))
    },
  }
}

function toStoredEvent(row: EventRow): StoredEvent {
  return {
    id: row.id,
    type: row.type,
    stream: row.stream,
    data: row.data,
    metadata: row.metadata,
    occurredAt: row.occurred_at.getTime(),
    version: Number(row.version),
    schemaVersion: row.schema_version,
    position: row.position,
    transactionId: row.transaction_id,
    recordedAt: row.recorded_at.getTime(),
  } as StoredEvent
}

/** True when `a` comes after `b`. */
export function isAfter(a: EventPosition, b: EventPosition): boolean {
  const [left, right] = [BigInt(a.transactionId), BigInt(b.transactionId)]
  return left === right ? a.position > b.position : left > right
}
