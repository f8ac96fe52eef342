export { createRecordStore } from './createRecordStore.ts'
export { recordStoreOptionsSchema } from './options.ts'
export type { RecordStoreOptions, RecordStoreSettings } from './options.ts'
export { recordMigrations } from './migrations.ts'
export { CORPORATE_ACTION_KINDS, DATASETS, DATASET_NAMES, datasetDefinition } from './datasets.ts'
export type {
  Dataset,
  DatasetDefinition,
  RecordColumn,
  RecordInputs,
  RecordRule,
  RecordValues,
} from './datasets.ts'
export type { ColumnInputs, ColumnKind, ColumnTypes } from './columns.ts'
export type {
  RecordArchiveResult,
  RecordBatch,
  RecordBound,
  RecordCompactResult,
  RecordInput,
  RecordLoadCounts,
  RecordPage,
  RecordQuery,
  RecordRetentionPolicy,
  RecordRetentionReport,
  RecordRow,
  RecordRowError,
  RecordStats,
  RecordStore,
  RetainedGroup,
  StagedRecords,
} from './RecordStore.ts'
export { recordVerifyOptionsSchema } from './verifyRecords.ts'
export type { RecordVerifyOptions } from './verifyRecords.ts'
export { groupDuplicates, normalizeTitle } from './duplicates.ts'
export type { DuplicateGroup, DuplicateOptions, DuplicateTraits } from './duplicates.ts'
export { createNewsRepository, newsRepositoryOptionsSchema } from './NewsRepository.ts'
export type {
  Article,
  NewsQuery,
  NewsRepository,
  NewsRepositoryOptions,
  NewsRepositorySettings,
  TrendingSymbol,
} from './NewsRepository.ts'
export { cleanFeatures, cleanFeaturesOptionsSchema } from './cleanFeatures.ts'
export type { CleanFeaturesOptions, CleanFeaturesSettings } from './cleanFeatures.ts'
