import { type SqlClient, type SqlTx, type VarveError, isVarveError, sqlName } from '@varve/core'
import { timeLiteral } from '../bars/instants.ts'

/** Held while partitions of `bars` are made or dropped. */
const PARTITION_LOCK = 8241953018
const NAME = /^bars_(\d{4})_(\d{2})$/
const LOCK_NOT_AVAILABLE = '55P03'

/** A month of `bars`, counted from year 0. */
export function monthOf(time: number): number {
  const date = new Date(time)
  return date.getUTCFullYear() * 12 + date.getUTCMonth()
}

/** First instant of a month. */
export function monthStart(month: number): number {
  return Date.UTC(Math.floor(month / 12), month % 12, 1)
}

/** Months some rows fall into. */
export function monthsOf(time: Float64Array, rows: Int32Array): Set<number> {
  const months = new Set<number>()
  let start = 0
  let end = 0
  for (const row of rows) {
    if (time[row]! >= start && time[row]! < end) continue
    const month = monthOf(time[row]!)
    months.add(month)
    start = monthStart(month)
    end = monthStart(month + 1)
  }
  return months
}

function partitionName(month: number): string {
  return `bars_${String(Math.floor(month / 12)).padStart(4, '0')}_${String((month % 12) + 1).padStart(2, '0')}`
}

/** Months that have a partition, ascending. */
export async function existingMonths(tx: SqlTx): Promise<number[]> {
  const { rows } = await tx.query<{ name: string }>(
    `SELECT c.relname::text AS name FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
     WHERE i.inhparent = 'bars'::regclass`,
  )
  return rows
    .map(({ name }) => NAME.exec(name))
    .filter((match) => match !== null)
    .map((match) => Number(match[1]) * 12 + Number(match[2]) - 1)
    .sort((a, b) => a - b)
}

/** Makes the partitions that are missing. Loads and reads go on meanwhile, and any number of processes may call. */
export async function ensurePartitions(sql: SqlClient, months: Iterable<number>): Promise<void> {
  const wanted = [...new Set(months)].sort((a, b) => a - b)
  if (wanted.length === 0) return
  const existing = new Set(await existingMonths(sql))
  if (wanted.every((month) => existing.has(month))) return
  await sql.tx(async (tx) => {
    await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
    const now = new Set(await existingMonths(tx))
    for (const month of wanted) {
      if (now.has(month)) continue
      const name = sqlName(partitionName(month))
      const from = timeLiteral(monthStart(month))
      const to = timeLiteral(monthStart(month + 1))
      // Attaching, unlike CREATE … PARTITION OF, leaves loads and reads of other months alone.
      await tx.exec(`CREATE TABLE ${name} (LIKE bars INCLUDING ALL);
        ALTER TABLE ${name} ADD CONSTRAINT ${name}_range CHECK (ts >= ${from} AND ts < ${to});
        ALTER TABLE bars ATTACH PARTITION ${name} FOR VALUES FROM (${from}) TO (${to});
        ALTER TABLE ${name} DROP CONSTRAINT ${name}_range`)
    }
  })
}

/**
 * Drops the months every series has left behind. A month somebody still reads is left for the next time.
 *
 * @returns rows that were in them
 */
export async function dropAbandonedPartitions(sql: SqlClient, lockTimeoutMs: number): Promise<number> {
  let dropped = 0
  for (const month of await existingMonths(sql)) {
    const name = sqlName(partitionName(month))
    try {
      const rows = await sql.tx(async (tx) => {
        await tx.exec(`SET LOCAL lock_timeout = ${Math.max(1, Math.round(lockTimeoutMs))}`)
        await tx.query('SELECT pg_advisory_xact_lock($1)', [PARTITION_LOCK])
        // No series may appear or move its hot start until the partition is gone.
        await tx.exec('LOCK TABLE series IN SHARE MODE')
        const { rows: bounds } = await tx.query<{ least: Date | null }>(
          'SELECT min(hot_from) AS least FROM series',
        )
        const least = bounds[0]?.least?.getTime()
        if (least === undefined || monthStart(month + 1) > least) return undefined
        if (!(await existingMonths(tx)).includes(month)) return 0
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
