import { canonicalJson } from '@varve/core'
import type { DataType, Interval, SessionDate, SqlTx } from '@varve/core'
import { mergeCoverage } from './mergeCoverage.ts'

/** `complete`: all there is. `partial`: some is known to be missing. `empty_confirmed`: twice nothing. */
export type CoverageState = 'complete' | 'partial' | 'empty_confirmed'

/** Session dates of one series that were fetched. */
export interface CoverageEntry {
  readonly symbol: string
  readonly dataType: DataType
  /** `null` for data that has no interval. */
  readonly interval: Interval | null
  /** Whose data it is, such as `polygon` or `polygon/sip/raw`. */
  readonly source: string
  /** First and last calendar date, both included. */
  readonly from: SessionDate
  readonly to: SessionDate
  readonly state: CoverageState
  /** Rows received for the range; informational, the largest known after ranges were merged. */
  readonly rows: number
  /** When it was fetched, milliseconds UTC. */
  readonly fetchedAt: number
  /** Why the state holds, plain JSON; of the newest entry after a merge. */
  readonly proof: unknown
}

export interface CoverageFilter {
  readonly dataType: DataType
  readonly interval: Interval | null
  /** @defaultValue all */
  readonly symbols?: readonly string[]
  /** @defaultValue all */
  readonly source?: string
}

/** Ranges to forget, because their rows have expired. */
export interface CoverageTrim {
  readonly symbol: string
  readonly dataType: DataType
  readonly interval: Interval | null
  readonly source: string
  /** Everything before this date is forgotten. */
  readonly before: SessionDate
}

/** Remembers which ranges were fetched. Every method takes the transaction it works in. */
export interface CoverageStore {
  /**
   * Adds ranges. Ranges of one state that touch or overlap become one. Where states differ, `complete` wins,
   * otherwise the range fetched later. Recording the same entries again changes nothing.
   */
  record(tx: SqlTx, entries: readonly CoverageEntry[]): Promise<void>
  /** Ranges held, by symbol, source and date. */
  load(tx: SqlTx, filter: CoverageFilter): Promise<CoverageEntry[]>
  /** Forgets what lies before a date. */
  trim(tx: SqlTx, trims: readonly CoverageTrim[]): Promise<void>
}

interface CoverageRow {
  readonly symbol: string
  readonly data_type: DataType
  readonly interval: Interval | ''
  readonly source: string
  readonly from_date: SessionDate
  readonly to_date: SessionDate
  readonly state: CoverageState
  readonly rows: bigint
  readonly fetched_at: Date
  readonly proof: unknown
}

const COLUMNS = 'symbol, data_type, interval, source, from_date, to_date, state, rows, fetched_at, proof'

/** Coverage in Postgres. */
export function createCoverageStore(): CoverageStore {
  return { record, load, trim }
}

async function record(tx: SqlTx, entries: readonly CoverageEntry[]): Promise<void> {
  if (entries.length === 0) return
  const fresh = groupBySeries(entries)
  const held = await loadSeries(
    tx,
    [...fresh.values()].map((list) => list[0]!),
  )
  const stale: CoverageEntry[] = []
  const wanted: CoverageEntry[] = []
  for (const [key, added] of fresh) {
    const before = held.get(key) ?? []
    const after = mergeCoverage([...before, ...added])
    diff(before, after, stale, wanted)
  }
  await replace(tx, stale, wanted)
}

async function trim(tx: SqlTx, trims: readonly CoverageTrim[]): Promise<void> {
  if (trims.length === 0) return
  const limits = new Map(trims.map((entry) => [seriesOf(entry), entry.before]))
  const held = await loadSeries(tx, trims)
  const stale: CoverageEntry[] = []
  const wanted: CoverageEntry[] = []
  for (const [key, before] of held) {
    const limit = limits.get(key)!
    const after = before
      .filter((entry) => entry.to >= limit)
      .map((entry) => (entry.from < limit ? { ...entry, from: limit } : entry))
    diff(before, after, stale, wanted)
  }
  await replace(tx, stale, wanted)
}

