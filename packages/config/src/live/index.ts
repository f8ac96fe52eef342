export { createConfigStore } from './createConfigStore.ts'
export { configStoreOptionsSchema } from './ConfigStore.ts'
export type {
  ConfigProblemReport,
  ConfigStore,
  ConfigStoreOptions,
  ConfigWatcher,
  Ending,
  LoadedValues,
  ReloadResult,
  SignalSource,
} from './ConfigStore.ts'
export type { ConfigChange } from './changes.ts'
export { directoryFingerprint } from './fingerprint.ts'
export { processInstance } from './processConfig.ts'
export type { ProcessInstance } from './processConfig.ts'
export { configHistory, configHistoryOptionsSchema } from './configHistory.ts'
export type { ChangeOptions, ConfigHistory, ConfigHistoryOptions, ConfigVersion } from './configHistory.ts'
export type { DiskObserver } from './disk.ts'
export { isChangeUnfinished } from './journal.ts'
export type { FileChanges, Recovery } from './journal.ts'
export { editSetting } from './editSetting.ts'
export type { EditedSetting, EditSettingOptions, ExplainedConfig, SettingOrigin } from './editSetting.ts'
export { migrateConfig } from './migrateConfig.ts'
export type { MigrateConfigOptions, MigrationReport } from './migrateConfig.ts'
export { LEGACY_VOCABULARY, stepsFromDeprecated } from './migrationSteps.ts'
export type { MigrationStep, MovedPath } from './migrationSteps.ts'
export type { Unplaced } from './migrationState.ts'
