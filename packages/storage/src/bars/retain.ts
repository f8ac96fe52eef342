import { type Interval, publish, sqlName } from '@varve/core'
import type { BarRetentionPolicy, RetentionResult } from '../BarStore.ts'
import { dropAbandonedPartitions, ensurePartitions, partitionsAhead, spanOf } from '../hot/partitions.ts'
import { archiveBars, loadWatermark } from './archive.ts'
import type { BarColumns } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { MIN_TIME, clampTime } from './instants.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { readSeries } from './readSeries.ts'
import { restoreHot } from './restore.ts'
import type { SeriesRef } from './seriesCatalog.ts'
import { loadTiers } from './tiers.ts'

/** Moves bars hot → cold → gone. See `BarStore.retain`. */
export async function retainBars(
  context: StoreContext,
  policy: BarRetentionPolicy,
  signal: AbortSignal | undefined,
): Promise<RetentionResult> {
  const { interval } = policy
  const ahead = await prepareAhead(context, policy)
  const archived = await archiveBars(context, interval, clampTime(policy.archiveTo), signal)
  await raiseHotFrom(context, policy)
  const hotDeleted = await deleteBelowHotFrom(context, interval, signal)
  // Before anything expires: expiry goes no further than the hot start.
  const hotRestored = await restoreHot(context, policy, signal)
  const coldExpired = await raiseColdFrom(context, policy, signal)
  const result = { ...archived, hotDeleted, hotRestored, coldExpired }
  publish('retention', () => ({
    interval,
    asOf: policy.asOf,
    archivedRows: result.archivedRows,
    deletedRows: result.hotDeleted,
    restoredRows: result.hotRestored,
    expiredRows: result.coldExpired,
    files: result.files,
    bytes: result.bytes,
    table: barTable(interval).name,
    partitionsAhead: ahead,
  }))
  return result
}

/** Loads of the coming days find their partitions ready, so that no load has to make one. @returns how many are */
async function prepareAhead(context: StoreContext, policy: BarRetentionPolicy): Promise<number> {
  if ((await loadWatermark(context.sql, policy.interval)) === undefined) return 0
  const table = barTable(policy.interval)
  const asOf = clampTime(policy.asOf)
  const present = spanOf(table, asOf)
  const wanted = Array.from({ length: context.partitionsAhead + 1 }, (_, ahead) => present + ahead)
  await ensurePartitions(context.sql, table, wanted)
  return (await partitionsAhead(context.sql, asOf))[table.name]
}

/** From here on reads take the rows below from the lake; what is left of them in Postgres is deleted afterwards. */
async function raiseHotFrom(context: StoreContext, policy: BarRetentionPolicy): Promise<void> {
  const watermark = await loadWatermark(context.sql, policy.interval)
  if (watermark === undefined) return
  const wanted = (await loadTiers(context.sql, policy.interval))
    .map((series) => ({
      id: series.id,
      now: series.hotFrom,
      to: Math.min(watermark, clampTime(policy.hotFrom(series.symbol, series.source))),
    }))
    .filter((entry) => entry.to > entry.now)
    .sort((a, b) => a.id - b.id)
  if (wanted.length === 0) return
  const ids = wanted.map((entry) => entry.id)
  await context.sql.tx(async (tx) => {
    await tx.query('SELECT FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE', [ids])
    await tx.query(
      `UPDATE series s SET hot_from = n.hot_from, revision = revision + 1
       FROM unnest($1::int[], $2::timestamptz[]) AS n(id, hot_from) WHERE s.id = n.id AND s.hot_from < n.hot_from`,
      [ids, wanted.map((entry) => new Date(entry.to))],
    )
  })
}

/** Deletes what reads no longer look at: whole months where possible, else in batches of series. */
async function deleteBelowHotFrom(
  context: StoreContext,
  interval: Interval,
  signal: AbortSignal | undefined,
): Promise<number> {
  const pending = (await loadTiers(context.sql, interval)).filter(
    (series) => series.hotCleanedTo < series.hotFrom,
  )
  if (pending.length === 0) return 0
  let deleted = await dropAbandonedPartitions(context.sql, barTable(interval), context.dropLockTimeoutMs)
  const ids = pending.map((series) => series.id).sort((a, b) => a - b)
  for (const part of chunksOf(ids, context.deleteSeries)) {
    signal?.throwIfAborted()
    deleted += await context.sql.tx(async (tx) => {
      await tx.query('SELECT FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE', [part])
      const { rowCount } = await tx.query(
        `DELETE FROM ${sqlName(barTable(interval).name)} b USING series s
         WHERE s.id = ANY($1::int[]) AND b.series_id = s.id AND b.ts < s.hot_from
           AND b.ts < (SELECT max(hot_from) FROM series WHERE id = ANY($1::int[]))`,
        [part],
      )
      await tx.query('UPDATE series SET hot_cleaned_to = hot_from WHERE id = ANY($1::int[])', [part])
      return rowCount
    })
  }
  return deleted
}

/** Hides expired lake rows; compaction removes them. */
async function raiseColdFrom(
  context: StoreContext,
  policy: BarRetentionPolicy,
  signal: AbortSignal | undefined,
): Promise<number> {
  const raised = (await loadTiers(context.sql, policy.interval)).flatMap((series) => {
    const asked = policy.coldFrom(series.symbol, series.source)
    if (asked === null) return []
    const to = Math.min(series.hotFrom, clampTime(asked))
    return to > (series.coldFrom ?? MIN_TIME) ? [{ series, to }] : []
  })
  let expired = 0
  for (const part of chunksOf(raised, chunkSize(context, policy.interval))) {
    signal?.throwIfAborted()
    expired += await countHidden(context, policy.interval, part)
    const ids = part.map((entry) => entry.series.id).sort((a, b) => a - b)
    await context.sql.tx(async (tx) => {
      await tx.query('SELECT FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE', [ids])
      await tx.query(
        // The hot start may have been lowered meanwhile.
        `UPDATE series s SET cold_from = least(n.cold_from, s.hot_from), revision = revision + 1
         FROM unnest($1::int[], $2::timestamptz[]) AS n(id, cold_from)
         WHERE s.id = n.id AND (s.cold_from IS NULL OR s.cold_from < least(n.cold_from, s.hot_from))`,
        [part.map((entry) => entry.series.id), part.map((entry) => new Date(entry.to))],
      )
    })
  }
  return expired
}

/** Rows visible now that lie before each series' new bound. Reads times only, and only files that reach there. */
async function countHidden(
  context: StoreContext,
  interval: Interval,
  part: readonly { readonly series: SeriesRef; readonly to: number }[],
): Promise<number> {
  let hidden = 0
  for (const sourceId of new Set(part.map((entry) => entry.series.sourceId))) {
    const list = part.filter((entry) => entry.series.sourceId === sourceId)
    const selection = {
      interval,
      ids: list.map((entry) => entry.series.id),
      symbols: list.map((entry) => entry.series.symbol),
    }
    const to = list.reduce((most, entry) => Math.max(most, entry.to), -Infinity)
    const { rows } = await readSeries(context, context.sql, selection, {
      from: -Infinity,
      to,
      rows: 'visible',
      columns: 'times',
    })
    hidden += countBelow(rows, list)
  }
  return hidden
}

function countBelow(rows: BarColumns, list: readonly { readonly to: number }[]): number {
  let count = 0
  for (let row = 0; row < rows.length; row++) if (rows.time[row]! < list[rows.series[row]!]!.to) count++
  return count
}