async function load(tx: SqlTx, filter: CoverageFilter): Promise<CoverageEntry[]> {
  const { rows } = await tx.query<CoverageRow>(
    `SELECT ${COLUMNS} FROM coverage
     WHERE data_type = $1 AND interval = $2 AND ($3::text[] IS NULL OR symbol = ANY($3)) AND ($4::text IS NULL OR source = $4)
     ORDER BY symbol, source, from_date`,
    [filter.dataType, filter.interval ?? '', filter.symbols ?? null, filter.source ?? null],
  )
  // Two first loads of one series may both have written a range; merged here, and for good by the next record.
  return [...groupBySeries(rows.map(toEntry)).values()].flatMap((list) => mergeCoverage(list))
}

/** Entries whose rows must go and those that must be written, so that unchanged ranges are left alone. */
function diff(
  before: readonly CoverageEntry[],
  after: readonly CoverageEntry[],
  stale: CoverageEntry[],
  wanted: CoverageEntry[],
): void {
  const same = (a: CoverageEntry, b: CoverageEntry) => canonicalJson(a) === canonicalJson(b)
  for (const entry of before) if (!after.some((other) => same(entry, other))) stale.push(entry)
  for (const entry of after) if (!before.some((other) => same(entry, other))) wanted.push(entry)
}

async function loadSeries(tx: SqlTx, keys: readonly CoverageKey[]): Promise<Map<string, CoverageEntry[]>> {
  const { rows } = await tx.query<CoverageRow>(
    `SELECT ${COLUMNS} FROM coverage
     WHERE (symbol, data_type, interval, source) IN
       (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]))
     ORDER BY symbol, data_type, interval, source, from_date FOR UPDATE`,
    [
      keys.map((k) => k.symbol),
      keys.map((k) => k.dataType),
      keys.map((k) => k.interval ?? ''),
      keys.map((k) => k.source),
    ],
  )
  return groupBySeries(rows.map(toEntry))
}

async function replace(
  tx: SqlTx,
  stale: readonly CoverageEntry[],
  wanted: readonly CoverageEntry[],
): Promise<void> {
  const keys = (entries: readonly CoverageEntry[]) => [
    entries.map((e) => e.symbol),
    entries.map((e) => e.dataType),
    entries.map((e) => e.interval ?? ''),
    entries.map((e) => e.source),
    entries.map((e) => e.from),
  ]
  if (stale.length > 0) {
    await tx.query(
      `DELETE FROM coverage c USING unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[])
         AS d(symbol, data_type, interval, source, from_date)
       WHERE (c.symbol, c.data_type, c.interval, c.source, c.from_date) = (d.symbol, d.data_type, d.interval, d.source, d.from_date)`,
      keys(stale),
    )
  }
  if (wanted.length > 0) {
    await tx.query(
      `INSERT INTO coverage (symbol, data_type, interval, source, from_date, to_date, state, rows, fetched_at, proof)
       SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::date[], $6::date[], $7::text[], $8::bigint[], $9::timestamptz[], $10::jsonb[])
       ON CONFLICT (symbol, data_type, interval, source, from_date) DO UPDATE SET to_date = excluded.to_date,
         state = excluded.state, rows = excluded.rows, fetched_at = excluded.fetched_at, proof = excluded.proof`,
      [
        ...keys(wanted),
        wanted.map((e) => e.to),
        wanted.map((e) => e.state),
        wanted.map((e) => e.rows),
        wanted.map((e) => new Date(e.fetchedAt)),
        wanted.map((e) => JSON.stringify(e.proof ?? null)),
      ],
    )
  }
}

type CoverageKey = Pick<CoverageEntry, 'symbol' | 'dataType' | 'interval' | 'source'>

function seriesOf(entry: CoverageKey): string {
  return `${entry.symbol}\n${entry.dataType}\n${entry.interval ?? ''}\n${entry.source}`
}

function groupBySeries(entries: readonly CoverageEntry[]): Map<string, CoverageEntry[]> {
  const groups = new Map<string, CoverageEntry[]>()
  for (const entry of entries) {
    const key = seriesOf(entry)
    const list = groups.get(key)
    if (list === undefined) groups.set(key, [entry])
    else list.push(entry)
  }
  return groups
}

function toEntry(row: CoverageRow): CoverageEntry {
  return {
    symbol: row.symbol,
    dataType: row.data_type,
    interval: row.interval === '' ? null : row.interval,
    source: row.source,
    from: row.from_date,
    to: row.to_date,
    state: row.state,
    rows: Number(row.rows),
    fetchedAt: row.fetched_at.getTime(),
    proof: row.proof,
  }
}
