import { type BarSource, type SqlTx, VarveError, isVarveError } from '@varve/core'
import { isPartitionMissing } from '../hot/partitions.ts'
import { type CheckedRow, checkRows } from './checkRows.ts'
import { encodeRecordCopy } from './copyRecords.ts'
import { type Dataset, datasetDefinition } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import { mergeFiles } from './lakeRows.ts'
import type { RecordContext } from './options.ts'
import { type VersionKey, compareText } from './order.ts'
import { ensureSpans, spansOf } from './partitions.ts'
import { allLive, bumpRevision, ensureRecordSource, lockRecordSource } from './recordCatalog.ts'
import { type RecordPicture, loadKnown } from './recordPage.ts'
import type { RecordBatch, RecordLoadCounts, StagedRecords } from './RecordStore.ts'
import { type StoredRow, sameContent } from './StoredRow.ts'

/** What `commitRecords` needs of a staged batch. */
export interface StagedVersions extends StagedRecords {
  readonly sourceId: number
  readonly revision: bigint
  /** Versions to be added. */
  readonly added: readonly StoredRow[]
  /** Instants from which expired records of a symbol show again, because older ones were loaded on purpose. */
  readonly reopened: ReadonlyMap<string, number>
}

/** Compares a batch with what is stored. See `RecordStore.stage`. */
export async function stageRecords<D extends Dataset>(
  context: RecordContext,
  batch: RecordBatch<D>,
  signal: AbortSignal | undefined,
  tx: SqlTx = context.sql,
): Promise<StagedVersions> {
  const { dataset, source } = batch
  const { rows, errors } = checkRows(batch, batch.recordedAt ?? context.clock.now())
  const sourceId = await ensureRecordSource(tx, dataset, source)
  signal?.throwIfAborted()
  const unique = [...new Map(rows.map((row) => [recordId(row), row])).values()]
  const picture = await loadKnown(tx, dataset, sourceId, unique)
  const known = await knownVersions(context, tx, dataset, unique, picture)
  signal?.throwIfAborted()
  const decided = decide(rows, known, (row) => {
    const input = batch.rows[row.index]!
    return batch.recordedAt === undefined && input.recordedAt === undefined
  })
  const reopened = new Map<string, number>()
  for (const { symbol, time } of rows) {
    if (time < Math.min(picture.bounds.get(symbol) ?? -Infinity, reopened.get(symbol) ?? Infinity))
      reopened.set(symbol, time)
  }
  // Before the transaction: a partition made in it would hold others up until it ends.
  if (tx === context.sql) await ensureSpans(context.sql, dataset, spansOf(dataset, decided.added))
  const { inserted, updated, unchanged, duplicates } = decided
  return {
    dataset,
    source,
    inserted,
    updated,
    unchanged,
    duplicates,
    failed: errors.length,
    errors,
    sourceId,
    revision: picture.revision,
    added: decided.added,
    reopened,
  }
}

/** Writes what was staged. See `RecordStore.commit`. */
export async function commitRecords(
  context: RecordContext,
  tx: SqlTx,
  staged: StagedVersions,
): Promise<RecordLoadCounts> {
  const { dataset, sourceId, added, reopened } = staged
  if (added.length > 0 || reopened.size > 0) {
    if ((await lockRecordSource(tx, dataset, sourceId)) !== staged.revision)
      throw staleRecords(dataset, staged.source, 'records were written since the batch was staged')
    try {
      await writeVersions(context, tx, staged)
    } catch (error) {
      if (!isPartitionMissing(error)) throw error
      throw staleRecords(dataset, staged.source, 'a partition was dropped since the batch was staged')
    }
    await bumpRevision(tx, dataset, sourceId)
  }
  const { inserted, updated, unchanged, duplicates, failed, errors } = staged
  return { inserted, updated, unchanged, duplicates, failed, errors }
}

/** Stages and commits. See `RecordStore.load`. */
export async function loadRecords<D extends Dataset>(
  context: RecordContext,
  batch: RecordBatch<D>,
  signal: AbortSignal | undefined,
): Promise<RecordLoadCounts> {
  for (let attempt = 1; ; attempt++) {
    signal?.throwIfAborted()
    try {
      if (attempt > context.attempts) {
        // Others kept getting in between: hold them off for this try.
        return await context.sql.tx(async (tx) => {
          const sourceId = await ensureRecordSource(tx, batch.dataset, batch.source)
          await lockRecordSource(tx, batch.dataset, sourceId)
          return commitRecords(context, tx, await stageRecords(context, batch, signal, tx))
        })
      }
      const staged = await stageRecords(context, batch, signal)
      if (staged.added.length === 0 && staged.reopened.size === 0)
        return await commitRecords(context, context.sql, staged)
      return await context.sql.tx((tx) => commitRecords(context, tx, staged))
    } catch (error) {
      if (!isVarveError(error, 'STORAGE_STAGE_STALE') || attempt > context.attempts) throw error
    }
  }
}

