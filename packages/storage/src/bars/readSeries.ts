import { type Interval, type SqlTx, isVarveError } from '@varve/core'
import type { RowFilter } from '../lake/parquetReader.ts'
import { BarColumns, orderOf, sortColumns } from './BarColumns.ts'
import { MAX_TIME } from './instants.ts'
import type { StoreContext } from './options.ts'
import { type Snapshot, type SnapshotFile, type SnapshotQuery, loadSnapshot } from './snapshot.ts'

/** Series to read, of one interval and source, by symbol in code-unit order. */
export interface SeriesSelection {
  readonly interval: Interval
  readonly ids: readonly number[]
  readonly symbols: readonly string[]
}

export interface ReadRange extends Pick<SnapshotQuery, 'from' | 'to' | 'rows' | 'values'> {
  /** @defaultValue true */
  readonly includeLate?: boolean
}

/** Rows of some series, sorted by series and time, each key once, with the picture they were taken from. */
export interface SeriesRows {
  readonly rows: BarColumns
  readonly snapshot: Snapshot
}

/** Times a read starts over because compaction replaced a file under it and a sweep removed it. */
const RESTARTS = 3

/** Reads series exactly: the snapshot, then the lake rows it refers to, corrected by its late rows. */
export async function readSeries(
  context: StoreContext,
  tx: SqlTx,
  selection: SeriesSelection,
  range: ReadRange,
): Promise<SeriesRows> {
  for (let attempt = 0; ; attempt++) {
    const snapshot = await loadSnapshot(tx, {
      ...range,
      interval: selection.interval,
      seriesIds: selection.ids,
    })
    try {
      const lake = await readLakeRows(context, selection, snapshot, range)
      const cold = range.includeLate === false ? lake : overlay(lake, snapshot.late, selection.ids.length)
      return {
        rows: appendHot(cold, sortColumns(snapshot.hot, selection.ids.length), selection.ids.length),
        snapshot,
      }
    } catch (error) {
      if (
        !isVarveError(error, 'LAKE_UNREADABLE') ||
        attempt >= RESTARTS ||
        (await allLive(tx, snapshot.files))
      )
        throw error
    }
  }
}

/** Whether the catalog still lists every file; if not, the snapshot is outdated rather than the lake damaged. */
async function allLive(tx: SqlTx, files: readonly SnapshotFile[]): Promise<boolean> {
  const { rows } = await tx.query<{ live: number }>(
    'SELECT count(*)::int AS live FROM lake_files WHERE id = ANY($1::bigint[]) AND removed_at IS NULL',
    [files.map((file) => file.id)],
  )
  return rows[0]?.live === files.length
}

async function readLakeRows(
  context: StoreContext,
  selection: SeriesSelection,
  snapshot: Snapshot,
  range: ReadRange,
): Promise<BarColumns> {
  const target = new BarColumns()
  if (snapshot.files.length === 0) return target
  const count = selection.ids.length
  const from = new Float64Array(count)
  const to = new Float64Array(count)
  const series = new Int32Array(count)
  for (let index = 0; index < count; index++) {
    const state = snapshot.states[index]
    series[index] = index
    const coldFrom = range.rows === 'visible' ? (state?.coldFrom ?? -Infinity) : -Infinity
    const lakeEnd = range.rows === 'lake' ? MAX_TIME : (state?.hotFrom ?? -Infinity)
    from[index] = Math.max(range.from, coldFrom)
    to[index] = Math.min(range.to, lakeEnd)
  }
  const filter: RowFilter = { symbols: selection.symbols, series, from, to }
  for (const file of snapshot.files) await context.reader.read(file, filter, target, range.values === false)
  return sortColumns(target, count)
}

/** Lake rows with the late ones laid over them, sorted. */
function overlay(lake: BarColumns, lateRows: BarColumns, seriesCount: number): BarColumns {
  if (lateRows.length === 0) return lake
  const late = sortColumns(lateRows, seriesCount)
  const merged = new BarColumns(lake.length + late.length)
  let i = 0
  let j = 0
  while (i < lake.length || j < late.length) {
    const order = i === lake.length ? 1 : j === late.length ? -1 : compareKeys(lake, i, late, j)
    if (order < 0) merged.addFrom(lake, i++)
    else {
      merged.addFrom(late, j++)
      if (order === 0) i++
    }
  }
  return merged
}

function compareKeys(a: BarColumns, i: number, b: BarColumns, j: number): number {
  return a.series[i]! - b.series[j]! || a.time[i]! - b.time[j]!
}

/** Cold rows of each series, then its hot rows; both are sorted and every cold row is older. */
function appendHot(cold: BarColumns, hot: BarColumns, seriesCount: number): BarColumns {
  if (hot.length === 0) return cold
  if (cold.length === 0) return hot
  const both = new BarColumns(cold.length + hot.length)
  let i = 0
  let j = 0
  for (let series = 0; series < seriesCount; series++) {
    while (i < cold.length && cold.series[i] === series) both.addFrom(cold, i++)
    while (j < hot.length && hot.series[j] === series) both.addFrom(hot, j++)
  }
  if (orderOf(both, seriesCount) !== undefined) throw new Error('rows of the lake and of Postgres overlap')
  return both
}
