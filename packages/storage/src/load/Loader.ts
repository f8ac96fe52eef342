import type { BarBatch, BarSource, Clock, SqlClient, SqlTx } from '@varve/core'
import type { LoadCounts, StagePlan } from '../BarStore.ts'
import type { Dataset } from '../records/datasets.ts'
import type { RecordBatch, RecordLoadCounts, RecordRowError } from '../records/RecordStore.ts'
import type { LoaderSettings, WriteMode } from './options.ts'

/** Bars to load. */
export interface BarsToLoad {
  readonly dataset: 'bars'
  readonly batch: BarBatch
  /** Since when the values are known, milliseconds UTC. @defaultValue now */
  readonly recordedAt?: number | undefined
}

/** Anything a loader takes: bars, or records of any dataset. */
export type LoadBatch = BarsToLoad | { [D in Dataset]: RecordBatch<D> }[Dataset]

/** A row that was refused, with its place in the batch handed in. */
export interface RowLoadError extends RecordRowError {
  readonly kind: 'row'
  readonly dataset: Dataset
  readonly source: BarSource
  /** The row as it was handed in. */
  readonly row: unknown
}

/** A part of a batch that could not be written, after every retry. */
export interface BatchLoadError {
  readonly kind: 'batch'
  readonly dataset: LoadBatch['dataset']
  readonly source: BarSource
  readonly code: string
  readonly message: string
  readonly rows: number
  /** Where it waits for {@link Loader.replay}. */
  readonly recoveryFile: string
}

/** What a load did. For bars `inserted + updated + unchanged` counts distinct bars. */
export interface LoadResult {
  readonly mode: WriteMode
  readonly inserted: number
  readonly updated: number
  readonly unchanged: number
  /** Rows refused and rows of batches that wait in the recovery folder. */
  readonly failed: number
  /** Transactions committed or given up. */
  readonly batches: number
  /** Rows in the spool, on their way; only in mode `async`. */
  readonly spooled: number
  /** Rows handed to `publish`; only in mode `event_only`. */
  readonly published: number
  readonly errors: readonly (RowLoadError | BatchLoadError)[]
}

/** What became of the recovery folder. */
export interface ReplayResult extends LoadResult {
  /** Files loaded and removed. */
  readonly replayed: number
  /** Files kept: they failed again, or came after one of the same dataset and source that did. */
  readonly kept: readonly string[]
  /** Files kept because they are not what was written, and how. */
  readonly damaged: readonly { readonly file: string; readonly problem: string }[]
}

/** The shape of `BarStore` a loader needs. */
export interface BarWriter<Staged> {
  stage(batch: BarBatch, plan: StagePlan, options?: { readonly signal?: AbortSignal }): Promise<Staged>
  commit(tx: SqlTx, staged: Staged): Promise<LoadCounts>
}

/** The shape of `RecordStore` a loader needs. */
export interface RecordWriter {
  load<D extends Dataset>(
    batch: RecordBatch<D>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<RecordLoadCounts>
}

/** Its data, with their defaults: `loaderOptionsSchema`. */
export interface LoaderOptions<Staged> extends LoaderSettings {
  /** Where bars go; needed to load bars. */
  readonly bars?:
    | {
        readonly sql: SqlClient
        readonly store: BarWriter<Staged>
        /** Where rows of a batch go that the store does not know yet. */
        readonly plan: (batch: BarBatch) => StagePlan | Promise<StagePlan>
      }
    | undefined
  /** Where records go; needed to load records. */
  readonly records?: RecordWriter | undefined
  /** Where failed batches are kept; one loader to a directory. */
  readonly recovery: { readonly directory: string }
  /** Takes refused rows as well; awaited before the load returns. */
  readonly quarantine?: ((rows: readonly RowLoadError[]) => void | Promise<void>) | undefined
  /** Takes batches in mode `event_only`. */
  readonly publish?: ((batch: LoadBatch) => void | Promise<void>) | undefined
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/** One way in for bars and every kind of record. */
export interface Loader extends AsyncDisposable {
  /**
   * Loads a batch. Rows that cannot be stored and parts that cannot be written are in the result, not thrown.
   *
   * @throws `LOAD_RECOVERY_FAILED` when a failed part could not be kept either, `OPTION_INVALID` when the loader has
   * no store for such a batch; the signal's reason when aborted, with the parts before it committed
   */
  load(
    batch: LoadBatch,
    options?: { readonly mode?: WriteMode; readonly signal?: AbortSignal },
  ): Promise<LoadResult>
  /** Waits until the spool is empty; what was loaded from it since the last call. */
  flush(): Promise<LoadResult>
  /** Loads what waits in the recovery folder, oldest first. */
  replay(options?: { readonly signal?: AbortSignal }): Promise<ReplayResult>
  /** Ends after the batch under way; the rest of the spool stays on disk for the next loader. */
  close(): Promise<void>
}
