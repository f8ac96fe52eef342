import { MAX_TIME, MIN_TIME, clampTime } from '../bars/instants.ts'
import { type Dataset, datasetDefinition } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import { mergeFiles } from './lakeRows.ts'
import type { RecordContext } from './options.ts'
import { dropEmptySpans } from './partitions.ts'
import {
  type RecordSource,
  bumpRevision,
  loadBounds,
  lockRecordSource,
  recordSources,
} from './recordCatalog.ts'
import type { RecordFileRef } from './recordFileReader.ts'
import type { RecordBound } from './RecordStore.ts'

/** A symbol whose bound rises. */
interface Raised {
  readonly symbol: string
  readonly from: number
  readonly to: number
}

/** Hides rows before a bound and deletes those in Postgres. See `RecordStore.expire`. */
export async function expireRecords(
  context: RecordContext,
  dataset: Dataset,
  options: {
    readonly before: RecordBound
    readonly dryRun?: boolean | undefined
    readonly signal?: AbortSignal | undefined
  },
): Promise<{ readonly expiredRows: number; readonly symbols: ReadonlyMap<string, number> }> {
  const symbols = new Map<string, number>()
  for (const from of await recordSources(context.sql, dataset)) {
    options.signal?.throwIfAborted()
    const raised = await raisedBounds(context, dataset, from, options.before)
    if (raised.length > 0) {
      for (const [symbol, rows] of await countHidden(context, dataset, from, raised))
        symbols.set(symbol, (symbols.get(symbol) ?? 0) + rows)
    }
    if (options.dryRun === true) continue
    if (raised.length > 0) {
      await context.sql.tx(async (tx) => {
        await lockRecordSource(tx, dataset, from.id)
        await tx.query(
          `INSERT INTO record_bounds AS b (dataset, source_id, symbol, expired_before)
           SELECT $1, $2::smallint, n.* FROM unnest($3::text[], $4::timestamptz[]) AS n(symbol, expired_before)
           ON CONFLICT (dataset, source_id, symbol) DO UPDATE
             SET expired_before = greatest(b.expired_before, excluded.expired_before)`,
          [dataset, from.id, raised.map((entry) => entry.symbol), raised.map((entry) => new Date(entry.to))],
        )
        await bumpRevision(tx, dataset, from.id)
      })
    }
    // Also what an earlier run hid and did not come to delete.
    await deleteHidden(context, dataset, from, options.signal)
  }
  if (options.dryRun !== true) {
    await dropEmptySpans(context.sql, dataset, {
      now: context.clock.now(),
      lockTimeoutMs: context.dropLockTimeoutMs,
    })
  }
  let expiredRows = 0
  for (const rows of symbols.values()) expiredRows += rows
  return { expiredRows, symbols }
}

async function raisedBounds(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  before: RecordBound,
): Promise<Raised[]> {
  const { rows } = await context.sql.query<{ symbol: string; first: Date }>(
    `SELECT symbol, min(first) AS first FROM (
       SELECT h.symbol, min(h.ts) AS first FROM ${RECORD_SQL[dataset].table} h WHERE h.source_id = $2 GROUP BY h.symbol
       UNION ALL
       SELECT e.symbol, min(e.time_min) FROM record_file_symbols e JOIN record_files f ON f.id = e.file_id
       WHERE f.dataset = $1 AND f.source_id = $2 AND f.removed_at IS NULL GROUP BY e.symbol) held
     GROUP BY symbol ORDER BY symbol`,
    [dataset, from.id],
  )
  const now = await loadBounds(context.sql, dataset, from.id)
  return rows.flatMap(({ symbol, first }) => {
    const asked = before(symbol, from.source)
    if (asked === null) return []
    const to = clampTime(asked)
    const current = now.get(symbol) ?? MIN_TIME
    return to > current && to > first.getTime() ? [{ symbol, from: current, to }] : []
  })
}

