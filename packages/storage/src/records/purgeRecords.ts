import { clampTime } from '../bars/instants.ts'
import { compactRecords } from './compactRecords.ts'
import { type Dataset, datasetDefinition } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import type { RecordContext } from './options.ts'
import type { VersionKey } from './order.ts'
import { publicRow } from './readRecords.ts'
import { bumpRevision, lockRecordSource, recordSources } from './recordCatalog.ts'
import { BEFORE_ALL } from './recordPage.ts'
import type { RecordRow } from './RecordStore.ts'
import { type SelectedRow, type StoredRow, fromSelected } from './StoredRow.ts'

/** Removes versions a rule picks, for good. See `RecordStore.purge`. */
export async function purgeRecords<D extends Dataset>(
  context: RecordContext,
  dataset: D,
  options: {
    readonly before: number
    readonly matches: (row: RecordRow<D>) => boolean
    readonly signal?: AbortSignal | undefined
  },
): Promise<{ readonly hotRows: number; readonly coldRows: number }> {
  const { columns } = datasetDefinition(dataset)
  const before = clampTime(options.before)
  const picks = (row: StoredRow) => row.time < before && options.matches(publicRow<D>(row, columns))
  let hotRows = 0
  for (const from of await recordSources(context.sql, dataset)) {
    for (let after: VersionKey | undefined = BEFORE_ALL; after !== undefined;) {
      options.signal?.throwIfAborted()
      const found = await context.sql.query<SelectedRow>(
        `SELECT ${RECORD_SQL[dataset].selected} FROM ${RECORD_SQL[dataset].table} h
         WHERE h.source_id = $1 AND h.ts < $2 AND (h.symbol, h.ts, h.key, h.recorded_at) > ($3, $4::timestamptz, $5, $6::timestamptz)
         ORDER BY h.symbol, h.ts, h.key, h.recorded_at LIMIT $7::bigint`,
        [
          from.id,
          new Date(before),
          after.symbol,
          new Date(after.time),
          after.key,
          new Date(after.recordedAt),
          context.pageRows,
        ],
      )
      const page: StoredRow[] = found.rows.map((row) => fromSelected(row, columns))
      after = page.length < context.pageRows ? undefined : page.at(-1)
      const picked = page.filter(picks)
      if (picked.length === 0) continue
      hotRows += await context.sql.tx(async (tx) => {
        await lockRecordSource(tx, dataset, from.id)
        const { rowCount } = await tx.query(
          `DELETE FROM ${RECORD_SQL[dataset].table} h
           USING unnest($2::text[], $3::timestamptz[], $4::text[], $5::timestamptz[]) AS n(symbol, ts, key, recorded_at)
           WHERE h.source_id = $1 AND (h.symbol, h.ts, h.key, h.recorded_at) = (n.symbol, n.ts, n.key, n.recorded_at)`,
          [
            from.id,
            picked.map((row) => row.symbol),
            picked.map((row) => new Date(row.time)),
            picked.map((row) => row.key),
            picked.map((row) => new Date(row.recordedAt)),
          ],
        )
        await bumpRevision(tx, dataset, from.id)
        return rowCount
      })
    }
  }
  const { dropped } = await compactRecords(context, dataset, { drops: picks, signal: options.signal })
  return { hotRows, coldRows: dropped }
}
