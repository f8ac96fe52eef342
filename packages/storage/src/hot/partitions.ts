import { DAY_MS, type SqlClient, type SqlTx, type VarveError, isVarveError, sqlName } from '@varve/core'
import { type BarTable, BAR_TABLES } from '../bars/barTables.ts'
import { timeLiteral } from '../bars/instants.ts'

/** Held while partitions of bars are made or dropped. */
const PARTITION_LOCK = 8241953018
const LOCK_NOT_AVAILABLE = '55P03'
/** 1970-01-05, a Monday. */
const FIRST_MONDAY = 4 * DAY_MS
const WEEK_MS = 7 * DAY_MS

/** A partition's number: months counted from year 0, or weeks from 1970-01-05. */
export function spanOf(table: BarTable, time: number): number {
  if (table.span === 'week') return Math.floor((time - FIRST_MONDAY) / WEEK_MS)
  const date = new Date(time)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/** First instant of a partition. */
export function spanStart(table: BarTable, span: number): number {
  return table.span === 'week' ? FIRST_MONDAY + span * WEEK_MS : Date.UTC(Math.floor(span / 12), span % 12, 1)
}

/** Partitions some rows fall into. */
export function spansOf(table: BarTable, time: Float64Array, rows: Int32Array): Set<number> {
  const spans = new Set<number>()
  let start = 0
  let end = 0
  for (const row of rows) {
    if (time[row]! >= start && time[row]! < end) continue
    const span = spanOf(table, time[row]!)
    spans.add(span)
    start = spanStart(table, span)
    end = spanStart(table, span + 1)
  }
  return spans
}

/** `bars_2015_06` for a month, `bars_intraday_2015_06_29` for the week that begins there. */
function partitionName(table: BarTable, span: number): string {
  const day = new Date(spanStart(table, span)).toISOString().slice(0, 10).replaceAll('-', '_')
  return `${table.name}_${table.span === 'month' ? day.slice(0, 7) : day}`
}

function spanOfName(table: BarTable, name: string): number | undefined {
  const [year, month, day = 1] = name
    .slice(table.name.length + 1)
    .split('_')
    .map(Number)
  if (year === undefined || month === undefined) return undefined
  const span = spanOf(table, Date.UTC(year, month - 1, day))
  return partitionName(table, span) === name ? span : undefined
}

/** Partitions a table has, ascending. */
export async function existingSpans(tx: SqlTx, table: BarTable): Promise<number[]> {
  const { rows } = await tx.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = to_regclass($1)`,
    [table.name],
  )
  return rows
    .map(({ name }) => spanOfName(table, name))
    .filter((span) => span !== undefined)
    .sort((a, b) => a - b)
}

/**
 * Makes the partitions that are missing. Loads and reads go on meanwhile, and any number of processes may call.
 *
 * @returns how many were made
 */
export async function ensurePartitions(
  sql: SqlClient,
  table: BarTable,
  spans: Iterable<number>,
): Promise<number> {
  const wanted = [...new Set(spans)].sort((a, b) => a - b)
  if (wanted.length === 0) return 0
  const existing = new Set(await existingSpans(sql, table))
  if (wanted.every((span) => existing.has(span))) return 0
  return sql.tx(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
    const now = new Set(await existingSpans(tx, table))
    let made = 0
    for (const span of wanted) {
      if (now.has(span)) continue
      const name = sqlName(partitionName(table, span))
      const from = timeLiteral(spanStart(table, span))
      const to = timeLiteral(spanStart(table, span + 1))
      const parent = sqlName(table.name)
      // Attaching, unlike CREATE … PARTITION OF, leaves loads and reads of other partitions alone.
      await tx.exec(`CREATE TABLE ${name} (LIKE ${parent} INCLUDING ALL);
        ALTER TABLE ${name} ADD CONSTRAINT ${name}_range CHECK (ts >= ${from} AND ts < ${to});
        ALTER TABLE ${parent} ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to});
        ALTER TABLE ${name} DROP CONSTRAINT ${name}_range`)
      made++
    }
    return made
  })
}

/** Partitions that begin after `now`, per table: how far ahead loads of new bars find their place ready. */
export async function partitionsAhead(tx: SqlTx, now: number): Promise<Record<BarTable['name'], number>> {
  const ahead = { bars: 0, bars_intraday: 0 }
  for (const table of BAR_TABLES) {
    const current = spanOf(table, now)
    ahead[table.name] = (await existingSpans(tx, table)).filter((span) => span > current).length
  }
  return ahead
}

/**
 * Drops the partitions every series has left behind. One somebody still reads is left for the next time.
 *
 * @returns rows that were in them
 */
export async function dropAbandonedPartitions(
  sql: SqlClient,
  table: BarTable,
  lockTimeoutMs: number,
): Promise<number> {
  let dropped = 0
  for (const span of await existingSpans(sql, table)) {
    const name = sqlName(partitionName(table, span))
    try {
      const rows = await sql.tx(async (tx) => {
        await tx.exec(`SET LOCAL lock_timeout = ${Math.max(1, Math.round(lockTimeoutMs))}`)
        await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
        // No series may appear or move its hot start until the partition is gone.
        await tx.exec('LOCK TABLE series IN SHARE MODE')
        const { rows: bounds } = await tx.query<{ least: Date | null }>(
          'SELECT min(hot_from) AS least FROM series WHERE interval = ANY($1::text[])',
          [table.intervals],
        )
        const least = bounds[0]?.least?.getTime()
        if (least === undefined || spanStart(table, span + 1) > least) return undefined
        if (!(await existingSpans(tx, table)).includes(span)) return 0
        const { rows: counts } = await tx.query<{ count: number }>(
          `SELECT count(*)::int AS count FROM ${name}`,
        )
        await tx.exec(`DROP TABLE ${name}`)
        return counts[0]?.count ?? 0
      })
      if (rows === undefined) break
      dropped += rows
    } catch (error) {
      if (!isVarveError(error, 'DATABASE_QUERY_FAILED') || error.details.sqlState !== LOCK_NOT_AVAILABLE)
        throw error
      break
    }
  }
  return dropped
}

/** Whether a failed COPY means that a partition has been dropped since it was made. */
export function isPartitionMissing(error: unknown): error is VarveError {
  return isVarveError(error, 'DATABASE_QUERY_FAILED') && error.details.sqlState === '23514'
}
