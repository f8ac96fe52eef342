import { isLakeFailure } from '../lake/lakeFailures.ts'
import { VarveError, publish } from '@varve/core'
import { MAX_TIME, MIN_TIME, clampTime } from '../bars/instants.ts'
import { publicValue } from './columns.ts'
import { type Dataset, type RecordColumn, type RecordValues, datasetDefinition } from './datasets.ts'
import { type LakeRows, mergeFiles } from './lakeRows.ts'
import type { RecordContext } from './options.ts'
import { type VersionKey, compareRecords, compareText, compareVersions } from './order.ts'
import { type RecordSource, allLive, recordSources } from './recordCatalog.ts'
import type { RecordFileRef } from './recordFileReader.ts'
import { BEFORE_ALL, type RecordPicture, loadPage } from './recordPage.ts'
import type { RecordPage, RecordQuery, RecordRow } from './RecordStore.ts'
import type { StoredRow } from './StoredRow.ts'

/** Times a read starts over in a row because compaction replaced a file under it and a sweep removed it. */
const RESTARTS = 3

/** Thrown inside a read to begin again after the last row taken, with a new picture. */
class Outdated extends Error {}

/** Reads a range, source by source. See `RecordStore.read`. */
export async function* readRecords<D extends Dataset>(
  context: RecordContext,
  query: RecordQuery<D>,
): AsyncGenerator<RecordPage<D>> {
  const { dataset, batchRows = context.pageRows } = query
  if (!Number.isInteger(batchRows) || batchRows < 1) {
    throw new VarveError(`expected batchRows of 1 or more, was ${batchRows}`, { code: 'OPTION_INVALID' })
  }
  const { columns } = datasetDefinition(dataset)
  for (const from of await recordSources(context.sql, dataset, query.source)) {
    const missing: string[] = []
    let reported = 0
    let rows: RecordRow<D>[] = []
    const page = (): RecordPage<D> => {
      reported = missing.length
      const taken = rows
      rows = []
      const partial = missing.length === 0 ? undefined : { missing: [...missing] }
      return { dataset, source: from.source, rows: taken, partial }
    }
    const scan = { ...query, pageRows: Math.min(batchRows, context.pageRows) }
    for await (const row of scanVersions(context, from, scan, missing)) {
      // Rows seen before a file turned out to be missing are whole; they go out without the label.
      rows.push(publicRow<D>(row, columns))
      if (rows.length >= batchRows) yield page()
    }
    if (rows.length > 0 || missing.length > reported) yield page()
  }
}

/** What a scan of one source looks at. */
export interface ScanQuery {
  readonly dataset: Dataset
  readonly symbols?: readonly string[] | undefined
  readonly from?: number | undefined
  readonly to?: number | undefined
  readonly knownAt?: number | undefined
  readonly versions?: 'current' | 'all' | undefined
  readonly onLakeFailure?: 'fail' | 'partial' | undefined
  readonly signal?: AbortSignal | undefined
  /** Rows of Postgres read at once. */
  readonly pageRows: number
}

/**
 * Rows of one source in order. Each page of Postgres' rows comes with the files that can matter; when the files have
 * changed by the next page, the lake is entered again behind the last row taken.
 *
 * @param missing - paths of files left out, when the query allows that
 */
export async function* scanVersions(
  context: RecordContext,
  from: RecordSource,
  query: ScanQuery,
  missing: string[],
): AsyncGenerator<StoredRow> {
  const state: ScanState = { after: BEFORE_ALL, lake: undefined, files: '' }
  const all = query.versions === 'all'
  for (let restarts = 0; ;) {
    query.signal?.throwIfAborted()
    try {
      for await (const row of scanPages(context, from, query, state, missing)) {
        restarts = 0
        if (all || !row.deleted) yield row
      }
      return
    } catch (error) {
      if (!(error instanceof Outdated) || restarts >= RESTARTS)
        throw error instanceof Outdated ? error.cause : error
      restarts++
      state.lake = undefined
    }
  }
}

interface ScanState {
  after: VersionKey
  lake: LakeRows | undefined
  /** What `lake` was opened on. */
  files: string
}

