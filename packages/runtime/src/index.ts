export { component, createApplicationContext } from './context/ApplicationContext.ts'
export type {
  ApplicationContext,
  ApplicationContextOptions,
  Component,
  ComponentFailure,
  ComponentState,
  ComponentStatus,
  Components,
  StartContext,
} from './context/ApplicationContext.ts'
export { assertStartup, formatStartupReport, runStartupChecks } from './startup/runStartupChecks.ts'
export type {
  CheckFinding,
  CheckResult,
  CheckStatus,
  RunStartupChecksOptions,
  StartupCheck,
  StartupReport,
} from './startup/runStartupChecks.ts'
export { credentialsCheck, diskSpaceCheck, memoryCheck, pathCheck, sqlCheck } from './startup/checks.ts'
export type {
  CredentialsCheckOptions,
  DiskSpaceCheckOptions,
  MemoryCheckOptions,
  PathCheckOptions,
  SqlCheckOptions,
} from './startup/checks.ts'
export { createTaskRegistry } from './tasks/TaskRegistry.ts'
export type {
  TaskDefinition,
  TaskHandle,
  TaskRegistry,
  TaskRegistryOptions,
  TaskState,
  TaskStatus,
} from './tasks/TaskRegistry.ts'
export { createShutdown, formatNotStopped } from './shutdown/Shutdown.ts'
export type {
  NotStopped,
  Shutdown,
  ShutdownOptions,
  ShutdownResult,
  ShutdownTask,
} from './shutdown/Shutdown.ts'
export { handleSignals } from './shutdown/signals.ts'
export type { HandleSignalsOptions, ProcessLike } from './shutdown/signals.ts'
export { createEmergency, loadCriticalState, saveCriticalState } from './shutdown/emergency.ts'
export type { Emergency, EmergencyOptions, EmergencyResult, EmergencySave } from './shutdown/emergency.ts'
export { createResourceRegistry } from './resources/ResourceRegistry.ts'
export type { Closable, ResourceRegistry, ResourceRegistryOptions } from './resources/ResourceRegistry.ts'
export { createStateManager } from './state/StateManager.ts'
export type { StateManager, StateManagerOptions, StateMetrics, VersionedValue } from './state/StateManager.ts'
export type { PutOptions, StateEntry, StateRecord, VersionedStateStore } from './state/VersionedStateStore.ts'
export { createMemoryStateStore } from './state/memoryStateStore.ts'
export type { MemoryStateStoreOptions } from './state/memoryStateStore.ts'
export { createFileStateStore } from './state/fileStateStore.ts'
export type { FileStateStoreOptions } from './state/fileStateStore.ts'
export { createPostgresStateStore } from './state/postgresStateStore.ts'
export type { PostgresStateStoreOptions } from './state/postgresStateStore.ts'
export { createLock } from './lock/createLock.ts'
export type { CreateLockOptions } from './lock/createLock.ts'
export type { LockAnswer, LockStore } from './lock/LockStore.ts'
export { createMemoryLockStore } from './lock/memoryLockStore.ts'
export type { MemoryLockStoreOptions } from './lock/memoryLockStore.ts'
export { createPostgresLockStore } from './lock/postgresLockStore.ts'
export type { PostgresLockStoreOptions } from './lock/postgresLockStore.ts'
export { assertFence, createMemoryFence } from './lock/fence.ts'
export type { MemoryFence } from './lock/fence.ts'
export { runtimeMigrations } from './migrations.ts'
export { loadArtifact } from './artifacts/loadArtifact.ts'
export type { LoadArtifactOptions, LoadedArtifact } from './artifacts/loadArtifact.ts'
export { saveArtifact } from './artifacts/saveArtifact.ts'
export type { SaveArtifactOptions } from './artifacts/saveArtifact.ts'
export { artifactMetadataSchema } from './artifacts/metadata.ts'
export type { ArtifactMetadata, ArtifactRefusal } from './artifacts/metadata.ts'
export {
  artifactOptionsSchema,
  contextOptionsSchema,
  contextProfileSchema,
  diskSpaceCheckSchema,
  fileStateOptionsSchema,
  lockOptionsSchema,
  memoryCheckSchema,
  redisClientOptionsSchema,
  redisStoreOptionsSchema,
  resourceOptionsSchema,
  restartPolicySchema,
  runtimeOptionsSchema,
  shutdownGroupSchema,
  shutdownOptionsSchema,
  sqlCheckSchema,
  startupOptionsSchema,
  stateOptionsSchema,
  taskOptionsSchema,
} from './options.ts'
export type {
  ArtifactSettings,
  ContextSettings,
  FileStateSettings,
  LockSettings,
  RedisStoreSettings,
  ResourceSettings,
  RestartPolicy,
  RuntimeOptions,
  ShutdownSettings,
  StateSettings,
  TaskSettings,
} from './options.ts'
