export { createBackup } from './createBackup.ts'
export type { BackupOptions } from './createBackup.ts'
export { restoreBackup } from './restoreBackup.ts'
export type { RestoreOptions, RestoreReport, RestoreTarget, RestoredComponent } from './restoreBackup.ts'
export { embeddedScratch, serverScratch, verifyBackup } from './verifyBackup.ts'
export type {
  BackupProblem,
  ScratchDatabase,
  ServerScratchOptions,
  VerifyOptions,
  VerifyReport,
} from './verifyBackup.ts'
export { backupsForTime, listBackups } from './listBackups.ts'
export type {
  BackupList,
  BackupsForTimeOptions,
  BaseBackup,
  RecoveryAdvice,
  RecoveryChoice,
  UnreadableBackup,
} from './listBackups.ts'
export { pruneBackups } from './pruneBackups.ts'
export type { PruneOptions, PruneResult } from './pruneBackups.ts'
export { createDirectoryComponent, createStateStoreComponent } from './StateComponent.ts'
export type {
  DirectoryComponentOptions,
  StateComponent,
  StateStoreComponentOptions,
} from './StateComponent.ts'
export { lakeCatalogs } from './catalogs.ts'
export type { LakeCatalog } from './catalogs.ts'
export { BACKUP_FORMAT } from './manifest.ts'
export type { BackupManifest } from './manifest.ts'
export {
  backupJobSchema,
  backupJobsOptionsSchema,
  backupOptionsSchema,
  backupRetentionSchema,
  directoryComponentOptionsSchema,
} from './options.ts'
export type {
  BackupContent,
  BackupJob,
  BackupJobSettings,
  BackupJobsSettings,
  BackupKind,
  BackupRetention,
  BackupSettings,
  DirectoryComponentSettings,
} from './options.ts'
export { nextRun } from './cron.ts'
export { createBackupJobs } from './backupJobs.ts'
export type {
  BackupJobStatus,
  BackupJobs,
  BackupJobsOptions,
  BackupJobsStatus,
  BackupRecord,
} from './backupJobs.ts'
export { migrateWithBackup } from './migrateWithBackup.ts'
export type { MigrateOptions, MigrationReport } from './migrateWithBackup.ts'
export { logicalReferences, migrationStrategies } from './migrationChecks.ts'
export type { DataKind, LogicalReference, MigrationProblem, MigrationStrategy } from './migrationChecks.ts'
export { createBackupRunner } from './backupRunner.ts'
export type { BackupRunnerOptions } from './backupRunner.ts'
