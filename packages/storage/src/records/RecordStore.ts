import type { BarSource, SqlTx } from '@varve/core'
import type { LakeVerifyResult } from '../lake/checkCatalog.ts'
import type { Dataset, RecordInputs, RecordValues } from './datasets.ts'
import type { RecordVerifyOptions } from './verifyRecords.ts'

/** A record to load. */
export interface RecordInput<D extends Dataset> {
  readonly symbol: string
  /** Instant the record is about, milliseconds UTC. */
  readonly time: number
  /** Tells it apart from other records of its symbol and instant. @defaultValue made of the dataset's key columns */
  readonly key?: string | undefined
  /** When it became known, milliseconds UTC. @defaultValue the batch's */
  readonly recordedAt?: number | undefined
  /** `true` when the provider withdrew the record; `values` may then be left out if a key is given. */
  readonly deleted?: boolean | undefined
  readonly values?: RecordInputs<D> | undefined
}

/** Records of one dataset and source. */
export interface RecordBatch<D extends Dataset> {
  readonly dataset: D
  readonly source: BarSource
  readonly rows: readonly RecordInput<D>[]
  /**
   * When the batch became known, milliseconds UTC. A version older than what is stored takes its place in history
   * and changes nothing now. That a value was confirmed later is not kept, so load a history in the order it was
   * recorded. @defaultValue now, and after every version already stored
   */
  readonly recordedAt?: number | undefined
}

/** A row that cannot be stored, and why. */
export interface RecordRowError {
  /** Position in the batch, from 0. */
  readonly index: number
  readonly symbol: string
  readonly time: number
  /** `unknown_column`, `missing_column`, `too_many_decimals`, `symbol_invalid`, `key_ambiguous`, a rule of the dataset, … */
  readonly rule: string
  readonly column: string | undefined
  readonly message: string
}

/** What a load did; `inserted + updated + unchanged + failed` is the number of rows. */
export interface RecordLoadCounts {
  /** Rows that were the first version of their record. */
  readonly inserted: number
  /** Rows that became another version of a known record. */
  readonly updated: number
  /** Rows that said what was known already; nothing was written for them. */
  readonly unchanged: number
  /** Of the unchanged rows, those that repeated another row of the same batch exactly. */
  readonly duplicates: number
  /** Rows refused; each has an entry in `errors`. */
  readonly failed: number
  readonly errors: readonly RecordRowError[]
}

/** A batch compared with what is stored; hand it to {@link RecordStore.commit}. */
export interface StagedRecords extends RecordLoadCounts {
  readonly dataset: Dataset
  readonly source: BarSource
}

/** One record as it was known at an instant. */
export interface RecordRow<D extends Dataset> {
  readonly symbol: string
  /** Milliseconds UTC. */
  readonly time: number
  readonly key: string
  /** Milliseconds UTC. */
  readonly recordedAt: number
  /** The provider withdrew the record; only in reads that ask for such versions. Values may then be null. */
  readonly deleted: boolean
  readonly values: RecordValues<D>
}

/** Some records of one source, by symbol, time, key and (when all versions are read) time of recording. */
export interface RecordPage<D extends Dataset> {
  readonly dataset: D
  readonly source: BarSource
  readonly rows: readonly RecordRow<D>[]
  /** Set on every page from where a lake file was missing: what follows may lack records or show older versions. */
  readonly partial: { readonly missing: readonly string[] } | undefined
}

/** A range of records to read. */
export interface RecordQuery<D extends Dataset> {
  readonly dataset: D
  /** @defaultValue every symbol */
  readonly symbols?: readonly string[] | undefined
  /** First instant, milliseconds UTC, included. @defaultValue the beginning */
  readonly from?: number | undefined
  /** Last instant, milliseconds UTC, excluded. @defaultValue the end */
  readonly to?: number | undefined
  /** One source exactly, or any feed of a provider. @defaultValue any source, one after the other */
  readonly source?: BarSource | string | undefined
  /** Shows what was known then, milliseconds UTC. @defaultValue everything known now */
  readonly knownAt?: number | undefined
  /** `all` shows every version, withdrawals included. @defaultValue 'current' */
  readonly versions?: 'current' | 'all' | undefined
  /** Records of one page at most. @defaultValue `pageRows` of the store */
  readonly batchRows?: number | undefined
  /** What to do when a lake file cannot be read. @defaultValue 'fail' */
  readonly onLakeFailure?: 'fail' | 'partial' | undefined
  readonly signal?: AbortSignal | undefined
}

/** An instant for a symbol and source, milliseconds UTC; `null` for none. */
export type RecordBound = (symbol: string, source: BarSource) => number | null

/** What to keep where, as of one instant. */
export interface RecordRetentionPolicy {
  /** Older rows go to the lake; `null` keeps a symbol's rows in Postgres. */
  readonly archiveBefore: RecordBound
  /** Older rows expire; `null` keeps them for good. */
  readonly expireBefore: RecordBound
  /** What the report groups symbols by, such as their layer. @defaultValue one group */
  readonly group?: ((symbol: string) => string) | undefined
  /** Counts and changes nothing. @defaultValue false */
  readonly dryRun?: boolean | undefined
  readonly signal?: AbortSignal | undefined
}

