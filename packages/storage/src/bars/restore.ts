import { type Interval, type SqlTx, sqlName } from '@varve/core'
import type { BarRetentionPolicy } from '../BarStore.ts'
import { encodeBarCopy } from '../hot/copyEncoder.ts'
import { ensurePartitions, isPartitionMissing, spansOf } from '../hot/partitions.ts'
import { loadWatermark, lockWatermark } from './archive.ts'
import type { BarColumns } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { barCopy } from './commit.ts'
import { MIN_TIME, clampTime } from './instants.ts'
import { type StoreContext, chunkSize, chunksOf } from './options.ts'
import { readSeries } from './readSeries.ts'
import type { SeriesRef } from './seriesCatalog.ts'
import { loadTiers } from './tiers.ts'

interface Wanted extends SeriesRef {
  /** Hot start the policy asks for, not above the watermark. */
  readonly wanted: number
  /** Hot start when the work was listed; only to size chunks and ranges. */
  readonly hotFrom: number
}

/** Rows of the lake that are to be hot, and the state of their series they were read in. */
interface Restorable {
  /** `series` is a position in `moves`. */
  readonly rows: BarColumns
  /** The rows to copy, ascending. */
  readonly picked: Int32Array
  readonly moves: readonly Move[]
}

interface Move {
  readonly id: number
  readonly revision: bigint
  /** New and old hot start. */
  readonly from: number
  readonly to: number
}

/**
 * Lowers the hot start of series whose policy asks for more than they keep, such as those of a promoted symbol: what
 * the lake answers there, corrections included, is copied to Postgres in the transaction that lowers `hot_from`.
 * The lake keeps its rows, as always below the watermark. Loads go on meanwhile; series they changed are read again,
 * and the last try holds loads off.
 *
 * @returns rows copied
 */
export async function restoreHot(
  context: StoreContext,
  policy: BarRetentionPolicy,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { interval } = policy
  const watermark = await loadWatermark(context.sql, interval)
  if (watermark === undefined) return 0
  const lowered = (await loadTiers(context.sql, interval)).flatMap((series): Wanted[] => {
    if (policy.restore?.(series.symbol, series.source) === false) return []
    const wanted = Math.min(watermark, clampTime(policy.hotFrom(series.symbol, series.source)))
    // What has expired stays expired: it is in no file that a reader may use.
    return Math.max(wanted, series.coldFrom ?? MIN_TIME) < series.hotFrom ? [{ ...series, wanted }] : []
  })
  if (lowered.length === 0) return 0
  let restored = 0
  const { from, to } = rangeOf(lowered)
  const size = chunkSize(context, interval, from, to)
  for (const sourceId of new Set(lowered.map((series) => series.sourceId))) {
    const ofSource = lowered.filter((series) => series.sourceId === sourceId)
    for (const chunk of chunksOf(ofSource, size))
      restored += await restoreChunk(context, interval, chunk, signal)
  }
  return restored
}

async function restoreChunk(
  context: StoreContext,
  interval: Interval,
  chunk: readonly Wanted[],
  signal: AbortSignal | undefined,
): Promise<number> {
  const { sql, archiveAttempts } = context
  let restored = 0
  let left = chunk
  for (let attempt = 1; left.length > 0; attempt++) {
    signal?.throwIfAborted()
    const last = attempt >= archiveAttempts
    const found = await readRestorable(context, sql, interval, left)
    const table = barTable(interval)
    await ensurePartitions(sql, table, spansOf(table, found.rows.time, found.picked))
    try {
      const done = await sql.tx(async (tx) => {
        if (!last) return lower(context, tx, interval, found)
        await lockWatermark(tx, interval)
        const ids = left.map((series) => series.id).sort((a, b) => a - b)
        await tx.query('SELECT FROM series WHERE id = ANY($1::int[]) ORDER BY id FOR NO KEY UPDATE', [ids])
        return lower(context, tx, interval, await readRestorable(context, tx, interval, left))
      })
      restored += done.rows
      left = left.filter((series) => done.stale.has(series.id))
    } catch (error) {
      // Another retention dropped a month between the two steps.
      if (!isPartitionMissing(error) || last) throw error
    }
  }
  return restored
}

