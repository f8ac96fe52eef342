import { type Clock, type Interval, type SqlClient, intervalMs } from '@varve/core'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type BarFileReader, createBarFileReader } from '../lake/parquetReader.ts'

export interface BarStoreOptions {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** Rows changed by one UPDATE or upsert statement. @defaultValue 5000 */
  readonly batchRows?: number
  /** Most symbols read at once; fewer when a long range of intraday bars is read. @defaultValue 500 */
  readonly chunkSymbols?: number
  /** Most rows of one lake file. @defaultValue 2000000 */
  readonly maxFileRows?: number
  /** Rows of one row group: the smallest part of a file that is read. @defaultValue 50000 */
  readonly rowGroupRows?: number
  /** Fewer new cold rows than this wait in `bars_late` for compaction instead of making a file. @defaultValue 200 */
  readonly minDeltaRows?: number
  /** Compression of lake files, 1 to 22. @defaultValue 3 */
  readonly zstdLevel?: number
  /** Footers of lake files kept in memory. @defaultValue 256 */
  readonly footerCacheFiles?: number
  /** Bytes fetched from the end of a lake file to find its footer. @defaultValue 65536 */
  readonly footerBytes?: number
  /** Series whose hot rows are deleted in one transaction. @defaultValue 500 */
  readonly deleteSeries?: number
  /** Times retention copies, the last one holding loads off. @defaultValue 3 */
  readonly archiveAttempts?: number
  /** How long dropping an empty partition waits for readers before it is left for the next run. @defaultValue 2000 */
  readonly dropLockTimeoutMs?: number
  /** Share of a source's lake rows that must have expired before compaction drops them. @defaultValue 0.2 */
  readonly compactExpiredShare?: number
  /** Files above the fewest possible that compaction tolerates. @defaultValue 3 */
  readonly compactSpareFiles?: number
}

/** What the parts of the store share. */
export interface StoreContext extends Required<BarStoreOptions> {
  readonly reader: BarFileReader
}

export function storeContext(options: BarStoreOptions, clock: Clock): StoreContext {
  const given = Object.fromEntries(
    Object.entries(options).filter(([, value]) => value !== undefined),
  ) as BarStoreOptions
  const context = {
    batchRows: 5000,
    chunkSymbols: 500,
    maxFileRows: 2_000_000,
    rowGroupRows: 50_000,
    minDeltaRows: 200,
    zstdLevel: 3,
    footerCacheFiles: 256,
    footerBytes: 65_536,
    deleteSeries: 500,
    archiveAttempts: 3,
    dropLockTimeoutMs: 2000,
    compactExpiredShare: 0.2,
    compactSpareFiles: 3,
    ...given,
    clock,
  }
  return { ...context, reader: createBarFileReader(context) }
}

/** Hours a market trades a day; only to size chunks of intraday bars. */
const SESSION_MS = 6.5 * 3_600_000
const DAY_MS = 86_400_000
/** Sessions of a chunk of daily bars, five years; unbounded ranges are taken to be that long. */
const CHUNK_SESSIONS = 1260

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
  const barsPerSession = length === 0 ? Infinity : Math.max(1, SESSION_MS / length)
  const sessions = Math.min(CHUNK_SESSIONS, Math.max(1, ((to - from) / DAY_MS) * (5 / 7)))
  const share = CHUNK_SESSIONS / (sessions * barsPerSession)
  return Math.max(1, Math.floor(context.chunkSymbols * Math.min(1, share)))
}

export function* chunksOf<T>(list: readonly T[], size: number): Generator<readonly T[]> {
  for (let start = 0; start < list.length; start += size) yield list.slice(start, start + size)
}
