import { type Interval, type SqlTx, sqlName } from '@varve/core'
import { type CopyRow, decodeCopy, int32, int64 } from '../hot/copyDecoder.ts'
import { PG_EPOCH_MS } from '../hot/copyEncoder.ts'
import { decodeNumeric } from '../hot/numericCodec.ts'
import type { BarFileColumns, LakeFileRef } from '../lake/parquetReader.ts'
import { BarColumns, VALUE_COLUMNS, setSafeInteger } from './BarColumns.ts'
import { barTable } from './barTables.ts'
import { MAX_TIME, MIN_TIME, idArrayLiteral, timeLiteral } from './instants.ts'

/** Where one series' rows are and which of them count. */
export interface SeriesState {
  readonly hotFrom: number
  readonly coldFrom: number | null
  readonly revision: bigint
}

/** The catalog's entry of a live lake file. */
export interface SnapshotFile extends LakeFileRef {
  readonly id: number
}

/** One consistent picture of some series, from one statement. Lake rows are still to be read from the files. */
export interface Snapshot {
  /** Watermark of the interval. */
  readonly watermark: number | undefined
  /** By position in the ids asked for; `undefined` where there is no such series. */
  readonly states: readonly (SeriesState | undefined)[]
  readonly files: readonly SnapshotFile[]
  /** Rows of `bars`; `series` is the position in the ids asked for. */
  readonly hot: BarColumns
  /** Rows of `bars_late`. */
  readonly late: BarColumns
  /** Per late row: 1 when no lake file holds it. */
  readonly lateAdded: readonly number[]
  /** With `knownAt`: rows of `bar_versions`, per key the one in force then. */
  readonly versions: BarColumns
}

export interface SnapshotQuery {
  readonly interval: Interval
  readonly seriesIds: readonly number[]
  /** First instant, included, and last, excluded. */
  readonly from: number
  readonly to: number
  /**
   * `visible`: hot rows from `hot_from`, lake rows before it and not expired. `stored`: the same, expired lake
   * rows included. `lake`: only what the lake holds, up to the watermark, expired rows included. `hot`: only the hot
   * rows of `visible`. `cold`: what of the lake has not expired, up to the watermark.
   */
  readonly rows: 'visible' | 'stored' | 'lake' | 'hot' | 'cold'
  /** `times` leaves prices and volume zero; `all` also fetches when each row was recorded. @defaultValue 'values' */
  readonly columns?: BarFileColumns
  /** Fetches the versions in force at this instant too, milliseconds UTC. */
  readonly knownAt?: number
}

/** COPY takes no parameters, so that these stand in its text. */
const INTERVAL_LITERALS: Readonly<Record<Interval, string>> = {
  tick: "'tick'",
  '1m': "'1m'",
  '5m': "'5m'",
  '15m': "'15m'",
  '1h': "'1h'",
  '1d': "'1d'",
}

const KIND_WATERMARK = 0
const KIND_SERIES = 1
const KIND_FILE = 2
const KIND_LATE = 3
const KIND_LATE_ADDED = 4
const KIND_HOT = 5
const KIND_VERSION = 6
/** kind, series, ts, recorded_at, five values, text */
const FIELDS = 4 + VALUE_COLUMNS + 1
const VALUES = 'open, high, low, close, volume'
const NO_VALUES = 'NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric, NULL::numeric'

/**
 * Watermark, bounds, files, corrections and hot rows in ONE statement, hence one snapshot: a move between hot and
 * cold is either wholly in it or not at all. Only numbers and instants of ours are placed in the text.
 */
