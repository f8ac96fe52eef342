import type { Bar, BarBatch, BarSource, Interval, SqlTx, VarveError } from '@varve/core'
import type { LakeVerifyResult } from './bars/verify.ts'

/** Where rows of a batch go; used only for what the store does not know yet. */
export interface StagePlan {
  /** First instant kept hot, milliseconds UTC; used when the series is new. Clamped to the watermark. */
  hotFrom(symbol: string): number
  /** Watermark of the interval, milliseconds UTC; used when the interval has none yet. */
  readonly initialWatermark: number
}

export interface StageOptions {
  /**
   * Since when the values are known, milliseconds UTC. Values older than those held go into history and change
   * nothing that is read by default. Load a history of versions in the order they were recorded.
   * @defaultValue now, and after every version held of the same bar
   */
  readonly recordedAt?: number
  readonly signal?: AbortSignal
}

/** What a load did, per distinct (series, time) of the batch: `inserted + updated + unchanged` is their number. */
export interface LoadCounts {
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  /** Rows written to the lake or kept beside it in `bars_late`. */
  readonly coldRows: number
  /** Rows written to Postgres' `bars`. */
  readonly hotRows: number
  /** Values kept as history: those an update replaced, and those that came late. */
  readonly versionRows: number
}

/** A batch compared with what is stored and split between Postgres and the lake; hand it to {@link BarStore.commit}. */
export interface StagedBars extends LoadCounts {
  readonly interval: Interval
  readonly source: BarSource
  /** Rows of the batch that repeated another row exactly. */
  readonly duplicates: number
  /** Rows of the batch that contradicted a later row of the same symbol and time; the later one won. */
  readonly conflicts: number
  /** Path of the lake file written, when there is one. */
  readonly lakePath: string | undefined
}

/** A range of bars to read. */
export interface BarQuery {
  readonly interval: Interval
  /** Symbols to read. @defaultValue every symbol of the interval */
  readonly symbols?: readonly string[]
  /** First instant, milliseconds UTC, included. */
  readonly from: number
  /** Last instant, milliseconds UTC, excluded. */
  readonly to: number
  /** One source exactly, or any feed of a provider. @defaultValue any source */
  readonly source?: BarSource | string
  /**
   * `preferred`: one series answers per symbol, the one whose last bar is latest, then the first by name.
   * `all`: every series answers for itself. @defaultValue 'preferred'
   */
  readonly asSeries?: 'preferred' | 'all'
  /** `false` shows the lake as it was written, without the corrections in `bars_late`. @defaultValue true */
  readonly includeLate?: boolean
  /** Bars as they were known at this instant, milliseconds UTC. @defaultValue as known now */
  readonly knownAt?: number
  /** `hot`: what Postgres answers alone. `cold`: what the lake holds. @defaultValue 'both', which is exact */
  readonly tiers?: 'both' | 'hot' | 'cold'
  /**
   * When the lake cannot be read: an error, or what Postgres holds, in batches labelled `partial`.
   * @defaultValue 'error'
   */
  readonly onLakeFailure?: 'error' | 'partial'
  readonly signal?: AbortSignal
}

/** Bars of a read. */
export interface BarReadBatch extends BarBatch {
  /** Set when rows are missing because a tier could not be read; `symbols` may have more rows than are here. */
  readonly partial?: {
    readonly missing: 'hot' | 'cold'
    readonly symbols: readonly string[]
    readonly cause: VarveError
  }
}

/** The last bar of a series. */
export interface LatestBar extends Omit<Bar, 'sourceRow'> {
  readonly source: BarSource
}

/** What to keep where, as of one instant. All instants are milliseconds UTC. */
export interface BarRetentionPolicy {
  readonly interval: Interval
  /** The instant the policy was computed for; partitions are made ready for the time after it. */
  readonly asOf: number
  /** The new watermark: everything older is copied to the lake. Never moves back. */
  readonly archiveTo: number
  /**
   * First instant to keep in Postgres; clamped to the watermark. Where it lies below what a series keeps now, the
   * bars between are copied back from the lake, except those that have expired.
   */
  hotFrom(symbol: string, source: BarSource): number
  /** Whether a series' hot start may also go back, bringing rows from the lake to Postgres. @defaultValue always */
  restore?(symbol: string, source: BarSource): boolean
  /** First instant to keep at all; `null` keeps everything. Clamped to the hot start, never lowered. */
  coldFrom(symbol: string, source: BarSource): number | null
}

export interface RetentionResult {
  /** Rows copied to the lake. */
  readonly archivedRows: number
  /** Rows deleted from Postgres. */
  readonly hotDeleted: number
  /** Rows copied from the lake back to Postgres; the lake keeps them too. */
  readonly hotRestored: number
  /** Rows that can no longer be read. */
  readonly coldExpired: number
  readonly files: number
  readonly bytes: number
}

/** What retention would do with one series. Instants are milliseconds UTC. */
export interface SeriesRetention extends Pick<
  RetentionResult,
  'archivedRows' | 'hotDeleted' | 'hotRestored' | 'coldExpired'