/** Versions that can be read now and lie before the new bounds; lake files are opened only where a bound cuts one. */
async function countHidden(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  raised: readonly Raised[],
): Promise<Map<string, number>> {
  const counts = new Map<string, number>()
  const add = (symbol: string, rows: number) => counts.set(symbol, (counts.get(symbol) ?? 0) + rows)
  const params = [
    from.id,
    raised.map((entry) => entry.symbol),
    raised.map((entry) => new Date(entry.from)),
    raised.map((entry) => new Date(entry.to)),
  ]
  const raisedSql = 'unnest($2::text[], $3::timestamptz[], $4::timestamptz[]) AS n(symbol, from_ts, to_ts)'
  const hot = await context.sql.query<{ symbol: string; rows: number }>(
    `SELECT h.symbol, count(*)::int AS rows FROM ${raisedSql}
     JOIN ${RECORD_SQL[dataset].table} h ON h.source_id = $1 AND h.symbol = n.symbol AND h.ts >= n.from_ts AND h.ts < n.to_ts
     GROUP BY h.symbol`,
    params,
  )
  for (const row of hot.rows) add(row.symbol, row.rows)
  const cold = await context.sql.query<{
    symbol: string
    rows: number
    whole: boolean
    id: bigint
    path: string
    bytes: bigint
    file_rows: bigint
  }>(
    `SELECT e.symbol, e.rows, e.time_min >= n.from_ts AND e.time_max < n.to_ts AS whole, f.id, f.path, f.bytes, f.rows AS file_rows
     FROM ${raisedSql} JOIN record_file_symbols e ON e.symbol = n.symbol
       AND e.time_max >= n.from_ts AND e.time_min < n.to_ts
     JOIN record_files f ON f.id = e.file_id
     WHERE f.dataset = $5 AND f.source_id = $1 AND f.removed_at IS NULL`,
    [...params, dataset],
  )
  const cut = new Map<string, { file: RecordFileRef; symbols: string[] }>()
  for (const row of cold.rows) {
    if (row.whole) {
      add(row.symbol, row.rows)
      continue
    }
    const file = {
      id: Number(row.id),
      path: row.path,
      bytes: Number(row.bytes),
      rows: Number(row.file_rows),
    }
    const entry = cut.get(row.path) ?? { file, symbols: [] }
    entry.symbols.push(row.symbol)
    cut.set(row.path, entry)
  }
  const ranges = new Map(raised.map((entry) => [entry.symbol, entry]))
  for (const { file, symbols } of cut.values()) {
    const rows = await mergeFiles(
      [file],
      {
        symbols: symbols.sort(),
        from: MIN_TIME,
        to: MAX_TIME,
        range: (symbol) => ranges.get(symbol) ?? { from: 0, to: 0 },
      },
      {
        reader: context.reader,
        columns: datasetDefinition(dataset).columns.slice(0, 0),
        onUnreadable: (_file, error) => {
          throw error
        },
      },
    )
    for (let row = await rows.peek(); row !== undefined; row = await rows.peek()) {
      add(row.symbol, 1)
      rows.take()
    }
  }
  return counts
}

async function deleteHidden(
  context: RecordContext,
  dataset: Dataset,
  from: RecordSource,
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted()
    const { rowCount } = await context.sql.tx(async (tx) => {
      // A load may show them again; it takes this lock too.
      await lockRecordSource(tx, dataset, from.id)
      return tx.query(
        `DELETE FROM ${RECORD_SQL[dataset].table} h USING (
           SELECT d.source_id, d.symbol, d.ts, d.key, d.recorded_at FROM record_bounds b
           JOIN ${RECORD_SQL[dataset].table} d ON d.source_id = b.source_id AND d.symbol = b.symbol AND d.ts < b.expired_before
           WHERE b.dataset = $1 AND b.source_id = $2 LIMIT $3::bigint) x
         WHERE (h.source_id, h.symbol, h.ts, h.key, h.recorded_at) = (x.source_id, x.symbol, x.ts, x.key, x.recorded_at)`,
        [dataset, from.id, context.deleteRows],
      )
    })
    if (rowCount < context.deleteRows) return
  }
}
