import {
  type BarSource,
  VarveError,
  checkedOptions,
  errorMessage,
  isVarveError,
  publish,
  systemClock,
} from '@varve/core'
import { mkdir, rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Dataset } from '../records/datasets.ts'
import type { RecordBatch } from '../records/RecordStore.ts'
import { type BatchFiles, createBatchFiles, isDamaged, sourceOf } from './batchFiles.ts'
import { partOf, rowCount } from './batchText.ts'
import type { BatchLoadError, LoadBatch, LoadResult, Loader, LoaderOptions, RowLoadError } from './Loader.ts'
import { loaderOptionsSchema } from './options.ts'

/** Where batches of mode `async` wait, inside the recovery folder. */
const SPOOL = 'spool'

interface Tally {
  inserted: number
  updated: number
  unchanged: number
  failed: number
  batches: number
  spooled: number
  published: number
  readonly errors: (RowLoadError | BatchLoadError)[]
}

/** How one part of a batch ended. */
type PartOutcome =
  { readonly kind: 'done' } | { readonly kind: 'failed'; readonly code: string; readonly message: string }

/**
 * One way in for bars and records. Creating it does no I/O.
 *
 * @throws `OPTION_INVALID`
 */
export function createLoader<Staged>(options: LoaderOptions<Staged>): Loader {
  const settings = checkedOptions(loaderOptionsSchema, options, 'the loader')
  const { bars, records, quarantine, clock = systemClock } = options
  const recovery = createBatchFiles(options.recovery.directory, () => clock.now())
  const spool = createBatchFiles(join(options.recovery.directory, SPOOL), () => clock.now())
  let drained = emptyTally()
  let draining: Promise<void> | undefined
  const ending = new AbortController()

  const writeOnce = async (batch: LoadBatch, tally: Tally, first: number, signal?: AbortSignal) => {
    if (batch.dataset !== 'bars') {
      if (records === undefined) throw noStore(batch.dataset, 'records')
      const done = await records.load(batch as RecordBatch<Dataset>, { signal })
      add(tally, done)
      const refused = done.errors.map((error): RowLoadError => {
        const { dataset, source } = batch
        const row: unknown = batch.rows[error.index]
        return { ...error, kind: 'row', index: error.index + first, dataset, source, row }
      })
      tally.errors.push(...refused)
      tally.failed += refused.length
      return refused
    }
    if (bars === undefined) throw noStore('bars', 'bars')
    const plan = await bars.plan(batch.batch)
    for (let attempt = 1; ; attempt++) {
      signal?.throwIfAborted()
      const staged = await bars.store.stage(batch.batch, plan, {
        ...(batch.recordedAt === undefined ? {} : { recordedAt: batch.recordedAt }),
        ...(signal === undefined ? {} : { signal }),
      })
      try {
        add(tally, await bars.sql.tx((tx) => bars.store.commit(tx, staged)))
        return []
      } catch (error) {
        if (!isVarveError(error, 'STORAGE_STAGE_STALE') || attempt >= settings.stageAttempts) throw error
      }
    }
  }

  /** Writes one part in a transaction of its own, with retries. */
  const writePart = async (
    batch: LoadBatch,
    tally: Tally,
    first: number,
    signal?: AbortSignal,
  ): Promise<PartOutcome> => {
    let refused: readonly RowLoadError[] = []
    let delay = settings.retryDelayMs
    for (let attempt = 0; ; attempt++) {
      signal?.throwIfAborted()
      try {
        refused = await writeOnce(batch, tally, first, signal)
        break
      } catch (error) {
        signal?.throwIfAborted()
        if (isVarveError(error, 'OPTION_INVALID')) throw error
        const code = isVarveError(error) ? error.code : 'UNEXPECTED'
        const mayRetry = isVarveError(error) && error.retryable
        if (!mayRetry || attempt >= settings.retries) {
          tally.batches++
          return { kind: 'failed', code, message: errorMessage(error) }
        }
        const pause = Math.min(delay, settings.retryDelayMaxMs)
        publish('retry', () => ({
          name: `load ${batch.dataset}`,
          attempt: attempt + 1,
          delayMs: pause,
          code,
        }))
        await clock.sleep(pause, signal === undefined ? {} : { signal })
        delay *= settings.retryBase
      }
    }
    tally.batches++
    if (refused.length > 0) await quarantine?.(refused)
    return { kind: 'done' }
  }

  const keep = async (batch: LoadBatch, tally: Tally, outcome: PartOutcome): Promise<void> => {
    if (outcome.kind === 'done') return
    const { code, message } = outcome
    const rows = rowCount(batch)
    let file: string
    try {
      file = await recovery.write(batch, { code, message })
    } catch (cause) {
      throw new VarveError(
        `a batch of ${rows} rows of ${batch.dataset} failed (${code}: ${message}) and could not be kept in ${options.recovery.directory} either: ${errorMessage(cause)}; make room there and load it again`,
        { code: 'LOAD_RECOVERY_FAILED', retryable: true, cause, details: { rows, failure: code } },
      )
    }
    tally.failed += rows
    tally.errors.push(batchError(batch, outcome, recovery.path(file)))
  }

  const loadNow = async (batch: LoadBatch, tally: Tally, signal?: AbortSignal): Promise<void> => {
    if (batch.dataset === 'bars') {
      if (batch.batch.length > 0) await keep(batch, tally, await writePart(batch, tally, 0, signal))
      return
    }
    for (let first = 0; first < batch.rows.length; first += settings.batchSize) {
      const part = partOf(batch as RecordBatch<Dataset>, first, settings.batchSize) as LoadBatch
      await keep(part, tally, await writePart(part, tally, first, signal))
    }
  }

  /** Empties the spool, one batch after the other. A crash between commit and removal loads one again: no change. */
  const drain = async (): Promise<void> => {
    for (;;) {
      const files = await spool.list()
      if (files.length === 0) return
      for (const file of files) {
        if (ending.signal.aborted) return
        let batch: LoadBatch
        try {
          batch = await spool.read(file)
        } catch (error) {
          if (!isDamaged(error)) throw error
          // Kept where replay() finds and reports it.
          await moveFile(spool, recovery, file)
          continue
        }
        await loadNow(batch, drained, ending.signal)
        await spool.remove(file)
      }
    }
  }
  const startDraining = (): Promise<void> => {
    draining ??= drain().finally(() => {
      draining = undefined
    })
    return draining
  }

  return {
    async load(batch, { mode = settings.mode, signal } = {}) {
      const tally = emptyTally()
      if (mode === 'event_only') {
        if (options.publish === undefined)
          throw new VarveError('mode event_only needs a publish function', { code: 'OPTION_INVALID' })
        await options.publish(batch)
        tally.published = rowCount(batch)
      } else if (mode === 'async') {
        signal?.throwIfAborted()
        await spool.write(batch, null)
        tally.spooled = rowCount(batch)
        // What goes wrong in the background is thrown by flush(), which tries again.
        startDraining().catch((error: unknown) => {
          publish('log', () => ({ level: 'error', component: 'loader', message: errorMessage(error) }))
        })
      } else {
        await loadNow(batch, tally, signal)
      }
      return { mode, ...tally }
    },
    async flush() {
      // A drain under way may have listed the spool before the last batch came.
      await draining?.catch(() => undefined)
      await startDraining()
      const tally = drained
      drained = emptyTally()
      return { mode: 'async', ...tally }
    },
    async replay({ signal } = {}) {
      const tally = emptyTally()
      const kept: string[] = []
      const damaged: { file: string; problem: string }[] = []
      const blocked = new Set<string>()
      let replayed = 0
      for (const file of await recovery.list()) {
        signal?.throwIfAborted()
        let batch: LoadBatch
        try {
          batch = await recovery.read(file)
        } catch (error) {
          if (!isDamaged(error)) throw error
          damaged.push({ file: recovery.path(file), problem: error.message })
          continue
        }
        // A later batch must not go before an earlier one of the same kind.
        const group = `${batch.dataset} ${sourceOf(batch)}`
        const outcome = blocked.has(group) ? undefined : await writePart(batch, tally, 0, signal)
        if (outcome?.kind === 'done') {
          await recovery.remove(file)
          replayed++
          continue
        }
        blocked.add(group)
        kept.push(recovery.path(file))
        tally.failed += rowCount(batch)
        if (outcome !== undefined) tally.errors.push(batchError(batch, outcome, recovery.path(file)))
      }
      return { mode: 'sync', ...tally, replayed, kept, damaged }
    },
    async close() {
      ending.abort(closing())
      await draining?.catch(() => undefined)
    },
    async [Symbol.asyncDispose]() {
      await this.close()
    },
  }
}