> {
  readonly symbol: string
  readonly source: BarSource
  /** Its bounds afterwards. */
  readonly hotFrom: number
  readonly coldFrom: number | null
}

export interface CompactOptions {
  /** Rewrites even when there is nothing to gain. @defaultValue false */
  readonly force?: boolean
  readonly signal?: AbortSignal
}

export interface CompactResult {
  /** Files replaced. */
  readonly filesBefore: number
  /** Files written in their place. */
  readonly filesAfter: number
  readonly rows: number
  readonly bytes: number
  /** Rows of `bars_late` folded in. */
  readonly lateFolded: number
  /** Expired rows dropped. */
  readonly expiredDropped: number
}

export interface SweepOptions {
  /** Files replaced or orphaned for less than this are kept, so that running reads finish. */
  readonly graceMs: number
}

export interface SweepResult {
  /** Files deleted that compaction had replaced. */
  readonly replaced: number
  /** Files deleted that no load ever registered. */
  readonly orphans: number
  readonly bytes: number
}

export interface VerifyResult {
  readonly files: number
  readonly rows: number
  /** Files that are missing or differ from what was written, and how. */
  readonly problems: readonly { readonly path: string; readonly problem: string }[]
}

export interface BarStats {
  /** Rows in Postgres' `bars`. */
  readonly hotRows: number
  /** Rows in the lake: in its live files, plus rows that wait in `bars_late` to be written there. Rows held both hot and cold count in both. */
  readonly coldRows: number
  readonly coldFiles: number
  readonly coldBytes: number
  /** Values kept as history of restated bars. */
  readonly versions: number
  /** Partitions of the hot tables that begin after now; retention keeps them ready. */
  readonly partitionsAhead: { readonly bars: number; readonly bars_intraday: number }
}

export interface SeriesSummary {
  readonly symbol: string
  readonly source: BarSource
  /** First and last bar, milliseconds UTC. */
  readonly first: number
  readonly last: number
  readonly rows: number
}

export interface SeriesTimes {
  readonly symbol: string
  readonly source: BarSource
  /** Times of the bars held, milliseconds UTC, ascending. */
  readonly times: Float64Array
}

/** Hashes of content: equal content gives equal text, whatever the row ids, file boundaries or load order. */
export interface StoreChecksums {
  readonly companies: string
  readonly bars: string
  readonly lake: string
  readonly coverage: string
  readonly quarantine: string
  readonly gaps: string
}

/** Hot Postgres and the cold lake as one exact store of bars. */
export interface BarStore {
  /**
   * Compares a batch with what is stored and prepares its load. No transaction is open meanwhile; the lake file,
   * if one is needed, is durable when this resolves.
   */
  stage(batch: BarBatch, plan: StagePlan, options?: StageOptions): Promise<StagedBars>
  /**
   * Writes what was staged, inside the caller's transaction.
   *
   * @throws `STORAGE_STAGE_STALE` (retryable) when the series changed since staging: roll back and stage again
   */
  commit(tx: SqlTx, staged: StagedBars): Promise<LoadCounts>
  /**
   * Reads a range exactly: each batch has one source and is sorted by symbol (code-unit order), then time; a
   * symbol's rows lie in one batch. Each batch is one consistent picture of the store.
   *
   * @throws `LAKE_UNREADABLE` when a lake file is missing or damaged
   */
  read(query: BarQuery): AsyncIterable<BarReadBatch>
  /** The last bar of each symbol, by symbol; one series per symbol, chosen as by {@link BarStore.read}. */
  latest(interval: Interval, symbols?: readonly string[], source?: BarSource | string): Promise<LatestBar[]>
  /** Moves bars hot → cold → gone, and back to hot where the policy asks for more. Safe to kill at any point and to run again. */
  retain(policy: BarRetentionPolicy, signal?: AbortSignal): Promise<RetentionResult>
  /** What {@link BarStore.retain} would do, per series it would touch. Changes nothing. */
  planRetention(policy: BarRetentionPolicy, signal?: AbortSignal): Promise<SeriesRetention[]>
  /** Merges lake files, folds corrections in and drops what has expired. Reads stay exact meanwhile. */
  compact(interval: Interval, options?: CompactOptions): Promise<CompactResult>
  /** Deletes lake files nobody refers to any more. */
  sweep(options: SweepOptions): Promise<SweepResult>
  /** Reads every live lake file in full and compares its hash with the catalog. */
  verify(options?: { readonly signal?: AbortSignal }): Promise<LakeVerifyResult>
  stats(): Promise<BarStats>
  /** First and last bar and row count of every series, by symbol. */
  seriesSummary(interval: Interval, source?: BarSource | string): Promise<SeriesSummary[]>
  /** Times held, per symbol; one series per symbol, chosen as by {@link BarStore.read}. Cheap: no prices are read. */
  sessionsHeld(
    interval: Interval,
    symbols?: readonly string[],
    source?: BarSource | string,
  ): Promise<readonly SeriesTimes[]>
  /** The interval's watermark, milliseconds UTC; `undefined` before the first load. */
  watermark(interval: Interval): Promise<number | undefined>
  /** Hashes of everything stored, for comparing two stores. */
  checksums(): Promise<StoreChecksums>
}