async function* scanPages(
  context: RecordContext,
  from: RecordSource,
  query: ScanQuery,
  state: ScanState,
  missing: string[],
): AsyncGenerator<StoredRow> {
  const symbols = query.symbols === undefined ? undefined : [...new Set(query.symbols)].sort(compareText)
  const range = { from: clampTime(query.from ?? MIN_TIME), to: clampTime(query.to ?? MAX_TIME) }
  const versions = query.versions ?? 'current'
  for (;;) {
    query.signal?.throwIfAborted()
    const picture = await loadPage(context.sql, {
      dataset: query.dataset,
      sourceId: from.id,
      symbols,
      ...range,
      knownAt: query.knownAt,
      versions,
      after: state.after,
      limit: query.pageRows,
    })
    await enterLake(context, query, state, missing, picture, symbols, range)
    const lake = state.lake!
    const isLast = picture.rows.length < query.pageRows
    const end = picture.rows.at(-1)
    let at = 0
    for (;;) {
      const cold = await peekKnown(lake, query.knownAt)
      const hot = picture.rows[at]
      if (cold === undefined && hot === undefined) break
      // Lake rows behind the end of this page belong to the next one, with its own picture.
      if (hot === undefined && !isLast && behind(cold!, end!, versions)) break
      let next: StoredRow
      if (versions === 'all') {
        const order = hot === undefined ? 1 : cold === undefined ? -1 : compareVersions(hot, cold)
        next = order < 0 ? hot! : cold!
        if (order < 0) at++
        else lake.take()
      } else {
        const order = hot === undefined ? 1 : cold === undefined ? -1 : compareRecords(hot, cold)
        next = order <= 0 ? hot! : cold!
        if (order <= 0) at++
        // Every version of the record in the lake; they come in the order they were recorded.
        for (
          let other = cold;
          other !== undefined && compareRecords(other, next) === 0;
          other = await peekKnown(lake, query.knownAt)
        ) {
          if (other.recordedAt > next.recordedAt) next = other
          lake.take()
        }
      }
      state.after = next
      yield next
    }
    if (isLast) return
    // Nothing up to the end of the page is left, even when its last rows were hidden by newer ones.
    if (compareVersions(end!, state.after) > 0) state.after = end!
  }
}

function behind(cold: StoredRow, end: StoredRow, versions: 'current' | 'all'): boolean {
  return versions === 'all' ? compareVersions(cold, end) > 0 : compareRecords(cold, end) > 0
}

async function peekKnown(lake: LakeRows, knownAt: number | undefined): Promise<StoredRow | undefined> {
  for (;;) {
    const row = await lake.peek()
    if (row === undefined || knownAt === undefined || row.recordedAt <= knownAt) return row
    lake.take()
  }
}

async function enterLake(
  context: RecordContext,
  query: ScanQuery,
  state: ScanState,
  missing: string[],
  picture: RecordPicture,
  symbols: readonly string[] | undefined,
  range: { readonly from: number; readonly to: number },
): Promise<void> {
  const files = picture.files.filter((file) => !missing.includes(file.path))
  const identity = JSON.stringify([files.map((file) => file.id), [...picture.bounds]])
  if (state.lake !== undefined && state.files === identity) return
  const onUnreadable = async (file: RecordFileRef, error: unknown): Promise<void> => {
    if (!isLakeFailure(error)) throw error
    if (!(await allLive(context.sql, [file]))) throw new Outdated('', { cause: error })
    const { code, message } = error
    publish('alert', () => ({ key: `lake ${code}`, severity: 'critical', message }))
    if (query.onLakeFailure !== 'partial') throw error
    missing.push(file.path)
  }
  const after =
    (query.versions ?? 'current') === 'all' || state.after === BEFORE_ALL
      ? state.after
      : { ...state.after, recordedAt: Infinity }
  state.lake = await mergeFiles(
    files,
    {
      symbols,
      ...range,
      range: (symbol) => ({
        from: Math.max(range.from, picture.bounds.get(symbol) ?? range.from),
        to: range.to,
      }),
      after,
    },
    { reader: context.reader, columns: datasetDefinition(query.dataset).columns, onUnreadable },
  )
  state.files = identity
}

/** A row as callers see it. */
export function publicRow<D extends Dataset>(row: StoredRow, columns: readonly RecordColumn[]): RecordRow<D> {
  const values: Record<string, unknown> = {}
  for (let index = 0; index < columns.length; index++)
    values[columns[index]!.name] = publicValue(row.values[index] ?? null)
  const { symbol, time, key, recordedAt, deleted } = row
  return { symbol, time, key, recordedAt, deleted, values: values as RecordValues<D> }
}
