import { DAY_MS, type SqlClient, type SqlTx, isVarveError, sqlName } from '@varve/core'
import { timeLiteral } from '../bars/instants.ts'
import { type Dataset, datasetDefinition } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'

/** Held while partitions of records are made or dropped. */
const PARTITION_LOCK = 8241953020
const LOCK_NOT_AVAILABLE = '55P03'
const DIGITS = /_(\d{4})_(\d{2})(?:_(\d{2}))?$/

/** A span of time with a table of its own, by its first instant. */
interface Span {
  readonly start: number
  readonly end: number
}

/** The partition an instant belongs to. */
export function spanOf(dataset: Dataset, time: number): Span {
  if (datasetDefinition(dataset).partition === 'day') {
    const start = Math.floor(time / DAY_MS) * DAY_MS
    return { start, end: start + DAY_MS }
  }
  const date = new Date(time)
  const [year, month] = [date.getUTCFullYear(), date.getUTCMonth()]
  return { start: Date.UTC(year, month, 1), end: Date.UTC(year, month + 1, 1) }
}

/** First instants of the partitions that some rows need. */
export function spansOf(dataset: Dataset, rows: Iterable<{ readonly time: number }>): Set<number> {
  const starts = new Set<number>()
  let last: Span = { start: 0, end: 0 }
  for (const { time } of rows) {
    if (time >= last.start && time < last.end) continue
    last = spanOf(dataset, time)
    starts.add(last.start)
  }
  return starts
}

function partitionName(dataset: Dataset, start: number): string {
  const length = datasetDefinition(dataset).partition === 'day' ? 10 : 7
  return `records_${dataset}_${new Date(start).toISOString().slice(0, length).replaceAll('-', '_')}`
}

/** First instants of the partitions there are, ascending. */
export async function existingSpans(tx: SqlTx, dataset: Dataset): Promise<number[]> {
  const { rows } = await tx.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = $1::regclass`,
    [RECORD_SQL[dataset].table],
  )
  return rows
    .map(({ name }) => DIGITS.exec(name))
    .filter((match) => match !== null)
    .map((match) => Date.UTC(Number(match[1]), Number(match[2]) - 1, Number(match[3] ?? 1)))
    .sort((a, b) => a - b)
}

/**
 * Makes the partitions that are missing. Loads and reads go on meanwhile, and any number of processes may call.
 *
 * @returns how many were made
 */
export async function ensureSpans(
  sql: SqlClient,
  dataset: Dataset,
  starts: ReadonlySet<number>,
): Promise<number> {
  if (starts.size === 0) return 0
  const existing = new Set(await existingSpans(sql, dataset))
  if ([...starts].every((start) => existing.has(start))) return 0
  return sql.tx(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
    const now = new Set(await existingSpans(tx, dataset))
    const missing = [...starts].filter((start) => !now.has(start)).sort((a, b) => a - b)
    for (const start of missing) {
      const name = sqlName(partitionName(dataset, start))
      const from = timeLiteral(start)
      const to = timeLiteral(spanOf(dataset, start).end)
      // Attaching, unlike CREATE … PARTITION OF, leaves loads and reads of other spans alone.
      await tx.exec(`CREATE TABLE ${name} (LIKE ${RECORD_SQL[dataset].table} INCLUDING ALL);
        ALTER TABLE ${name} ADD CONSTRAINT ${name}_range CHECK (ts >= ${from} AND ts < ${to});
        ALTER TABLE ${RECORD_SQL[dataset].table} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to});
        ALTER TABLE ${name} DROP CONSTRAINT ${name}_range`)
    }
    return missing.length
  })
}

/** The present partition and `ahead` later ones. */
export function comingSpans(dataset: Dataset, now: number, ahead: number): Set<number> {
  const starts = new Set<number>()
  for (let at = now; starts.size <= ahead;) {
    const { start, end } = spanOf(dataset, at)
    starts.add(start)
    at = end
  }
  return starts
}

/**
 * Drops past partitions with nothing left in them. One that somebody still reads is left for the next time.
 *
 * @returns how many were dropped
 */
export async function dropEmptySpans(
  sql: SqlClient,
  dataset: Dataset,
  options: { readonly now: number; readonly lockTimeoutMs: number },
): Promise<number> {
  let dropped = 0
  for (const start of await existingSpans(sql, dataset)) {
    if (spanOf(dataset, start).end > options.now) break
    const name = sqlName(partitionName(dataset, start))
    const isEmpty = async (tx: SqlTx) => {
      const { rows } = await tx.query<{ empty: boolean }>(`SELECT NOT EXISTS (SELECT FROM ${name}) AS empty`)
      return rows[0]?.empty === true
    }
    try {
      if (!(await isEmpty(sql))) continue
      const done = await sql.tx(async (tx) => {
        await tx.exec(`SET LOCAL lock_timeout = ${Math.max(1, Math.round(options.lockTimeoutMs))}`)
        await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
        if (!(await existingSpans(tx, dataset)).includes(start)) return false
        // Nobody may load into it between the look and the drop.
        await tx.exec(`LOCK TABLE ${name} IN ACCESS EXCLUSIVE MODE`)
        if (!(await isEmpty(tx))) return false
        await tx.exec(`DROP TABLE ${name}`)
        return true
      })
      if (done) dropped++
    } catch (error) {
      if (!isLeftAlone(error)) throw error
    }
  }
  return dropped
}

/** Whether somebody else is at the partition, or has dropped it already. */
function isLeftAlone(error: unknown): boolean {
  return (
    isVarveError(error, 'DATABASE_QUERY_FAILED') &&
    [LOCK_NOT_AVAILABLE, '42P01', '40P01'].includes(String(error.details.sqlState))
  )
}
