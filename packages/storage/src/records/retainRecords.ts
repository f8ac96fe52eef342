import { publish } from '@varve/core'
import { archiveBounds, archiveRecords } from './archiveRecords.ts'
import type { Dataset } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import { expireRecords } from './expireRecords.ts'
import type { RecordContext } from './options.ts'
import { recordSources } from './recordCatalog.ts'
import type {
  RecordBound,
  RecordRetentionPolicy,
  RecordRetentionReport,
  RetainedGroup,
} from './RecordStore.ts'

/** The name of the one group when the policy makes none. */
const EVERYTHING = 'all'

interface Tally {
  symbols: Set<string>
  archivedRows: number
  archivedBytes: number
  expiredRows: number
  archiveBefore: [number, number] | undefined
  expireBefore: [number, number] | undefined
}

/** Expires, then archives, and reports by group. See `RecordStore.retain`. */
export async function retainRecords(
  context: RecordContext,
  dataset: Dataset,
  policy: RecordRetentionPolicy,
): Promise<RecordRetentionReport> {
  const { archiveBefore, expireBefore, dryRun = false, signal } = policy
  const groupOf = policy.group ?? (() => EVERYTHING)
  const tallies = new Map<string, Tally>()
  const tallyOf = (symbol: string): Tally => {
    const group = groupOf(symbol)
    let tally = tallies.get(group)
    if (tally === undefined) {
      tally = {
        symbols: new Set(),
        archivedRows: 0,
        archivedBytes: 0,
        expiredRows: 0,
        archiveBefore: undefined,
        expireBefore: undefined,
      }
      tallies.set(group, tally)
    }
    tally.symbols.add(symbol)
    return tally
  }
  const noting =
    (bound: RecordBound, field: 'archiveBefore' | 'expireBefore'): RecordBound =>
    (symbol, source) => {
      const at = bound(symbol, source)
      if (at !== null) {
        const tally = tallyOf(symbol)
        const seen = tally[field]
        tally[field] = [Math.min(seen?.[0] ?? at, at), Math.max(seen?.[1] ?? at, at)]
      }
      return at
    }
  // First, so that nothing is copied to the lake only to expire there.
  const expired = await expireRecords(context, dataset, {
    before: noting(expireBefore, 'expireBefore'),
    dryRun,
    signal,
  })
  for (const [symbol, rows] of expired.symbols) tallyOf(symbol).expiredRows += rows
  const archive = { before: noting(archiveBefore, 'archiveBefore'), signal }
  const moved = dryRun
    ? await archivable(context, dataset, archive.before, expireBefore)
    : await archiveRecords(context, dataset, archive)
  for (const [symbol, { rows, bytes }] of moved.symbols) {
    const tally = tallyOf(symbol)
    tally.archivedRows += rows
    tally.archivedBytes += bytes
  }
  const groups = [...tallies].map(([group, tally]) => reported(group, tally, dryRun))
  const { archivedRows, files, bytes, partitionsDropped } = moved
  publish('log', () => ({
    level: 'info',
    component: 'records',
    message: `${dryRun ? 'retention would archive' : 'retention archived'} ${archivedRows} and expire ${expired.expiredRows} rows of ${dataset}`,
    dataset,
    files,
    bytes,
  }))
  return {
    dataset,
    dryRun,
    groups: groups.sort((a, b) => (a.group < b.group ? -1 : 1)),
    archivedRows,
    expiredRows: expired.expiredRows,
    files,
    bytes,
    partitionsDropped,
  }
}

function reported(group: string, tally: Tally, dryRun: boolean): RetainedGroup {
  const { archivedRows, archivedBytes, expiredRows, archiveBefore, expireBefore } = tally
  const reason = [
    `${archivedRows} rows ${dryRun ? 'would move' : 'moved'} to the lake: ${limits('older than', archiveBefore)}`,
    `${expiredRows} rows ${dryRun ? 'would expire' : 'expired'}: ${limits('older than', expireBefore)}`,
  ].join('; ')
  return {
    group,
    symbols: tally.symbols.size,
    archivedRows,
    archivedBytes,
    expiredRows,
    archiveBefore,
    expireBefore,
    reason,
  }
}

function limits(words: string, range: readonly [number, number] | undefined): string {
  if (range === undefined) return 'no limit is set'
  const [from, to] = range.map((time) => new Date(time).toISOString())
  return from === to ? `${words} ${from}` : `${words} ${from} to ${to}, by symbol`
}

/** What an archive run would move now, with the size of the rows in Postgres. */
async function archivable(
  context: RecordContext,
  dataset: Dataset,
  before: RecordBound,
  expireBefore: RecordBound,
): Promise<{
  readonly archivedRows: number
  readonly files: number
  readonly bytes: number
  readonly partitionsDropped: number
  readonly symbols: ReadonlyMap<string, { readonly rows: number; readonly bytes: number }>
}> {
  const symbols = new Map<string, { rows: number; bytes: number }>()
  let [archivedRows, bytes] = [0, 0]
  for (const from of await recordSources(context.sql, dataset)) {
    const wanted = await archiveBounds(context.sql, dataset, from, before)
    const { rows } = await context.sql.query<{ symbol: string; rows: number; bytes: number }>(
      `SELECT h.symbol, count(*)::int AS rows, sum(pg_column_size(h))::float8 AS bytes
       FROM unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) AS n(symbol, bound, expired)
       JOIN ${RECORD_SQL[dataset].table} h ON h.source_id = $1 AND h.symbol = n.symbol AND h.ts < n.bound
         AND (n.expired IS NULL OR h.ts >= n.expired)
       GROUP BY h.symbol`,
      [
        from.id,
        wanted.symbols,
        wanted.bounds,
        wanted.symbols.map((symbol) => {
          const at = expireBefore(symbol, from.source)
          return at === null ? null : new Date(at)
        }),
      ],
    )
    for (const row of rows) {
      const entry = symbols.get(row.symbol) ?? { rows: 0, bytes: 0 }
      symbols.set(row.symbol, { rows: entry.rows + row.rows, bytes: entry.bytes + row.bytes })
      archivedRows += row.rows
      bytes += row.bytes
    }
  }
  return { archivedRows, files: 0, bytes, partitionsDropped: 0, symbols }
}
