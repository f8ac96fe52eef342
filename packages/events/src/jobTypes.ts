import type { Clock, SqlClient, SqlTx } from '@varve/core'
import type { JobEngineSettings } from './options.ts'

/**
 * - **Queue**: jobs of one kind, worked by one handler.
 * - **Key**: what a job is about; of jobs with one key at most one is live (waiting, waiting for a retry, or active).
 * - **Attempt**: one taking of a job, counted from 1. Settling a job is fenced by it.
 * - **Dead letter**: a job that failed for good and waits for a person.
 */
export interface Job {
  readonly id: string
  readonly queue: string
  readonly key: string
  readonly data: unknown
  readonly attempt: number
  readonly priority: number
}

export interface JobQueueOptions {
  readonly name: string
  /** Retries after the first attempt; then the job is a dead letter. */
  readonly retryLimit: number
  /** Pause before the first retry. */
  readonly retryDelayMs: number
  /** Doubles the pause with every retry. @defaultValue true */
  readonly retryBackoff?: boolean
  /** @defaultValue the engine's */
  readonly retryDelayMaxMs?: number
  /** A job active for longer than this is taken away from its worker. @defaultValue the engine's */
  readonly expireMs?: number
}

/** Its numbers, with their defaults: {@link jobEngineOptionsSchema}. */
export interface JobEngineOptions extends JobEngineSettings {
  readonly sql: SqlClient
  readonly queues: readonly JobQueueOptions[]
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /**
   * No other process can own jobs (embedded database). Then jobs left active by a dead process are given back at
   * once when the engine starts, and no heartbeats are written. @defaultValue false
   */
  readonly exclusive?: boolean
}

export interface NewJob {
  readonly key: string
  /** Higher is served first. */
  readonly priority: number
  readonly data: object
  /** A UUID; the same id is enqueued once. Random when left out. */
  readonly id?: string
}

/** Must call {@link JobEngine.complete} for every job, inside the transaction that holds the jobs' effects. */
export type JobHandler = (jobs: Job[], signal: AbortSignal) => Promise<void>

export interface WorkOptions {
  /** Jobs handed to the handler at once. */
  readonly batchSize: number
  /** Batches under way at once. */
  readonly concurrency: number
}

export interface DrainOptions extends WorkOptions {
  readonly signal?: AbortSignal
}

export interface JobTally {
  readonly completed: number
  /** Failed for good. */
  readonly failed: number
  /** Attempts that failed and will be, or were, tried again. */
  readonly retried: number
}

export interface JobCounts {
  readonly created: number
  readonly active: number
  readonly retry: number
  readonly completed: number
  readonly failed: number
}

export interface DeadLetter extends Job {
  readonly error: { readonly code?: string; readonly message: string }
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly failedAt: number
}

/** Durable jobs in the caller's own database. */
export interface JobEngine extends AsyncDisposable {
  /** Installs or migrates the tables, makes the queues, and recovers what dead processes left. */
  start(): Promise<void>
  /** Lets handlers finish (see `stopTimeoutMs`), then gives their jobs back. Stopping twice is fine. */
  stop(): Promise<void>
  /**
   * Adds jobs inside the caller's transaction. A key that is already live is coalesced: no second job, but a
   * waiting one takes the higher priority. A job already active does not see what was asked for meanwhile.
   */
  enqueue(
    tx: SqlTx,
    queue: string,
    jobs: readonly NewJob[],
  ): Promise<{ readonly enqueued: number; readonly coalesced: number }>
  /** Works a queue until the engine or the returned worker is stopped. */
  process(queue: string, options: WorkOptions, handler: JobHandler): { stop(): Promise<void> }
  /** Works a queue until it is empty, delayed retries included. */
  drain(queue: string, options: DrainOptions, handler: JobHandler): Promise<JobTally>
  /**
   * Settles jobs inside the handler's transaction.
   *
   * @throws `JOB_LOST` when one of them is no longer this worker's; let it roll the transaction back
   */
  complete(tx: SqlTx, queue: string, jobs: readonly Job[], output?: object): Promise<void>
  /** Settles jobs as failed; jobs no longer this worker's are left alone. */
  fail(
    queue: string,
    jobs: readonly Job[],
    error: unknown,
    options: { readonly retry: boolean },
  ): Promise<void>
  /** Gives jobs of dead workers back; returns how many. Called by `start` and while running. */
  recover(): Promise<number>
  deadLetters(queue: string, options?: { readonly limit?: number }): Promise<DeadLetter[]>
  /** Makes dead letters wait again with fresh retries; those whose key is live stay. Returns how many. */
  redrive(queue: string, ids: readonly string[]): Promise<number>
  counts(queue: string): Promise<JobCounts>
}
