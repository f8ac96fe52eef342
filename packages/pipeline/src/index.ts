export type { PipelineContext } from './context.ts'
export { BACKFILL_QUEUE } from './context.ts'
export { pipelineOptionsSchema } from './options.ts'
export type { PipelineOptions } from './options.ts'
export {
  barsNeed,
  depthStart,
  layerDataSchema,
  lookbackStart,
  needsOf,
  retentionSchema,
} from './policy.ts'
export type { DataNeed, LayerData, Retention } from './policy.ts'
export { BAR_RULES } from './rules.ts'
export type { BarRule } from './rules.ts'
export { BarValidator } from './validate.ts'
export type { Validated, ValidatorOptions } from './validate.ts'
export { fetchBars, planCalls } from './fetchBars.ts'
export type { FetchedBars, FetchNeed, PlannedCall } from './fetchBars.ts'
export { refreshListing } from './list.ts'
export { refreshDaily } from './refresh.ts'
export { scanUniverse } from './scan.ts'
export type { ScanResult } from './scan.ts'
export { createBackfillListener } from './listener.ts'
export { requestBackfills } from './request.ts'
export type { BackfillWish } from './request.ts'
export { workBackfills } from './backfill.ts'
export { detectGaps } from './gaps.ts'
export { retainBars } from './retain.ts'
export { IMPORT_PROVIDER, importFile } from './importFile.ts'
export type { ImportInput, ImportResult } from './importFile.ts'
export { dispatch, drainBackfills, healGaps, runCycle } from './run.ts'
export { buildReport } from './report.ts'
export type { RunReport } from './report.ts'
export { Tally } from './tally.ts'
