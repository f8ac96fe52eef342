import { type Interval, type SqlTx, type VarveError, publish } from '@varve/core'
import { isLakeFailure } from '../lake/lakeFailures.ts'
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
  /** Latest hot start of the series, as far as known; a read from there on first does without the lake. */
  readonly hotFrom?: number
}

export interface ReadRange extends Pick<SnapshotQuery, 'from' | 'to' | 'rows' | 'columns' | 'knownAt'> {
  /** @defaultValue true */
  readonly includeLate?: boolean
  /** `partial` answers with what Postgres holds when the lake cannot be read. @defaultValue 'error' */
  readonly onLakeFailure?: 'error' | 'partial'
}

/** Rows of some series, sorted by series and time, each key once, with the picture they were taken from. */
export interface SeriesRows {
  readonly rows: BarColumns
  readonly snapshot: Snapshot
  /** Why rows of the lake are missing, where that was allowed. */
  readonly lakeFailure?: VarveError
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
  const hot = await readHot(tx, selection, range)
  if (hot !== undefined) return hot
  for (let attempt = 0; ; attempt++) {
    const snapshot = await loadSnapshot(tx, {
      ...range,
      interval: selection.interval,
      seriesIds: selection.ids,
    })
    try {
      const lake = await readLakeRows(context, selection, snapshot, range)
      return { rows: combine(lake, snapshot, selection.ids.length, range), snapshot }
    } catch (error) {
      if (!isLakeFailure(error)) throw error
      if (attempt < RESTARTS && !(await allLive(tx, snapshot.files))) continue
      const { message } = error
      publish('alert', () => ({ key: `lake ${error.code}`, severity: 'critical', message }))
      if (range.onLakeFailure !== 'partial') throw error
      // Corrections without the rows around them would look like an answer; only whole hot rows are given.
      const hot = { ...snapshot, late: new BarColumns() }
      return {
        rows: combine(new BarColumns(), hot, selection.ids.length, range),
        snapshot,
        lakeFailure: error,
      }
    }
  }
}

/**
 * A range that should be hot altogether, by a statement without the lake: half of it to plan. The bounds come with it,
 * so `undefined` when they have moved past the range.
 */
async function readHot(
  tx: SqlTx,
  selection: SeriesSelection,
  range: ReadRange,
): Promise<SeriesRows | undefined> {
  const whole = range.rows === 'visible' || range.rows === 'stored'
  if (!whole || range.knownAt !== undefined || range.from < (selection.hotFrom ?? Infinity)) return undefined
  const snapshot = await loadSnapshot(tx, {
    ...range,
    rows: 'hot',
    interval: selection.interval,
    seriesIds: selection.ids,
  })
  if (!snapshot.states.every((state) => state !== undefined && state.hotFrom <= range.from)) return undefined
  return { rows: sortColumns(snapshot.hot, selection.ids.length), snapshot }
}

function combine(lake: BarColumns, snapshot: Snapshot, seriesCount: number, range: ReadRange): BarColumns {
  const cold = range.includeLate === false ? lake : overlay(lake, snapshot.late, seriesCount)
  const rows = appendHot(cold, sortColumns(snapshot.hot, seriesCount), seriesCount)
  return range.knownAt === undefined
    ? rows
    : asKnown(rows, sortColumns(snapshot.versions, seriesCount), range.knownAt)
}

/** Rows as they were known at an instant: those recorded later give way to the version then in force, if any. */
function asKnown(rows: BarColumns, versions: BarColumns, knownAt: number): BarColumns {
  const known = new BarColumns(rows.length)
  let at = 0
  for (let row = 0; row < rows.length; row++) {
    if (rows.recorded[row]! <= knownAt) {
      known.addFrom(rows, row)
      continue
    }
    while (at < versions.length && compareKeys(versions, at, rows, row) < 0) at++
    if (at < versions.length && compareKeys(versions, at, rows, row) === 0) known.addFrom(versions, at)
  }
  return known
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
    const hidden = range.rows === 'visible' || range.rows === 'cold'
    const coldFrom = hidden ? (state?.coldFrom ?? -Infinity) : -Infinity
    const wholeLake = range.rows === 'lake' || range.rows === 'cold'
    const lakeEnd = wholeLake ? MAX_TIME : (state?.hotFrom ?? -Infinity)
    from[index] = Math.max(range.from, coldFrom)
    to[index] = Math.min(range.to, lakeEnd)
  }
  const filter: RowFilter = { symbols: selection.symbols, series, from, to }
  const columns = range.knownAt === undefined ? range.columns : 'all'
  for (const file of snapshot.files) await context.reader.read(file, filter, target, columns)
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
