export { storageMigrations } from './migrations.ts'
export { createBarStore } from './createBarStore.ts'
export type { BarStoreOptions } from './createBarStore.ts'
export type {
  BarQuery,
  BarReadBatch,
  BarRetentionPolicy,
  BarStats,
  BarStore,
  CompactOptions,
  CompactResult,
  LatestBar,
  LoadCounts,
  RetentionResult,
  SeriesRetention,
  SeriesSummary,
  SeriesTimes,
  StageOptions,
  StagePlan,
  StagedBars,
  StoreChecksums,
  SweepOptions,
  SweepResult,
  VerifyResult,
} from './BarStore.ts'
export { createCompanyStore } from './CompanyStore.ts'
export { createCoverageStore } from './CoverageStore.ts'
export type {
  CoverageEntry,
  CoverageFilter,
  CoverageState,
  CoverageStore,
  CoverageTrim,
} from './CoverageStore.ts'
export { createQuarantineStore } from './QuarantineStore.ts'
export type {
  QuarantineFilter,
  QuarantineRow,
  QuarantineSeverity,
  QuarantineStore,
  RuleCount,
} from './QuarantineStore.ts'
export { createGapStore } from './GapStore.ts'
export type { DetectedGap, Gap, GapFilter, GapKey, GapOutcome, GapState, GapStore } from './GapStore.ts'
export { sourceName } from './sources.ts'
export * from './lake/index.ts'
export * from './encryption/index.ts'
export * from './backup/index.ts'
export * from './records/index.ts'
export * from './load/index.ts'
export * from './adjust/index.ts'
export * from './routing/index.ts'
export * from './repositories/index.ts'
export type { LakeProblem, LakeProblemKind } from './lake/checkBarFile.ts'
export type { LakeOrphan, LakeVerifyResult } from './bars/verify.ts'
export { createBarFileReader } from './lake/parquetReader.ts'
export type { BarFileColumns, BarFileReader, BarFileReaderOptions } from './lake/parquetReader.ts'
export { createLocalLake } from './lake/localLake.ts'
export type { LocalLakeOptions } from './lake/localLake.ts'
export type { LakeFileInfo, LakeFiles } from './lake/LakeFiles.ts'
export { createPostgresClient } from './hot/PostgresClient.ts'
export type { PostgresClient, PostgresClientOptions } from './hot/PostgresClient.ts'
export * from './hot/pool/index.ts'
export * from './hot/queries/index.ts'
export { createPgliteClient } from './hot/PgliteClient.ts'
export type { PgliteClientOptions } from './hot/PgliteClient.ts'
export {
  barStoreOptionsSchema,
  directoryLockOptionsSchema,
  pgliteOptionsSchema,
  postgresOptionsSchema,
  quarantineOptionsSchema,
} from './options.ts'
export type {
  BarStoreSettings,
  DirectoryLockSettings,
  PgliteSettings,
  PostgresSettings,
  QuarantineSettings,
} from './options.ts'