/** What retention did with one group of symbols, or would do. */
export interface RetainedGroup {
  readonly group: string
  /** Symbols concerned. */
  readonly symbols: number
  /** Versions moved to the lake. */
  readonly archivedRows: number
  /** Bytes of lake files, shared out by rows; in a dry run the size of the rows in Postgres. */
  readonly archivedBytes: number
  /** Versions that can no longer be read. */
  readonly expiredRows: number
  /** The earliest and latest instants archived and expired up to, milliseconds UTC. */
  readonly archiveBefore: readonly [number, number] | undefined
  readonly expireBefore: readonly [number, number] | undefined
  /** Why, in words. */
  readonly reason: string
}

/** What a retention run did, or would do. */
export interface RecordRetentionReport {
  readonly dataset: Dataset
  readonly dryRun: boolean
  readonly groups: readonly RetainedGroup[]
  readonly archivedRows: number
  readonly expiredRows: number
  readonly files: number
  readonly bytes: number
  readonly partitionsDropped: number
}

/** What an archive run moved. */
export interface RecordArchiveResult {
  readonly archivedRows: number
  readonly files: number
  readonly bytes: number
  readonly partitionsDropped: number
  /** Rows and bytes by symbol; bytes of a file shared out by rows. */
  readonly symbols: ReadonlyMap<string, { readonly rows: number; readonly bytes: number }>
}

/** What compaction did. */
export interface RecordCompactResult {
  readonly filesBefore: number
  readonly filesAfter: number
  readonly rows: number
  readonly bytes: number
  readonly expiredDropped: number
}

/** What is stored of a dataset. */
export interface RecordStats {
  readonly hotRows: number
  readonly coldRows: number
  readonly coldFiles: number
  readonly coldBytes: number
}

/**
 * Every kind of data that is not a bar, in versions that are only ever added: what was known at any instant can be
 * read again. A version is in Postgres or in exactly one lake file.
 */
export interface RecordStore {
  /** Compares a batch with what is stored. No transaction is open meanwhile. */
  stage<D extends Dataset>(
    batch: RecordBatch<D>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<StagedRecords>
  /**
   * Writes what was staged, inside the caller's transaction.
   *
   * @throws `STORAGE_STAGE_STALE` (retryable) when somebody else wrote records of the same dataset and source since:
   * roll back and stage again
   */
  commit(tx: SqlTx, staged: StagedRecords): Promise<RecordLoadCounts>
  /** Stages and commits in a transaction of its own, as often as needed. */
  load<D extends Dataset>(
    batch: RecordBatch<D>,
    options?: { readonly signal?: AbortSignal | undefined },
  ): Promise<RecordLoadCounts>
  /**
   * Reads a range exactly, page by page, in memory that does not grow with it. Each page is one consistent picture
   * of the store.
   *
   * @throws `LAKE_UNREADABLE` when a lake file is missing or damaged, unless the query asks for a partial answer
   */
  read<D extends Dataset>(query: RecordQuery<D>): AsyncIterable<RecordPage<D>>
  /** Makes the partitions of the present and near future. */
  prepare(dataset: Dataset): Promise<number>
  /** Moves rows before a bound to the lake. Safe to kill at any point and to run again. */
  archive(
    dataset: Dataset,
    options: { readonly before: RecordBound; readonly signal?: AbortSignal | undefined },
  ): Promise<RecordArchiveResult>
  /** Merges small lake files and drops what has expired. Reads stay exact meanwhile. */
  compact(
    dataset: Dataset,
    options?: { readonly force?: boolean | undefined; readonly signal?: AbortSignal | undefined },
  ): Promise<RecordCompactResult>
  /** Hides rows before a bound at once; those in Postgres are deleted, those in the lake go with compaction. */
  expire(
    dataset: Dataset,
    options: { readonly before: RecordBound; readonly signal?: AbortSignal | undefined },
  ): Promise<{ readonly expiredRows: number; readonly symbols: ReadonlyMap<string, number> }>
  /** Expires, then archives, and says what became of each group of symbols. */
  retain(dataset: Dataset, policy: RecordRetentionPolicy): Promise<RecordRetentionReport>
  /** Deletes lake files nobody refers to any more, once they have been so for `graceMs`. */
  sweep(options: {
    readonly graceMs: number
  }): Promise<{ readonly replaced: number; readonly orphans: number; readonly bytes: number }>
  /** Removes every version of records a rule picks, in Postgres and in the lake, for good. */
  purge<D extends Dataset>(
    dataset: D,
    options: {
      readonly before: number
      readonly matches: (row: RecordRow<D>) => boolean
      readonly signal?: AbortSignal | undefined
    },
  ): Promise<{ readonly hotRows: number; readonly coldRows: number }>
  /**
   * Reads every live file of every dataset in full, decodes every value, and compares the files with the catalog
   * (hash, rows, ranges of times and symbols, in all and per symbol), with the manifest, and with what lies in the
   * folder. Changes nothing. Same result as `BarStore.verify`, which covers bars; `joinVerifyResults` makes one of both.
   *
   * @throws `LAKE_UNREACHABLE`, `LAKE_ACCESS_DENIED` and the like: a lake that does not answer is no damaged file;
   * the signal's reason
   */
  verify(options?: RecordVerifyOptions): Promise<LakeVerifyResult>
  stats(dataset: Dataset): Promise<RecordStats>
}