function emptyTally(): Tally {
  return {
    inserted: 0,
    updated: 0,
    unchanged: 0,
    failed: 0,
    batches: 0,
    spooled: 0,
    published: 0,
    errors: [],
  }
}

function add(tally: Tally, done: Pick<LoadResult, 'inserted' | 'updated' | 'unchanged'>): void {
  tally.inserted += done.inserted
  tally.updated += done.updated
  tally.unchanged += done.unchanged
}

function batchError(
  batch: LoadBatch,
  outcome: Extract<PartOutcome, { kind: 'failed' }>,
  recoveryFile: string,
): BatchLoadError {
  const source: BarSource = batch.dataset === 'bars' ? batch.batch.source : batch.source
  const { code, message } = outcome
  return { kind: 'batch', dataset: batch.dataset, source, code, message, rows: rowCount(batch), recoveryFile }
}

async function moveFile(from: BatchFiles, to: BatchFiles, file: string): Promise<void> {
  await mkdir(dirname(to.path(file)), { recursive: true })
  await rename(from.path(file), to.path(file))
}

function noStore(dataset: string, option: string): VarveError {
  return new VarveError(`a batch of ${dataset} was handed to a loader without the option "${option}"`, {
    code: 'OPTION_INVALID',
  })
}

function closing(): VarveError {
  return new VarveError('the loader was closed; what is left in the spool is loaded by the next one', {
    code: 'LOADER_CLOSED',
  })
}
