import type { Interval, SqlTx } from '@varve/core'
import type { StoreContext } from './options.ts'

/** A stretch of time whose bars share lake files: a calendar year or month (UTC); `to` is excluded. */
export interface LakePeriod {
  readonly from: number
  readonly to: number
}

/** What compaction knows of a file before it decides. */
export interface CompactFile {
  readonly id: number
  readonly path: string
  readonly rows: number
  readonly timeMin: number
  readonly timeMax: number
  readonly symbolMin: string
  readonly symbolMax: string
  /** Rows below their series' `cold_from`, estimated from the span of each series. */
  readonly expired: number
}

/** Corrections of one symbol. */
export interface LateSpan {
  readonly symbol: string
  readonly timeMin: number
  readonly timeMax: number
}

/** Files to be rewritten together: disjoint from every other group in time or in symbols. */
export interface CompactGroup extends LakePeriod {
  readonly symbolMin: string
  readonly symbolMax: string
  readonly files: readonly CompactFile[]
  readonly late: readonly LateSpan[]
}

/**
 * The period a bar belongs to once compacted: a year that lies wholly before the watermark, else a month.
 */
export function periodOf(time: number, watermark: number): LakePeriod {
  const year = new Date(time).getUTCFullYear()
  const yearEnd = Date.UTC(year + 1, 0, 1)
  if (yearEnd <= watermark) return { from: Date.UTC(year, 0, 1), to: yearEnd }
  const month = new Date(time).getUTCMonth()
  return { from: Date.UTC(year, month, 1), to: Date.UTC(year, month + 1, 1) }
}

interface Item {
  readonly from: number
  readonly to: number
  readonly symbolMin: string
  readonly symbolMax: string
  readonly file?: CompactFile
  readonly late?: LateSpan
}

/**
 * Files and corrections by what they share, first periods, then symbols: only what changed is rewritten. A file over
 * several periods ties them together, once; what compaction writes lies in one period each.
 */
export function compactGroups(
  files: readonly CompactFile[],
  late: readonly LateSpan[],
  watermark: number,
): CompactGroup[] {
  const items: Item[] = [
    ...files.map((file) => ({
      ...spanOf(file, watermark),
      symbolMin: file.symbolMin,
      symbolMax: file.symbolMax,
      file,
    })),
    ...late.map((entry) => ({
      ...spanOf(entry, watermark),
      symbolMin: entry.symbol,
      symbolMax: entry.symbol,
      late: entry,
    })),
  ]
  const byTime = connected(
    items.sort((a, b) => a.from - b.from),
    (end: number, item) => item.from < end,
    (end, item) => Math.max(end, item.to),
    -Infinity,
  )
  return byTime.flatMap((sameTime) =>
    connected(
      sameTime.sort((a, b) => (a.symbolMin < b.symbolMin ? -1 : a.symbolMin > b.symbolMin ? 1 : 0)),
      (end: string, item) => item.symbolMin <= end,
      (end, item) => (item.symbolMax > end ? item.symbolMax : end),
      '',
    ).map((group) => ({
      from: group.reduce((least, item) => Math.min(least, item.from), Infinity),
      to: group.reduce((most, item) => Math.max(most, item.to), -Infinity),
      symbolMin: group[0]!.symbolMin,
      symbolMax: group.reduce((most, item) => (item.symbolMax > most ? item.symbolMax : most), ''),
      files: group.flatMap((item) => item.file ?? []),
      late: group.flatMap((item) => item.late ?? []),
    })),
  )
}

function spanOf(
  entry: { readonly timeMin: number; readonly timeMax: number },
  watermark: number,
): LakePeriod {
  return { from: periodOf(entry.timeMin, watermark).from, to: periodOf(entry.timeMax, watermark).to }
}

/** Sorted items in runs that overlap. */
function connected<End>(
  items: readonly Item[],
  overlaps: (end: End, item: Item) => boolean,
  extend: (end: End, item: Item) => End,
  nothing: End,
): Item[][] {
  const runs: Item[][] = []
  let end = nothing
  for (const item of items) {
    const run = runs.at(-1)
    if (run === undefined || !overlaps(end, item)) {
      runs.push([item])
      end = extend(nothing, item)
    } else {
      run.push(item)
      end = extend(end, item)
    }
  }
  return runs
}

/** Whether a group has corrections, more files than it needs, or a good share of expired rows. */
export function isWorthwhile(context: StoreContext, group: CompactGroup, watermark: number): boolean {
  const { files, late } = group
  if (late.length > 0) return true
  const rows = files.reduce((sum, file) => sum + file.rows, 0)
  const expired = files.reduce((sum, file) => sum + file.expired, 0)
  let periods = 0
  for (let at = group.from; at < group.to; at = periodOf(at, watermark).to) periods++
  const fewest = Math.max(periods, Math.ceil(rows / context.maxFileRows))
  return files.length > fewest + context.compactSpareFiles || expired > rows * context.compactExpiredShare
}

/** Live files of a source and the corrections that wait for them. */
export async function loadCompactState(
  tx: SqlTx,
  interval: Interval,
  sourceId: number,
): Promise<{ readonly files: CompactFile[]; readonly late: LateSpan[] }> {
  const { rows: files } = await tx.query<{
    id: bigint
    path: string
    rows: number
    symbol_min: string
    symbol_max: string
    time_min: Date
    time_max: Date
    expired: number
  }>(
    `SELECT f.id, f.path, f.rows::float8 AS rows, f.symbol_min, f.symbol_max, f.time_min, f.time_max,
       (SELECT coalesce(sum(CASE WHEN e.time_max < s.cold_from THEN e.rows
           ELSE e.rows * extract(epoch FROM s.cold_from - e.time_min) / extract(epoch FROM e.time_max - e.time_min) END), 0)::float8
        FROM lake_file_series e JOIN series s ON s.id = e.series_id
        WHERE e.file_id = f.id AND e.time_min < s.cold_from) AS expired
     FROM lake_files f WHERE f.interval = $1 AND f.source_id = $2 AND f.removed_at IS NULL ORDER BY f.id`,
    [interval, sourceId],
  )
  const { rows: late } = await tx.query<{ symbol: string; time_min: Date; time_max: Date }>(
    `SELECT s.symbol, min(l.ts) AS time_min, max(l.ts) AS time_max FROM bars_late l JOIN series s ON s.id = l.series_id
     WHERE s.interval = $1 AND s.source_id = $2 GROUP BY s.symbol, date_trunc('month', l.ts, 'UTC')`,
    [interval, sourceId],
  )
  return {
    files: files.map((row) => ({
      id: Number(row.id),
      path: row.path,
      rows: row.rows,
      timeMin: row.time_min.getTime(),
      timeMax: row.time_max.getTime(),
      symbolMin: row.symbol_min,
      symbolMax: row.symbol_max,
      expired: row.expired,
    })),
    late: late.map((row) => ({
      symbol: row.symbol,
      timeMin: row.time_min.getTime(),
      timeMax: row.time_max.getTime(),
    })),
  }
}
