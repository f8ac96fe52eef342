import {
  type BarBatch,
  type BarSource,
  type Interval,
  type SqlTx,
  VarveError,
  isVarveError,
  publish,
} from '@varve/core'
import type { StageOptions, StagePlan, StagedBars } from '../BarStore.ts'
import { ensurePartitions, spansOf } from '../hot/partitions.ts'
import { type LakeFileContent, barFilePath, createBarFileWriter } from '../lake/parquetWriter.ts'
import { ensureSources, sourceName } from '../sources.ts'
import { BarColumns, sameValues } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { distinctBars } from './distinctBars.ts'
import { clampTime } from './instants.ts'
import { type StoreContext, chunkSize } from './options.ts'
import { readSeries } from './readSeries.ts'
import type { SeriesState } from './snapshot.ts'

/** A lake file written and waiting for its catalog row. */
export interface StagedFile {
  readonly path: string
  readonly content: Omit<LakeFileContent, 'bytes'>
  readonly bytes: number
  readonly seriesIds: readonly number[]
}

/** What `commit` needs, besides what callers see. */
export interface StagedRows extends StagedBars {
  readonly sourceId: number
  readonly watermark: number
  /** By position in the batch's symbols. */
  readonly seriesIds: readonly number[]
  readonly revisions: readonly bigint[]
  /** Row of the oldest bar below each series' `cold_from`, or `undefined`. */
  readonly reopenFrom: readonly (number | undefined)[]
  readonly rows: BarColumns
  readonly hotNew: Int32Array
  readonly hotChanged: Int32Array
  /** Rows that override the lake, and rows too few for a file. */
  readonly lateChanged: Int32Array
  readonly lateAdded: Int32Array
  /** Values that were in force before, with when they were recorded; series as in `rows`. */
  readonly versions: BarColumns
  readonly file: StagedFile | undefined
}

/** Compares a batch with the store and writes its lake file. See `BarStore.stage`. */
export async function stageBars(
  context: StoreContext,
  batch: BarBatch,
  plan: StagePlan,
  options: StageOptions = {},
): Promise<StagedRows> {
  const { sql } = context
  const { interval, source } = batch
  if (interval === 'tick') {
    throw new VarveError('ticks are no bars: several may share an instant; load them as trades', {
      code: 'BAR_INVALID',
      details: { interval },
    })
  }
  const recordedAt = clampTime(options.recordedAt ?? context.clock.now())
  const { symbols, rows, duplicates, conflicts } = distinctBars(batch, recordedAt)
  // An empty batch leaves no trace.
  const sourceId = rows.length === 0 ? 0 : (await ensureSources(sql, [source])).get(sourceName(source))!
  if (rows.length > 0) await ensureWatermark(sql, interval, plan)
  const seriesIds = await ensureSeries(sql, interval, sourceId, symbols, plan)
  options.signal?.throwIfAborted()

  const bounds = seriesBounds(rows, symbols.length)
  let compared: Compared | undefined
  while (compared === undefined) {
    compared = await compareWithStore(
      context,
      interval,
      rows,
      bounds,
      symbols,
      seriesIds,
      options.recordedAt !== undefined,
      options.signal,
    )
  }
  const { split, states } = compared
  const watermark = compared.watermark ?? clampTime(plan.initialWatermark)

  const parts = split.finish()
  const table = barTable(interval)
  await ensurePartitions(sql, table, spansOf(table, rows.time, parts.hotNew))
  options.signal?.throwIfAborted()
  const file =
    parts.coldNew.length >= context.minDeltaRows
      ? await writeDelta(context, interval, source, symbols, seriesIds, rows, parts.coldNew)
      : undefined
  const hotRows = parts.hotNew.length + parts.hotChanged.length
  const coldRows = parts.coldNew.length + parts.lateChanged.length
  return {
    interval,
    source,
    duplicates,
    conflicts,
    inserted: parts.inserted,
    updated: parts.updated,
    unchanged: rows.length - parts.inserted - parts.updated,
    hotRows,
    coldRows,
    versionRows: parts.versions.length,
    lakePath: file?.path,
    sourceId,
    watermark,
    seriesIds,
    revisions: states.map((state) => state.revision),
    reopenFrom: states.map((state, series) => {
      const first = bounds[series]! < bounds[series + 1]! ? rows.time[bounds[series]!]! : Infinity
      return state.coldFrom !== null && first < state.coldFrom ? first : undefined
    }),
    rows,
    hotNew: parts.hotNew,
    hotChanged: parts.hotChanged,
    lateChanged: parts.lateChanged,
    lateAdded: file === undefined ? parts.coldNew : new Int32Array(0),
    versions: parts.versions,
    file,
  }
}

