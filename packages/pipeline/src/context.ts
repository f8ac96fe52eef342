import type { Clock, SessionCalendar, SqlClient } from '@varve/core'
import type { EventStore, JobEngine } from '@varve/events'
import type { CompanyStore, Universe } from '@varve/layers'
import type { MarketDataProvider } from '@varve/providers'
import type { BarStore, CoverageStore, GapStore, QuarantineStore, RecordStore } from '@varve/storage'
import type { PipelineOptions } from './options.ts'
import type { Retention } from './policy.ts'

/** Name of the queue of backfill jobs. */
export const BACKFILL_QUEUE = 'backfill'

/** What every stage works with. */
export interface PipelineContext {
  readonly sql: SqlClient
  readonly companies: CompanyStore
  readonly bars: BarStore
  /** Everything that is no bar: news, corporate actions, ticks, filings and more. */
  readonly records: RecordStore
  readonly coverage: CoverageStore
  readonly quarantine: QuarantineStore
  readonly gaps: GapStore
  readonly events: EventStore
  readonly jobs: JobEngine
  /** Where bars come from; absent for stages that need none. */
  readonly provider: MarketDataProvider | undefined
  readonly calendar: SessionCalendar
  readonly clock: Clock
  readonly universe: Universe
  readonly retention: Retention
  readonly options: PipelineOptions
}
