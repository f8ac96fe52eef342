import {
  type BarSource,
  type DataType,
  type Interval,
  type SessionDate,
  type SqlTx,
  canonicalJson,
  checkedOptions,
  formatScaled,
  parseScaled,
  sha256Hex,
} from '@varve/core'
import { type QuarantineSettings, quarantineOptionsSchema } from './options.ts'
import { ensureSources, sourceName, toBarSource } from './sources.ts'

/** `error`: the row was kept out of the store. `warning`: it was stored and marked. */
export type QuarantineSeverity = 'error' | 'warning'

/** A row stopped or marked by validation. */
export interface QuarantineRow {
  readonly symbol: string
  readonly dataType: DataType
  readonly interval: Interval | null
  /** Start of the bar, milliseconds UTC; `null` when it could not be read. */
  readonly time: number | null
  /** Session the row belongs to; `null` when it could not be told. */
  readonly session: SessionDate | null
  readonly rule: string
  readonly severity: QuarantineSeverity
  readonly message: string
  /** File and row (`bars.csv#17`), or the request it came from. */
  readonly origin: string
  /** The source row as text values, plain JSON. */
  readonly raw: unknown
  /** Scaled by 10^6; `null` where unknown. */
  readonly open: bigint | null
  readonly high: bigint | null
  readonly low: bigint | null
  readonly close: bigint | null
  readonly volume: bigint | null
  readonly source: BarSource | null
  /** When it was found, milliseconds UTC. */
  readonly detectedAt: number
}

export interface QuarantineFilter {
  readonly symbols?: readonly string[]
  readonly dataType?: DataType
  readonly interval?: Interval | null
  readonly rule?: string
  readonly severity?: QuarantineSeverity
  /** @defaultValue no limit */
  readonly limit?: number
}

export interface RuleCount {
  readonly rule: string
  readonly severity: QuarantineSeverity
  readonly count: number
}

/** Keeps rows that failed validation. Every method takes the transaction it works in. */
export interface QuarantineStore {
  /** Adds rows; a row already there (same place, rule, origin and content) changes nothing. */
  record(tx: SqlTx, rows: readonly QuarantineRow[]): Promise<{ readonly inserted: number }>
  /** Rows by symbol, time and rule. */
  load(tx: SqlTx, filter?: QuarantineFilter): Promise<QuarantineRow[]>
  /** Rows by rule. */
  counts(tx: SqlTx): Promise<RuleCount[]>
  /** Sessions of bars that hold a row with severity `error`, ascending, per symbol. */
  suspectSessions(
    tx: SqlTx,
    interval: Interval,
    symbols?: readonly string[],
  ): Promise<ReadonlyMap<string, readonly SessionDate[]>>
}

interface StoredRow {
  readonly symbol: string
  readonly data_type: DataType
  readonly interval: Interval | ''
  readonly ts: Date | null
  readonly session: SessionDate | null
  readonly rule: string
  readonly severity: QuarantineSeverity
  readonly message: string
  readonly origin: string
  readonly raw: unknown
  readonly open: string | null
  readonly high: string | null
  readonly low: string | null
  readonly close: string | null
  readonly volume: string | null
  readonly provider: string | null
  readonly feed: string | null
  readonly adjustment: string | null
  readonly detected_at: Date
}

/** Quarantine in Postgres. */
export function createQuarantineStore(options: QuarantineSettings = {}): QuarantineStore {
  const { quarantineBatchSize } = checkedOptions(quarantineOptionsSchema, options, 'the quarantine')
  return {
    record: (tx, rows) => record(tx, rows, quarantineBatchSize),
    load,
    counts,
    suspectSessions,
  }
}

