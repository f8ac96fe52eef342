import { join } from 'node:path'
import { type BarSource, type DataType, VarveError, parseInstantText } from '@varve/core'
import { IMPORT_PROVIDER } from '@varve/pipeline'
import { readTable } from '@varve/providers'
import {
  DATASET_NAMES,
  type Dataset,
  type LoadBatch,
  type LoadResult,
  type Loader,
  type ReplayResult,
  type RowLoadError,
  createLoader,
  datasetDefinition,
} from '@varve/storage'
import type { Application } from '../openApplication.ts'

/** Folder of the data directory for batches that could not be written. */
export const RECOVERY_FOLDER = 'recovery'

export interface ImportRecordsOptions {
  readonly files: readonly string[]
  /** Such as `corporate_actions`. */
  readonly dataset: string
  /** Name of the source. @defaultValue `file` */
  readonly sourceName?: string
  /** When the rows became known, milliseconds UTC; a column `recorded_at` goes before it. @defaultValue now */
  readonly recordedAt?: number
  readonly signal?: AbortSignal
}

/** What an import of records did, by file rows. */
export interface RecordsReport extends Pick<LoadResult, 'inserted' | 'updated' | 'unchanged' | 'failed'> {
  readonly dataset: Dataset
  readonly rows: number
  /** The first refused rows, each with its place and why. */
  readonly refused: readonly { readonly row: number; readonly rule: string; readonly message: string }[]
  /** Batches that wait in the recovery folder. */
  readonly waiting: readonly { readonly file: string; readonly code: string; readonly message: string }[]
}

const SHOWN = 100

/**
 * Loads records from CSV or NDJSON files: a column `symbol`, one of `time` or `date`, and those of the dataset.
 *
 * @throws `OPTION_INVALID` for a dataset there is none of, `FILE_UNREADABLE`
 */
export async function importRecords(app: Application, options: ImportRecordsOptions): Promise<RecordsReport> {
  const dataset = datasetOf(options.dataset)
  const source = sourceOf(options.sourceName)
  const totals = { inserted: 0, updated: 0, unchanged: 0, failed: 0 }
  const refused: { row: number; rule: string; message: string }[] = []
  const waiting: { file: string; code: string; message: string }[] = []
  let rows = 0
  await using loader = loaderOf(app)
  for (const file of options.files) {
    let batch: { row: number; input: Readonly<Record<string, unknown>> }[] = []
    const flush = async () => {
      if (batch.length === 0) return
      const result = await loader.load(
        {
          dataset,
          source,
          recordedAt: options.recordedAt,
          rows: batch.map(({ input }) => input),
        } as unknown as LoadBatch,
        { signal: options.signal },
      )
      for (const name of ['inserted', 'updated', 'unchanged', 'failed'] as const) totals[name] += result[name]
      for (const error of result.errors) {
        if (error.kind === 'batch')
          waiting.push({ file: error.recoveryFile, code: error.code, message: error.message })
        else if (refused.length < SHOWN)
          refused.push({ row: batch[error.index]?.row ?? 0, rule: error.rule, message: error.message })
      }
      batch = []
    }
    for await (const { row, cells } of readTable(file, options.signal)) {
      rows++
      batch.push({ row, input: recordOf(cells, dataset, options.recordedAt) })
      if (batch.length >= app.settings.storage.loader.batchSize) await flush()
    }
    await flush()
  }
  return { dataset, rows, ...totals, refused, waiting }
}

