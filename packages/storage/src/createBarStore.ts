import { VarveError } from '@varve/core'
import type { BarStore, StagedBars } from './BarStore.ts'
import { loadWatermark } from './bars/archive.ts'
import { storeChecksums } from './bars/checksums.ts'
import { commitBars } from './bars/commit.ts'
import { compactBars } from './bars/compact.ts'
import { type BarStoreOptions, storeContext } from './bars/options.ts'
import { readBars } from './bars/read.ts'
import { retainBars } from './bars/retain.ts'
import { planRetention } from './bars/retentionPlan.ts'
import { type StagedRows, stageBars } from './bars/stage.ts'
import { latestBars } from './bars/latest.ts'
import { loadStats, loadTimes, summarizeSeries } from './bars/summaries.ts'
import { sweepLake } from './bars/sweep.ts'
import { verifyLake } from './bars/verify.ts'

export type { BarStoreOptions } from './bars/options.ts'

/**
 * Bars in Postgres and in the lake as one store. Needs `storageMigrations` applied. Creating it does no I/O, and
 * there is nothing to close: the client and the lake are the caller's.
 */
export function createBarStore(options: BarStoreOptions): BarStore {
  const context = storeContext(options)
  return {
    stage: (batch, plan, stageOptions) => stageBars(context, batch, plan, stageOptions),
    commit(tx, staged) {
      if (!isStagedRows(staged)) {
        throw new VarveError('expected what stage() returned', { code: 'OPTION_INVALID' })
      }
      return commitBars(context, tx, staged)
    },
    read: (query) => readBars(context, query),
    retain: (policy, signal) => retainBars(context, policy, signal),
    planRetention: (policy, signal) => planRetention(context, policy, signal),
    compact: (interval, compactOptions = {}) => compactBars(context, interval, compactOptions),
    sweep: (sweepOptions) => sweepLake(context, sweepOptions),
    verify: (verifyOptions = {}) => verifyLake(context, verifyOptions.signal),
    stats: () => loadStats(context),
    latest: (interval, symbols, source) => latestBars(context, interval, symbols, source),
    seriesSummary: (interval, source) => summarizeSeries(context, interval, source),
    sessionsHeld: (interval, symbols, source) => loadTimes(context, interval, symbols, source),
    watermark: (interval) => loadWatermark(context.sql, interval),
    checksums: () => storeChecksums(context),
  }
}

function isStagedRows(staged: StagedBars): staged is StagedRows {
  return 'hotNew' in staged && 'revisions' in staged
}
