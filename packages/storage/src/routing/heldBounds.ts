import type { Interval, SqlTx } from '@varve/core'
import type { HeldBounds } from './route.ts'

/** Looks up what the tiers hold of symbols; the latest hot start among them, all of them when left out. */
export type HeldBoundsLookup = (
  interval: Interval,
  symbols: readonly string[] | undefined,
) => Promise<HeldBounds>

/** Bounds of the series themselves, by one statement. */
export function createHeldBounds(sql: SqlTx): HeldBoundsLookup {
  return async (interval, symbols) => {
    const { rows } = await sql.query<{ readonly archived_to: Date; readonly hot_from: Date | null }>(
      `SELECT w.archived_to,
         (SELECT max(s.hot_from) FROM series s
          WHERE s.interval = w.interval AND ($2::text[] IS NULL OR s.symbol = ANY($2))) AS hot_from
       FROM watermarks w WHERE w.interval = $1`,
      [interval, symbols ?? null],
    )
    const row = rows[0]
    if (row === undefined) return { hotFrom: undefined, watermark: undefined }
    const watermark = row.archived_to.getTime()
    return { hotFrom: row.hot_from?.getTime() ?? watermark, watermark }
  }
}