/** What the lake answers between the wanted and the present hot start of each series. */
async function readRestorable(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  series: readonly Wanted[],
): Promise<Restorable> {
  const ids = series.map((entry) => entry.id)
  const selection = { interval, ids, symbols: series.map((entry) => entry.symbol) }
  const { rows, snapshot } = await readSeries(context, tx, selection, {
    ...rangeOf(series),
    rows: 'visible',
    columns: 'all',
  })
  const moves = series.map((entry, index): Move => {
    const state = snapshot.states[index]!
    const from = Math.max(entry.wanted, state.coldFrom ?? MIN_TIME)
    return { id: entry.id, revision: state.revision, from: Math.min(from, state.hotFrom), to: state.hotFrom }
  })
  const picked = new Int32Array(rows.length)
  let count = 0
  for (let row = 0; row < rows.length; row++) {
    const { from, to } = moves[rows.series[row]!]!
    const time = rows.time[row]!
    if (time >= from && time < to) picked[count++] = row
  }
  return { rows, picked: picked.subarray(0, count), moves }
}

/** Writes the rows of all series that are still as they were read; the others are left as they are. */
async function lower(
  context: StoreContext,
  tx: SqlTx,
  interval: Interval,
  { rows, picked, moves }: Restorable,
): Promise<{ readonly rows: number; readonly stale: ReadonlySet<number> }> {
  const { rows: found } = await tx.query<{ id: number; revision: bigint; leftover: boolean }>(
    `SELECT id, revision, hot_cleaned_to < hot_from AS leftover FROM series WHERE id = ANY($1::int[])
     ORDER BY id FOR NO KEY UPDATE`,
    [moves.map((move) => move.id)],
  )
  const now = new Map(found.map((row) => [row.id, row]))
  const stale = new Set<number>()
  const fresh = new Set<number>()
  const lowering: Move[] = []
  const leftover: Move[] = []
  moves.forEach((move, series) => {
    const state = now.get(move.id)
    if (state?.revision !== move.revision) stale.add(move.id)
    else if (move.from < move.to) {
      fresh.add(series)
      lowering.push(move)
      if (state.leftover) leftover.push(move)
    }
  })
  if (lowering.length === 0) return { rows: 0, stale }
  // Before any row is written, so that nobody can drop the months from here on.
  await tx.query(
    `UPDATE series s SET hot_from = n.hot_from, hot_cleaned_to = least(s.hot_cleaned_to, n.hot_from), revision = revision + 1
     FROM unnest($1::int[], $2::timestamptz[]) AS n(id, hot_from) WHERE s.id = n.id`,
    [lowering.map((move) => move.id), lowering.map((move) => new Date(move.from))],
  )
  await deleteLeftover(tx, interval, leftover)
  const copied = picked.filter((row) => fresh.has(rows.series[row]!))
  if (copied.length > 0) {
    const seriesIds = moves.map((move) => move.id)
    await tx.copyIn(
      barCopy(interval),
      encodeBarCopy(rows, { seriesIds, rows: copied, chunkBytes: context.copyChunkBytes }),
    )
  }
  return { rows: copied.length, stale }
}

/** Rows that were still to be deleted when `hot_from` rose over them may be older than the lake's corrections. */
async function deleteLeftover(tx: SqlTx, interval: Interval, moves: readonly Move[]): Promise<void> {
  if (moves.length === 0) return
  const from = moves.reduce((least, move) => Math.min(least, move.from), Infinity)
  const to = moves.reduce((most, move) => Math.max(most, move.to), -Infinity)
  await tx.query(
    `DELETE FROM ${sqlName(barTable(interval).name)} b USING unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS n(id, time_min, time_end)
     WHERE b.series_id = n.id AND b.ts >= n.time_min AND b.ts < n.time_end AND b.ts >= $4 AND b.ts < $5`,
    [
      moves.map((move) => move.id),
      moves.map((move) => new Date(move.from)),
      moves.map((move) => new Date(move.to)),
      new Date(from),
      new Date(to),
    ],
  )
}

function rangeOf(series: readonly Wanted[]): { readonly from: number; readonly to: number } {
  return {
    from: series.reduce((least, entry) => Math.min(least, entry.wanted), Infinity),
    to: series.reduce((most, entry) => Math.max(most, entry.hotFrom), -Infinity),
  }
}