interface Compared {
  readonly split: Splitter
  readonly states: readonly SeriesState[]
  readonly watermark: number | undefined
}

/** Compares chunk by chunk; `undefined` when the watermark moved between two chunks and it must be done again. */
async function compareWithStore(
  context: StoreContext,
  interval: Interval,
  rows: BarColumns,
  bounds: Int32Array,
  symbols: readonly string[],
  seriesIds: readonly number[],
  recordedGiven: boolean,
  signal: AbortSignal | undefined,
): Promise<Compared | undefined> {
  const split = new Splitter(rows.length)
  const states: SeriesState[] = []
  let watermark: number | undefined
  const span = timeRange(rows, 0, rows.length)
  const step = chunkSize(context, interval, span.from, span.to)
  for (let start = 0; start < symbols.length; start += step) {
    signal?.throwIfAborted()
    const end = Math.min(symbols.length, start + step)
    const range = timeRange(rows, bounds[start]!, bounds[end]!)
    const selection = { interval, ids: seriesIds.slice(start, end), symbols: symbols.slice(start, end) }
    const { rows: held, snapshot } = await readSeries(context, context.sql, selection, {
      ...range,
      rows: 'stored',
      columns: 'all',
    })
    if (start > 0 && snapshot.watermark !== watermark) return undefined
    watermark = snapshot.watermark
    for (const state of snapshot.states) states.push(state!)
    if (!recordedGiven) afterHeld(rows, bounds[start]!, bounds[end]!, held, start)
    split.compare(rows, bounds[start]!, bounds[end]!, held, start, watermark!, states)
  }
  return { split, states, watermark }
}

/**
 * A load without a time of its own is news, also on a machine whose clock is behind: its rows are recorded after
 * what is held, or they would be taken for history.
 */
function afterHeld(
  rows: BarColumns,
  start: number,
  end: number,
  held: BarColumns,
  firstSeries: number,
): void {
  let at = 0
  for (let row = start; row < end; row++) {
    const series = rows.series[row]! - firstSeries
    const time = rows.time[row]!
    while (
      at < held.length &&
      (held.series[at]! < series || (held.series[at] === series && held.time[at]! < time))
    )
      at++
    if (at === held.length) return
    if (held.series[at] === series && held.time[at] === time && held.recorded[at]! >= rows.recorded[row]!)
      rows.recorded[row] = held.recorded[at]! + 1
  }
}

export function staleError(found: string): VarveError {
  return new VarveError(`${found}; roll back, stage the batch again and commit that`, {
    code: 'STORAGE_STAGE_STALE',
    retryable: true,
  })
}

async function ensureWatermark(tx: SqlTx, interval: Interval, plan: StagePlan): Promise<void> {
  const { rows } = await tx.query('SELECT FROM watermarks WHERE interval = $1', [interval])
  if (rows.length > 0) return
  await tx.query('INSERT INTO watermarks (interval, archived_to) VALUES ($1, $2) ON CONFLICT DO NOTHING', [
    interval,
    new Date(clampTime(plan.initialWatermark)),
  ])
}

/** Ids of the series in the order of `symbols`, adding those that are new with their hot start. */
async function ensureSeries(
  tx: SqlTx,
  interval: Interval,
  sourceId: number,
  symbols: readonly string[],
  plan: StagePlan,
): Promise<number[]> {
  if (symbols.length === 0) return []
  const ids = new Map<string, number>()
  const load = async () => {
    const { rows } = await tx.query<{ id: number; symbol: string }>(
      'SELECT id, symbol FROM series WHERE interval = $1 AND source_id = $2 AND symbol = ANY($3::text[])',
      [interval, sourceId, symbols],
    )
    for (const row of rows) ids.set(row.symbol, row.id)
  }
  await load()
  const missing = symbols.filter((symbol) => !ids.has(symbol))
  if (missing.length > 0) {
    await tx.query(
      `INSERT INTO series (symbol, interval, source_id, hot_from, hot_cleaned_to)
       SELECT n.symbol, w.interval, $2::smallint, least(n.hot_from, w.archived_to), least(n.hot_from, w.archived_to)
       FROM unnest($3::text[], $4::timestamptz[]) AS n(symbol, hot_from), watermarks w WHERE w.interval = $1
       ORDER BY n.symbol ON CONFLICT DO NOTHING`,
      [interval, sourceId, missing, missing.map((symbol) => new Date(clampTime(plan.hotFrom(symbol))))],
    )
    await load()
  }
  return symbols.map((symbol) => ids.get(symbol)!)
}

