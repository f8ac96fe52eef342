import type { BarSource, DataType, Interval, SessionDate, SqlTx } from '@varve/core'
import { ensureSources, sourceName, toBarSource } from './sources.ts'

/** `open`: still missing. `healed`: filled. `empty_confirmed`: looked for twice, there is nothing. */
export type GapState = 'open' | 'healed' | 'empty_confirmed'

/** One missing session of one series. */
export interface GapKey {
  readonly symbol: string
  readonly dataType: DataType
  readonly interval: Interval
  readonly source: BarSource
  readonly session: SessionDate
}

export interface DetectedGap extends GapKey {
  /** Session of the pass that found it. */
  readonly detectedOn: SessionDate
}

export interface Gap extends DetectedGap {
  readonly state: GapState
  /** Times it was tried to fill it. */
  readonly attempts: number
  readonly resolvedOn: SessionDate | null
}

/** How an attempt ended; `open` counts the attempt and leaves the gap open. */
export interface GapOutcome {
  readonly state: GapState
  /** Session of the attempt. */
  readonly on: SessionDate
}

export interface GapFilter {
  readonly dataType?: DataType
  readonly interval?: Interval
  readonly symbols?: readonly string[]
  readonly states?: readonly GapState[]
}

/** Remembers missing sessions. Every method takes the transaction it works in. */
export interface GapStore {
  /**
   * Records what a pass found. A healed gap that is missing again opens anew; one confirmed empty stays so.
   *
   * @returns the gaps that are open now and were not before
   */
  recordDetected(tx: SqlTx, gaps: readonly DetectedGap[]): Promise<{ readonly new: readonly DetectedGap[] }>
  /** Ends an attempt for open gaps. @returns the number of gaps touched */
  resolve(tx: SqlTx, gaps: readonly GapKey[], outcome: GapOutcome): Promise<{ readonly changed: number }>
  /** Gaps by symbol and session. */
  load(tx: SqlTx, filter?: GapFilter): Promise<Gap[]>
  counts(tx: SqlTx): Promise<Record<GapState, number>>
}

interface GapRow {
  readonly symbol: string
  readonly data_type: DataType
  readonly interval: Interval
  readonly provider: string
  readonly feed: string
  readonly adjustment: string
  readonly session: SessionDate
  readonly state: GapState
  readonly detected_on: SessionDate
  readonly attempts: number
  readonly resolved_on: SessionDate | null
}

/** Gaps in Postgres. */
export function createGapStore(): GapStore {
  return { recordDetected, resolve, load, counts }
}

async function recordDetected(tx: SqlTx, gaps: readonly DetectedGap[]): Promise<{ new: DetectedGap[] }> {
  const sources = await ensureSources(
    tx,
    gaps.map((gap) => gap.source),
  )
  const keyed = new Map<string, DetectedGap>()
  for (const gap of gaps) keyed.set(keyOf(gap, sources.get(sourceName(gap.source))!), gap)
  if (keyed.size === 0) return { new: [] }
  const list = [...keyed].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, gap]) => gap)
  const { rows } = await tx.query<{ key: string }>(
    `INSERT INTO gaps AS g (symbol, data_type, interval, source_id, session, state, detected_on)
     SELECT symbol, data_type, interval, source_id, session, 'open', detected_on
     FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::date[], $6::date[])
       AS n(symbol, data_type, interval, source_id, session, detected_on)
     ON CONFLICT (symbol, data_type, interval, source_id, session) DO UPDATE
       SET state = 'open', detected_on = excluded.detected_on, attempts = 0, resolved_on = NULL
       WHERE g.state = 'healed'
     RETURNING concat_ws('|', symbol, data_type, interval, source_id, session) AS key`,
    [...keyColumns(list, sources), list.map((gap) => gap.detectedOn)],
  )
  return { new: rows.map((row) => keyed.get(row.key)!) }
}

async function resolve(
  tx: SqlTx,
  gaps: readonly GapKey[],
  outcome: GapOutcome,
): Promise<{ changed: number }> {
  if (gaps.length === 0) return { changed: 0 }
  const sources = await ensureSources(
    tx,
    gaps.map((gap) => gap.source),
  )
  const { rowCount } = await tx.query(
    `UPDATE gaps g SET state = $6, attempts = attempts + 1, resolved_on = CASE WHEN $6 = 'open' THEN NULL ELSE $7::date END
     FROM (SELECT DISTINCT * FROM unnest($1::text[], $2::text[], $3::text[], $4::smallint[], $5::date[])
       AS n(symbol, data_type, interval, source_id, session)) n
     WHERE g.state = 'open' AND (g.symbol, g.data_type, g.interval, g.source_id, g.session) = (n.symbol, n.data_type, n.interval, n.source_id, n.session)`,
    [...keyColumns(gaps, sources), outcome.state, outcome.on],
  )
  return { changed: rowCount }
}

async function load(tx: SqlTx, filter: GapFilter = {}): Promise<Gap[]> {
  const { rows } = await tx.query<GapRow>(
    `SELECT g.symbol, g.data_type, g.interval, s.provider, s.feed, s.adjustment, g.session, g.state, g.detected_on, g.attempts, g.resolved_on
     FROM gaps g JOIN sources s ON s.id = g.source_id
     WHERE ($1::text IS NULL OR g.data_type = $1) AND ($2::text IS NULL OR g.interval = $2)
       AND ($3::text[] IS NULL OR g.symbol = ANY($3)) AND ($4::text[] IS NULL OR g.state = ANY($4))
     ORDER BY g.symbol, g.data_type, g.interval, s.provider, s.feed, s.adjustment, g.session`,
    [filter.dataType ?? null, filter.interval ?? null, filter.symbols ?? null, filter.states ?? null],
  )
  return rows.map((row) => ({
    symbol: row.symbol,
    dataType: row.data_type,
    interval: row.interval,
    source: toBarSource(row),
    session: row.session,
    state: row.state,
    detectedOn: row.detected_on,
    attempts: row.attempts,
    resolvedOn: row.resolved_on,
  }))
}

async function counts(tx: SqlTx): Promise<Record<GapState, number>> {
  const { rows } = await tx.query<{ state: GapState; count: number }>(
    'SELECT state, count(*)::int AS count FROM gaps GROUP BY state',
  )
  const result: Record<GapState, number> = { open: 0, healed: 0, empty_confirmed: 0 }
  for (const row of rows) result[row.state] = row.count
  return result
}

function keyOf(gap: GapKey, sourceId: number): string {
  return `${gap.symbol}|${gap.dataType}|${gap.interval}|${sourceId}|${gap.session}`
}

function keyColumns(gaps: readonly GapKey[], sources: ReadonlyMap<string, number>): unknown[] {
  return [
    gaps.map((gap) => gap.symbol),
    gaps.map((gap) => gap.dataType),
    gaps.map((gap) => gap.interval),
    gaps.map((gap) => sources.get(sourceName(gap.source))),
    gaps.map((gap) => gap.session),
  ]
}
