import {
  type Clock,
  DAY_MS,
  HOUR_MS,
  type Interval,
  type SqlClient,
  checkedOptions,
  intervalMs,
  systemClock,
} from '@varve/core'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type BarStoreSettings, barStoreOptionsSchema } from '../options.ts'
import { type BarFileReader, createBarFileReader } from '../lake/parquetReader.ts'

/** Its data, with their defaults: {@link barStoreOptionsSchema}. */
export interface BarStoreOptions extends BarStoreSettings {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** What reads lake files, such as one of `@varve/storage/duckdb`. @defaultValue plain JavaScript */
  readonly reader?: BarFileReader
}

/** What the parts of the store share. */
export interface StoreContext extends Required<BarStoreSettings> {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  readonly clock: Clock
  readonly reader: BarFileReader
}

/** @throws `OPTION_INVALID` */
export function storeContext(options: BarStoreOptions): StoreContext {
  const { sql, lake, clock = systemClock } = options
  const context = { ...checkedOptions(barStoreOptionsSchema, options, 'the bar store'), sql, lake, clock }
  return { ...context, reader: options.reader ?? createBarFileReader(context) }
}

/** Hours a market trades a day; only to size chunks of intraday bars. */
const MARKET_DAY = 6.5 * HOUR_MS
/** Sessions of a chunk of daily bars, five years; unbounded ranges are taken to be that long. */
const FIVE_YEARS = 1260

/**
 * Symbols to handle at once, so that a chunk of any interval has at most about as many rows as `chunkSymbols`
 * symbols have in five years of daily bars.
 */
export function chunkSize(
  context: StoreContext,
  interval: Interval,
  from = -Infinity,
  to = Infinity,
): number {
  const length = intervalMs(interval)
  const barsPerSession = length === 0 ? Infinity : Math.max(1, MARKET_DAY / length)
  const sessions = Math.min(FIVE_YEARS, Math.max(1, ((to - from) / DAY_MS) * (5 / 7)))
  const share = FIVE_YEARS / (sessions * barsPerSession)
  return Math.max(1, Math.floor(context.chunkSymbols * Math.min(1, share)))
}

export function* chunksOf<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size)
}