async function writeVersions(context: RecordContext, tx: SqlTx, staged: StagedVersions): Promise<void> {
  const { dataset, sourceId, added, reopened } = staged
  if (added.length > 0) {
    await tx.copyIn(
      `COPY ${RECORD_SQL[dataset].table} (${RECORD_SQL[dataset].fields}) FROM STDIN (FORMAT binary)`,
      encodeRecordCopy(added, {
        sourceId,
        columns: RECORD_SQL[dataset].columns,
        chunkBytes: context.copyChunkBytes,
      }),
    )
  }
  if (reopened.size > 0) {
    await tx.query(
      `UPDATE record_bounds b SET expired_before = n.expired_before
       FROM unnest($3::text[], $4::timestamptz[]) AS n(symbol, expired_before)
       WHERE b.dataset = $1 AND b.source_id = $2 AND b.symbol = n.symbol AND b.expired_before > n.expired_before`,
      [dataset, sourceId, [...reopened.keys()], [...reopened.values()].map((time) => new Date(time))],
    )
  }
}

function recordId(row: Omit<VersionKey, 'recordedAt'>): string {
  return `${row.symbol}\n${row.time}\n${row.key}`
}

/** Versions of the batch's records by record, in Postgres and in the lake. */
async function knownVersions(
  context: RecordContext,
  tx: SqlTx,
  dataset: Dataset,
  records: readonly CheckedRow[],
  picture: RecordPicture,
): Promise<Map<string, StoredRow[]>> {
  const known = new Map<string, StoredRow[]>()
  const add = (row: StoredRow) => {
    const id = recordId(row)
    const list = known.get(id)
    if (list === undefined) known.set(id, [row])
    else list.push(row)
  }
  picture.rows.forEach(add)
  if (picture.files.length > 0) {
    const wanted = new Set(records.map(recordId))
    const ranges = new Map<string, { from: number; to: number }>()
    let [from, to] = [Infinity, -Infinity]
    for (const { symbol, time } of records) {
      const range = ranges.get(symbol)
      ranges.set(symbol, {
        from: Math.min(range?.from ?? time, time),
        to: Math.max(range?.to ?? 0, time + 1),
      })
      from = Math.min(from, time)
      to = Math.max(to, time + 1)
    }
    const lake = await mergeFiles(
      picture.files,
      {
        symbols: [...ranges.keys()].sort(compareText),
        from,
        to,
        range: (symbol) => ranges.get(symbol) ?? { from: 0, to: 0 },
      },
      {
        reader: context.reader,
        columns: datasetDefinition(dataset).columns,
        onUnreadable: async (file, error) => {
          if (isVarveError(error, 'LAKE_UNREADABLE') && !(await allLive(tx, [file])))
            throw staleRecords(dataset, undefined, 'a lake file was replaced while the batch was staged')
          throw error
        },
      },
    )
    for (let row = await lake.peek(); row !== undefined; row = await lake.peek()) {
      if (wanted.has(recordId(row))) add(row)
      lake.take()
    }
  }
  return known
}

interface Decided {
  readonly added: StoredRow[]
  inserted: number
  updated: number
  unchanged: number
  duplicates: number
}

/**
 * Which rows say something new. A row is compared with the version before it in the order of recording.
 *
 * Two different values recorded at the same instant: the one that came later is taken to be recorded a millisecond
 * later, so that loading both again changes nothing. If one of them is what was known before, it came first.
 *
 * @param isLive - whether a row was recorded now, and therefore after all that is stored, whatever the clock says
 */
function decide(
  rows: readonly CheckedRow[],
  known: Map<string, StoredRow[]>,
  isLive: (row: CheckedRow) => boolean,
): Decided {
  const result: Decided = { added: [], inserted: 0, updated: 0, unchanged: 0, duplicates: 0 }
  const seen = new Map<string, CheckedRow[]>()
  for (const row of rows) {
    const id = recordId(row)
    let versions = known.get(id)
    if (versions === undefined) known.set(id, (versions = []))
    const isNow = isLive(row)
    const newest = versions.reduce((most, other) => Math.max(most, other.recordedAt), -Infinity)
    let recordedAt = row.recordedAt
    if (isNow && recordedAt <= newest) recordedAt = newest + 1
    // A row that says what was known until then was seen before its instant's first other answer.
    let same = !isNow && isSame(latestAt(versions, recordedAt - 1), row)
    while (!same) {
      const before = latestAt(versions, recordedAt)
      same = isSame(before, row)
      if (same || before?.recordedAt !== recordedAt) break
      recordedAt++
    }
    const repeated = seen.get(id)
    if (same) {
      result.unchanged++
      if (repeated?.some((other) => other.recordedAt === row.recordedAt && isSame(other, row)) === true)
        result.duplicates++
    } else {
      if (versions.length === 0) result.inserted++
      else result.updated++
      const { symbol, time, key, deleted, values } = row
      const version: StoredRow = { symbol, time, key, recordedAt, deleted, values }
      versions.push(version)
      result.added.push(version)
    }
    if (repeated === undefined) seen.set(id, [row])
    else repeated.push(row)
  }
  return result
}

function isSame(version: StoredRow | undefined, row: StoredRow): boolean {
  return version !== undefined && sameContent(version, row)
}

function latestAt(versions: readonly StoredRow[], instant: number): StoredRow | undefined {
  let found: StoredRow | undefined
  for (const version of versions) {
    if (version.recordedAt <= instant && (found === undefined || version.recordedAt > found.recordedAt))
      found = version
  }
  return found
}

function staleRecords(dataset: Dataset, source: BarSource | undefined, what: string): VarveError {
  return new VarveError(`${what}; stage the batch of ${dataset} again`, {
    code: 'STORAGE_STAGE_STALE',
    retryable: true,
    details: { dataset, ...(source === undefined ? {} : { provider: source.provider }) },
  })
}