export async function loadSnapshot(tx: SqlTx, query: SnapshotQuery): Promise<Snapshot> {
  const { seriesIds, rows, columns = 'values', knownAt } = query
  const ids = idArrayLiteral(seriesIds)
  const from = timeLiteral(Math.max(query.from, MIN_TIME))
  const to = timeLiteral(Math.min(query.to, MAX_TIME))
  const wholeLake = rows === 'lake' || rows === 'cold'
  // A read of hot rows alone names no file, so that it does without the lake.
  const lakeEnd = (time: string) => (wholeLake ? '' : `AND ${time} < s.hot_from AND ${from} < s.hot_from`)
  const unexpired = (time: string) =>
    rows === 'visible' || rows === 'cold' ? `AND (s.cold_from IS NULL OR ${time} >= s.cold_from)` : ''
  const withValues = columns !== 'times'
  const withRecorded = columns === 'all' || knownAt !== undefined
  const picked = (alias: string) =>
    `${withRecorded ? `${alias}.recorded_at` : 'NULL::timestamptz'}, ${withValues ? VALUES.replaceAll(/\w+/g, (name) => `${alias}.${name}`) : NO_VALUES}`
  const nothing = `NULL::timestamptz, ${NO_VALUES}`
  const parts = [
    `SELECT ${KIND_WATERMARK}::int2, 0::int4, w.archived_to, ${nothing}, NULL::text FROM watermarks w WHERE w.interval = ${INTERVAL_LITERALS[query.interval]}`,
    `SELECT ${KIND_SERIES}::int2, s.id, s.hot_from, ${nothing},
      s.revision || ' ' || coalesce((extract(epoch FROM s.cold_from) * 1000)::bigint::text, '')
    FROM series s WHERE s.id = ANY(${ids})`,
  ]
  if (rows !== 'hot') {
    parts.push(
      `SELECT ${KIND_FILE}::int2, 0::int4, f.time_min, ${nothing}, f.id || ' ' || f.bytes || ' ' || f.rows || ' ' || f.path
    FROM lake_files f WHERE f.removed_at IS NULL AND f.id IN (
      SELECT e.file_id FROM lake_file_series e JOIN series s ON s.id = e.series_id
      WHERE e.series_id = ANY(${ids}) AND e.time_max >= ${from} AND e.time_min < ${to}
        ${lakeEnd('e.time_min')} ${unexpired('e.time_max')})`,
      `SELECT CASE WHEN l.added THEN ${KIND_LATE_ADDED} ELSE ${KIND_LATE} END::int2, l.series_id, l.ts, ${picked('l')}, NULL::text
    FROM bars_late l JOIN series s ON s.id = l.series_id
    WHERE l.series_id = ANY(${ids}) AND l.ts >= ${from} AND l.ts < ${to} ${lakeEnd('l.ts')} ${unexpired('l.ts')}`,
    )
  }
  if (!wholeLake) {
    parts.push(`SELECT ${KIND_HOT}::int2, b.series_id, b.ts, ${picked('b')}, NULL::text
    FROM ${sqlName(barTable(query.interval).name)} b
    WHERE b.series_id = ANY(${ids}) AND b.ts >= ${from} AND b.ts < ${to}`)
  }
  if (knownAt !== undefined) {
    parts.push(`SELECT * FROM (SELECT DISTINCT ON (v.series_id, v.ts) ${KIND_VERSION}::int2, v.series_id, v.ts, ${picked('v')}, NULL::text
    FROM bar_versions v WHERE v.series_id = ANY(${ids}) AND v.ts >= ${from} AND v.ts < ${to}
      AND v.recorded_at <= ${timeLiteral(knownAt)} ORDER BY v.series_id, v.ts, v.recorded_at DESC) known`)
  }
  const statement = `COPY (
    ${parts.join('\n    UNION ALL\n    ')}
  ) TO STDOUT (FORMAT binary)`

  const position = new Map(seriesIds.map((id, index) => [id, index]))
  const states: (SeriesState | undefined)[] = seriesIds.map(() => undefined)
  const files: SnapshotFile[] = []
  const hot = new BarColumns()
  const late = new BarColumns()
  const versions = new BarColumns()
  const lateAdded: number[] = []
  let watermark: number | undefined
  let lastId = -1
  let lastPosition = -1
  await decodeCopy(tx.copyOut(statement), FIELDS, (row) => {
    const kind = row.data[row.starts[0]! + 1]!
    const time = timeOf(row)
    switch (kind) {
      case KIND_WATERMARK:
        watermark = time
        break
      case KIND_SERIES: {
        const [revision = '0', coldFrom = ''] = textOf(row).split(' ')
        states[position.get(int32(row.data, row.starts[1]!))!] = {
          hotFrom: time,
          coldFrom: coldFrom === '' ? null : Number(coldFrom),
          revision: BigInt(revision),
        }
        break
      }
      case KIND_FILE: {
        const [id, bytes, fileRows, ...path] = textOf(row).split(' ')
        files.push({ id: Number(id), bytes: Number(bytes), rows: Number(fileRows), path: path.join(' ') })
        break
      }
      default: {
        const id = int32(row.data, row.starts[1]!)
        if (id !== lastId) {
          lastId = id
          lastPosition = position.get(id)!
        }
        const target = kind === KIND_HOT ? hot : kind === KIND_VERSION ? versions : late
        const at = target.reserve()
        target.series[at] = lastPosition
        target.time[at] = time
        if (withRecorded) target.recorded[at] = int64(row.data, row.starts[3]!) / 1000 + PG_EPOCH_MS
        for (let column = 0; column < VALUE_COLUMNS; column++) {
          if (withValues)
            decodeNumeric(
              row.data,
              row.starts[4 + column]!,
              target.words[column]!,
              target.values[column]!,
              at,
            )
          else setSafeInteger(target.words[column]!, at, 0)
        }
        if (target === late) lateAdded.push(kind === KIND_LATE_ADDED ? 1 : 0)
      }
    }
  })
  files.sort((a, b) => a.id - b.id)
  dropLeftBehind(hot, states)
  return { watermark, states, files, hot, late, lateAdded, versions }
}

const decoder = new TextDecoder()

function textOf(row: CopyRow): string {
  const start = row.starts[FIELDS - 1]!
  return decoder.decode(row.data.subarray(start, start + row.lengths[FIELDS - 1]!))
}

function timeOf(row: CopyRow): number {
  return int64(row.data, row.starts[2]!) / 1000 + PG_EPOCH_MS
}

/**
 * Rows before their series' hot start are no longer Postgres' to answer; they wait to be deleted. Dropped here rather
 * than by a join, which costs the server a third of a wide read.
 */
function dropLeftBehind(hot: BarColumns, states: readonly (SeriesState | undefined)[]): void {
  let kept = 0
  for (let row = 0; row < hot.length; row++) {
    if (hot.time[row]! < (states[hot.series[row]!]?.hotFrom ?? Infinity)) continue
    if (kept < row) hot.move(row, kept)
    kept++
  }
  hot.length = kept
}