/** Where each series' rows begin; one more entry than there are series. */
function seriesBounds(rows: BarColumns, seriesCount: number): Int32Array {
  const bounds = new Int32Array(seriesCount + 1)
  for (let row = 0; row < rows.length; row++) bounds[rows.series[row]! + 1] = row + 1
  for (let series = 0; series < seriesCount; series++)
    bounds[series + 1] = Math.max(bounds[series]!, bounds[series + 1]!)
  return bounds
}

function timeRange(rows: BarColumns, start: number, end: number): { from: number; to: number } {
  let from = Infinity
  let to = -Infinity
  for (let row = start; row < end; row++) {
    from = Math.min(from, rows.time[row]!)
    to = Math.max(to, rows.time[row]!)
  }
  return { from, to: to + 1 }
}

/** Sorts rows into what is new, changed and unchanged, hot and cold. */
class Splitter {
  inserted = 0
  updated = 0
  readonly #hotNew: Int32Array
  readonly #hotChanged: Int32Array
  readonly #coldNew: Int32Array
  readonly #lateChanged: Int32Array
  readonly #versions = new BarColumns(0)
  readonly #counts = { hotNew: 0, hotChanged: 0, coldNew: 0, lateChanged: 0 }

  constructor(capacity: number) {
    this.#hotNew = new Int32Array(capacity)
    this.#hotChanged = new Int32Array(capacity)
    this.#coldNew = new Int32Array(capacity)
    this.#lateChanged = new Int32Array(capacity)
  }

  /**
   * @param held - what the store has, sorted; its series are numbered from `firstSeries`
   */
  compare(
    rows: BarColumns,
    start: number,
    end: number,
    held: BarColumns,
    firstSeries: number,
    watermark: number,
    states: readonly SeriesState[],
  ): void {
    const counts = this.#counts
    let at = 0
    for (let row = start; row < end; row++) {
      const series = rows.series[row]! - firstSeries
      const time = rows.time[row]!
      while (
        at < held.length &&
        (held.series[at]! < series || (held.series[at] === series && held.time[at]! < time))
      )
        at++
      const known = at < held.length && held.series[at] === series && held.time[at] === time
      const same = known && sameValues(held, at, rows, row)
      if (known && rows.recorded[row]! < held.recorded[at]!) {
        // Known before what is in force now: history, and nothing else changes.
        this.#versions.addFrom(rows, row)
        continue
      }
      if (same) continue
      // Rows between the hot start and the watermark are kept in both places.
      const hot = time >= states[rows.series[row]!]!.hotFrom
      const cold = time < watermark
      if (known) {
        this.updated++
        this.#versions.addFrom(held, at, rows.series[row]!)
        if (hot) this.#hotChanged[counts.hotChanged++] = row
        if (cold) this.#lateChanged[counts.lateChanged++] = row
      } else {
        this.inserted++
        if (hot) this.#hotNew[counts.hotNew++] = row
        if (cold) this.#coldNew[counts.coldNew++] = row
      }
    }
  }

  finish() {
    const counts = this.#counts
    return {
      inserted: this.inserted,
      updated: this.updated,
      hotNew: this.#hotNew.slice(0, counts.hotNew),
      hotChanged: this.#hotChanged.slice(0, counts.hotChanged),
      coldNew: this.#coldNew.slice(0, counts.coldNew),
      lateChanged: this.#lateChanged.slice(0, counts.lateChanged),
      versions: this.#versions,
    }
  }
}

async function writeDelta(
  context: StoreContext,
  interval: Interval,
  source: BarSource,
  symbols: readonly string[],
  seriesIds: readonly number[],
  rows: BarColumns,
  wanted: Int32Array,
): Promise<StagedFile | undefined> {
  const { rowGroupRows, zstdLevel, lake } = context
  const writer = createBarFileWriter({ interval, source, symbols, rowGroupRows, zstdLevel })
  for (const row of wanted) writer.add(rows, row, row + 1)
  const { bytes, ...content } = writer.finish()!
  const path = barFilePath(interval, source, content.sha256)
  try {
    await lake.write(path, bytes)
  } catch (error) {
    // A lake that is out of reach does not hold up loads: Postgres keeps the rows until compaction writes them.
    if (!isVarveError(error)) throw error
    if (!error.retryable || wanted.length > context.outageRows) {
      publish('alert', () => ({ key: `lake ${error.code}`, severity: 'critical', message: error.message }))
      throw error
    }
    const { message } = error
    publish('alert', () => ({
      key: `lake ${error.code}`,
      severity: 'critical',
      message: `${wanted.length} cold rows wait in Postgres until the lake can be written: ${message}`,
    }))
    return undefined
  }
  return {
    path,
    content,
    bytes: bytes.length,
    seriesIds: content.series.map((entry) => seriesIds[entry.series]!),
  }
}
