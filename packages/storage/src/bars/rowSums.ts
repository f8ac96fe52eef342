import { type Interval, type SqlTx, sqlName } from '@varve/core'
import { barTable } from './barTables.ts'
import { type BarColumns, HIGH_WORD, LOW_WORD, VALUE_COLUMNS } from './BarColumns.ts'

/**
 * A checksum of bars that Postgres and JavaScript compute independently: the number of rows and, per column (when
 * each was recorded included), the sum of value × weight, where the weight comes from the row's series and time. A row lost, doubled, changed or
 * swapped with another changes it.
 */

/** A prime near 2^30, so that weights spread well. */
const MODULUS = 1_073_741_789
const SERIES_FACTOR = 7_919
const SECOND_MS = 1000

const WEIGHT_SQL = `(1 + (b.series_id::bigint * ${SERIES_FACTOR} + floor(extract(epoch FROM b.ts) * 1000 / ${SECOND_MS})::bigint
  * 31 + (extract(epoch FROM b.ts) * 1000)::bigint % ${SECOND_MS}) % ${MODULUS})`

/** Rows of one series from `timeMin` to `timeMax`, both included. */
export interface SumRange {
  readonly seriesId: number
  readonly timeMin: number
  readonly timeMax: number
}

/** The checksum of rows in Postgres' `bars`. */
export async function sumsInPostgres(
  tx: SqlTx,
  interval: Interval,
  ranges: readonly SumRange[],
): Promise<string> {
  const sums = ['open', 'high', 'low', 'close', 'volume']
    .map((name) => `(b.${name} * 1000000)::bigint`)
    .concat('(extract(epoch FROM b.recorded_at) * 1000)::bigint')
    .map((value) => `coalesce(sum(${value} * w.weight::numeric), 0)::text`)
    .join(` || ' ' || `)
  const times = ranges.flatMap((range) => [range.timeMin, range.timeMax])
  const { rows } = await tx.query<{ sums: string }>(
    `SELECT count(*)::text || ' ' || ${sums} AS sums
     FROM unnest($1::int[], $2::timestamptz[], $3::timestamptz[]) AS n(id, time_min, time_max)
     JOIN ${sqlName(barTable(interval).name)} b ON b.series_id = n.id AND b.ts >= n.time_min AND b.ts <= n.time_max
     CROSS JOIN LATERAL (SELECT ${WEIGHT_SQL} AS weight) w
     WHERE b.ts >= $4 AND b.ts <= $5`,
    [
      ranges.map((range) => range.seriesId),
      ranges.map((range) => new Date(range.timeMin)),
      ranges.map((range) => new Date(range.timeMax)),
      new Date(times.reduce((a, b) => Math.min(a, b), Infinity)),
      new Date(times.reduce((a, b) => Math.max(a, b), -Infinity)),
    ],
  )
  return rows[0]!.sums
}

/** The checksum of the same rows here. */
export function sumsOf(columns: BarColumns, seriesIds: ArrayLike<number>): string {
  const totals = Array.from({ length: VALUE_COLUMNS + 1 }, () => 0n)
  for (let row = 0; row < columns.length; row++) {
    const time = columns.time[row]!
    const seconds = Math.floor(time / SECOND_MS)
    const millis = time % SECOND_MS
    const weight = BigInt(
      1 + ((seriesIds[columns.series[row]!]! * SERIES_FACTOR + seconds * 31 + millis) % MODULUS),
    )
    for (let column = 0; column < VALUE_COLUMNS; column++) {
      const words = columns.words[column]!
      const value = (BigInt(words[2 * row + HIGH_WORD]!) << 32n) | BigInt(words[2 * row + LOW_WORD]! >>> 0)
      totals[column]! += value * weight
    }
    totals[VALUE_COLUMNS]! += BigInt(columns.recorded[row]!) * weight
  }
  return [columns.length, ...totals].join(' ')
}