async function record(
  tx: SqlTx,
  rows: readonly QuarantineRow[],
  batchSize: number,
): Promise<{ inserted: number }> {
  if (rows.length === 0) return { inserted: 0 }
  const sources = await ensureSources(
    tx,
    rows.flatMap((row) => row.source ?? []),
  )
  const keyed = new Map<string, QuarantineRow>()
  for (const row of rows) keyed.set(naturalKey(row), row)
  // One order for all writers, so that two of them cannot deadlock on the unique key.
  const list = [...keyed].sort(([a], [b]) => (a < b ? -1 : 1))
  const scaled = (value: bigint | null) => (value === null ? null : formatScaled(value))
  let inserted = 0
  for (let start = 0; start < list.length; start += batchSize) {
    const part = list.slice(start, start + batchSize)
    const column = (pick: (row: QuarantineRow) => unknown) => part.map(([, row]) => pick(row))
    const result = await tx.query(
      `INSERT INTO quarantine (natural_key, symbol, data_type, interval, ts, session, rule, severity, message, origin,
         raw, open, high, low, close, volume, source_id, detected_at)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::date[], $7::text[],
         $8::text[], $9::text[], $10::text[], $11::jsonb[], $12::numeric[], $13::numeric[], $14::numeric[],
         $15::numeric[], $16::numeric[], $17::smallint[], $18::timestamptz[]) AS n(natural_key)
       WHERE NOT EXISTS (SELECT FROM quarantine q WHERE q.natural_key = n.natural_key)
       ON CONFLICT (natural_key) DO NOTHING`,
      [
        part.map(([key]) => key),
        column((row) => row.symbol),
        column((row) => row.dataType),
        column((row) => row.interval ?? ''),
        column((row) => (row.time === null ? null : new Date(row.time))),
        column((row) => row.session),
        column((row) => row.rule),
        column((row) => row.severity),
        column((row) => row.message),
        column((row) => row.origin),
        column((row) => canonicalJson(row.raw ?? null)),
        column((row) => scaled(row.open)),
        column((row) => scaled(row.high)),
        column((row) => scaled(row.low)),
        column((row) => scaled(row.close)),
        column((row) => scaled(row.volume)),
        column((row) => (row.source === null ? null : sources.get(sourceName(row.source)))),
        column((row) => new Date(row.detectedAt)),
      ],
    )
    inserted += result.rowCount
  }
  return { inserted }
}

/** The same row of the same file, stopped by the same rule, has the same key however often it is loaded. */
function naturalKey(row: QuarantineRow): string {
  const source = row.source === null ? null : sourceName(row.source)
  const { symbol, dataType, interval, time, session, rule, severity, origin, raw } = row
  return sha256Hex(
    canonicalJson([symbol, dataType, interval, time, session, rule, severity, origin, raw ?? null, source]),
  )
}

async function load(tx: SqlTx, filter: QuarantineFilter = {}): Promise<QuarantineRow[]> {
  const { rows } = await tx.query<StoredRow>(
    `SELECT q.symbol, q.data_type, q.interval, q.ts, q.session, q.rule, q.severity, q.message, q.origin, q.raw,
       q.open::text, q.high::text, q.low::text, q.close::text, q.volume::text, s.provider, s.feed, s.adjustment, q.detected_at
     FROM quarantine q LEFT JOIN sources s ON s.id = q.source_id
     WHERE ($1::text[] IS NULL OR q.symbol = ANY($1)) AND ($2::text IS NULL OR q.data_type = $2)
       AND ($3::text IS NULL OR q.interval = $3) AND ($4::text IS NULL OR q.rule = $4)
       AND ($5::text IS NULL OR q.severity = $5)
     ORDER BY q.symbol, q.ts NULLS FIRST, q.session NULLS FIRST, q.rule, q.origin, q.natural_key LIMIT $6::bigint`,
    [
      filter.symbols ?? null,
      filter.dataType ?? null,
      filter.interval === undefined ? null : (filter.interval ?? ''),
      filter.rule ?? null,
      filter.severity ?? null,
      filter.limit ?? null,
    ],
  )
  const scaled = (text: string | null) => (text === null ? null : parseScaled(text))
  return rows.map((row) => ({
    symbol: row.symbol,
    dataType: row.data_type,
    interval: row.interval === '' ? null : row.interval,
    time: row.ts === null ? null : row.ts.getTime(),
    session: row.session,
    rule: row.rule,
    severity: row.severity,
    message: row.message,
    origin: row.origin,
    raw: row.raw,
    open: scaled(row.open),
    high: scaled(row.high),
    low: scaled(row.low),
    close: scaled(row.close),
    volume: scaled(row.volume),
    source:
      row.provider === null || row.feed === null || row.adjustment === null
        ? null
        : toBarSource({ provider: row.provider, feed: row.feed, adjustment: row.adjustment }),
    detectedAt: row.detected_at.getTime(),
  }))
}

async function counts(tx: SqlTx): Promise<RuleCount[]> {
  const { rows } = await tx.query<RuleCount>(
    'SELECT rule, severity, count(*)::int AS count FROM quarantine GROUP BY rule, severity ORDER BY rule, severity',
  )
  return rows
}

async function suspectSessions(
  tx: SqlTx,
  interval: Interval,
  symbols?: readonly string[],
): Promise<ReadonlyMap<string, readonly SessionDate[]>> {
  const { rows } = await tx.query<{ symbol: string; sessions: SessionDate[] }>(
    `SELECT symbol, array_agg(DISTINCT session::text ORDER BY session::text) AS sessions FROM quarantine
     WHERE data_type = 'bars' AND interval = $1 AND severity = 'error' AND session IS NOT NULL
       AND ($2::text[] IS NULL OR symbol = ANY($2))
     GROUP BY symbol ORDER BY symbol`,
    [interval, symbols ?? null],
  )
  return new Map(rows.map((row) => [row.symbol, row.sessions]))
}