/** Loads what waits in the recovery folder again. */
export async function replayRecovery(
  app: Application,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ReplayResult> {
  await using loader = loaderOf(app)
  return await loader.replay(options)
}

function loaderOf(app: Application): Loader {
  return createLoader({
    ...app.settings.storage.loader,
    records: app.context.records,
    recovery: { directory: join(app.locations.dataDir, RECOVERY_FOLDER) },
    quarantine: (rows) => setAside(app, rows),
  })
}

/** Refused rows go where refused bars go, as they came. */
async function setAside(app: Application, rows: readonly RowLoadError[]): Promise<void> {
  const { context } = app
  await context.sql.tx((tx) =>
    context.quarantine.record(
      tx,
      rows.map((error) => ({
        symbol: error.symbol,
        dataType: datasetDefinition(error.dataset).dataType ?? (error.dataset as DataType),
        detectedAt: context.clock.now(),
        interval: null,
        time: Number.isFinite(error.time) ? error.time : null,
        session: null,
        rule: error.rule,
        severity: 'error' as const,
        message: error.message,
        origin: `${error.source.provider}/${error.source.feed}`,
        raw: error.row,
        open: null,
        high: null,
        low: null,
        close: null,
        volume: null,
        source: null,
      })),
    ),
  )
}

function datasetOf(name: string): Dataset {
  const found = DATASET_NAMES.find((dataset) => dataset === name)
  if (found !== undefined) return found
  throw new VarveError(`there is no dataset "${name}"; use bars, ${DATASET_NAMES.join(', ')}`, {
    code: 'OPTION_INVALID',
    details: { found: name },
  })
}

/** Like imported bars, imported records follow a retention rule of their own. */
function sourceOf(name = 'file'): BarSource {
  return { provider: IMPORT_PROVIDER, feed: name, adjustment: 'raw' }
}

const OWN = new Set(['symbol', 'time', 'date', 'key', 'recorded_at', 'deleted'])

/** Cells as a record; what is wrong with them is for the store to say. */
function recordOf(
  cells: Readonly<Record<string, unknown>>,
  dataset: Dataset,
  recordedAt: number | undefined,
): Readonly<Record<string, unknown>> {
  // A cell that is there and no instant must not become "now".
  const known = isMissing(cells.recorded_at) ? recordedAt : instantOf(cells.recorded_at)
  const kinds = new Map(datasetDefinition(dataset).columns.map((column) => [column.name, column.kind]))
  const values = Object.fromEntries(
    Object.entries(cells)
      .filter(([name]) => !OWN.has(name))
      .map(([name, cell]) => [name, cellOf(cell, kinds.get(name))]),
  )
  return {
    symbol: typeof cells.symbol === 'string' ? cells.symbol : '',
    time: instantOf(cells.time ?? cells.date),
    ...(isMissing(cells.key) ? {} : { key: keyOf(cells.key) }),
    ...(known === undefined ? {} : { recordedAt: known }),
    ...(isMissing(cells.deleted) ? {} : deletedOf(cells.deleted)),
    values,
  }
}

function isMissing(cell: unknown): boolean {
  return cell === null || cell === undefined || cell === ''
}

function keyOf(cell: unknown): unknown {
  return typeof cell === 'number' && Number.isSafeInteger(cell) ? String(cell) : cell
}

/** Anything but a plain yes or no makes the row invalid: a withdrawal must not become a live record. */
function deletedOf(cell: unknown): { readonly deleted: boolean } | { readonly time: number } {
  const value = booleanOf(cell)
  return typeof value === 'boolean' ? { deleted: value } : { time: Number.NaN }
}

function booleanOf(cell: unknown): unknown {
  if (typeof cell !== 'string') return cell
  const text = cell.toLowerCase()
  return ['true', 't', '1', 'yes'].includes(text)
    ? true
    : ['false', 'f', '0', 'no'].includes(text)
      ? false
      : cell
}

/** Text of a file as the column takes it: lists by `|`, the rest as it stands. */
function cellOf(cell: unknown, kind: string | undefined): unknown {
  if (typeof cell !== 'string') return cell
  if (kind === 'texts') return cell.split('|').filter((part) => part !== '')
  if (kind === 'boolean') return booleanOf(cell)
  if (kind === 'integer' && /^-?\d{1,15}$/.test(cell)) return Number(cell)
  if (kind === 'instant') {
    const time = parseInstantText(cell)
    return Number.isNaN(time) ? cell : time
  }
  return cell
}

/** NaN for what is no instant, which the store refuses. */
function instantOf(cell: unknown): number {
  return typeof cell === 'string' ? parseInstantText(cell) : Number.NaN
}
