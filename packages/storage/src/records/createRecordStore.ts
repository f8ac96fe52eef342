import { VarveError } from '@varve/core'
import { archiveRecords } from './archiveRecords.ts'
import { compactRecords } from './compactRecords.ts'
import type { Dataset } from './datasets.ts'
import { RECORD_SQL } from './datasetSql.ts'
import { expireRecords } from './expireRecords.ts'
import { type RecordContext, type RecordStoreOptions, recordContext } from './options.ts'
import { comingSpans, ensureSpans } from './partitions.ts'
import { purgeRecords } from './purgeRecords.ts'
import { readRecords } from './readRecords.ts'
import type { RecordStats, RecordStore, StagedRecords } from './RecordStore.ts'
import { retainRecords } from './retainRecords.ts'
import { type StagedVersions, commitRecords, loadRecords, stageRecords } from './stageRecords.ts'
import { sweepRecords } from './sweepRecords.ts'
import { verifyRecords } from './verifyRecords.ts'

/**
 * Records in Postgres and in the lake as one store. Needs `storageMigrations` applied. Creating it does no I/O, and
 * there is nothing to close: the client and the lake are the caller's.
 *
 * @throws `OPTION_INVALID`
 */
export function createRecordStore(options: RecordStoreOptions): RecordStore {
  const context = recordContext(options)
  return {
    stage: (batch, { signal } = {}) => stageRecords(context, batch, signal),
    commit(tx, staged) {
      if (!isStagedVersions(staged))
        throw new VarveError('expected what stage() returned', { code: 'OPTION_INVALID' })
      return commitRecords(context, tx, staged)
    },
    load: (batch, { signal } = {}) => loadRecords(context, batch, signal),
    read: (query) => readRecords(context, query),
    prepare: (dataset) =>
      ensureSpans(context.sql, dataset, comingSpans(dataset, context.clock.now(), context.partitionsAhead)),
    archive: (dataset, archiveOptions) => archiveRecords(context, dataset, archiveOptions),
    async compact(dataset, compactOptions = {}) {
      const { force, signal } = compactOptions
      const { filesBefore, filesAfter, rows, bytes, expiredDropped } = await compactRecords(
        context,
        dataset,
        { force, signal },
      )
      return { filesBefore, filesAfter, rows, bytes, expiredDropped }
    },
    expire: (dataset, { before, signal }) => expireRecords(context, dataset, { before, signal }),
    retain: (dataset, policy) => retainRecords(context, dataset, policy),
    sweep: (sweepOptions) => sweepRecords(context, sweepOptions),
    purge: (dataset, purgeOptions) => purgeRecords(context, dataset, purgeOptions),
    verify: (verifyOptions) => verifyRecords(context, verifyOptions),
    stats: (dataset) => loadRecordStats(context, dataset),
  }
}

function isStagedVersions(staged: StagedRecords): staged is StagedVersions {
  return 'added' in staged && 'revision' in staged
}

async function loadRecordStats(context: RecordContext, dataset: Dataset): Promise<RecordStats> {
  const { rows } = await context.sql.query<{
    hot: number
    cold: number
    files: number
    bytes: number
  }>(
    `SELECT (SELECT count(*) FROM ${RECORD_SQL[dataset].table})::float8 AS hot, coalesce(sum(f.rows), 0)::float8 AS cold,
       count(*)::int AS files, coalesce(sum(f.bytes), 0)::float8 AS bytes
     FROM record_files f WHERE f.dataset = $1 AND f.removed_at IS NULL`,
    [dataset],
  )
  const { hot, cold, files, bytes } = rows[0]!
  return { hotRows: hot, coldRows: cold, coldFiles: files, coldBytes: bytes }
}
