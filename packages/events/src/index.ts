export {
  EVENT_TYPES,
  EVENT_VERSIONS,
  PRIORITIES,
  REQUESTERS,
  eventSchemas,
  parseEvent,
  priorityNumber,
} from './types.ts'
export type {
  BackfillCompleted,
  BackfillRequested,
  DataGapDetected,
  DataGapResolved,
  EventData,
  EventType,
  NewEvent,
  Priority,
  Requester,
  StoredEvent,
  SymbolDemoted,
  SymbolPromoted,
  SymbolQualified,
} from './types.ts'
export { eventsMigrations } from './migrations.ts'
export { EVENTS_CHANNEL, createEventStore } from './EventStore.ts'
export type {
  EventCountFilter,
  EventPosition,
  EventStore,
  EventStoreOptions,
  ReadOptions,
} from './EventStore.ts'
export { rebaseEvents } from './rebaseEvents.ts'
export { createSubscription } from './subscription.ts'
export type { Subscription, SubscriptionOptions } from './subscription.ts'
export { JOBS_CHANNEL, createJobEngine } from './JobEngine.ts'
export type {
  DeadLetter,
  DrainOptions,
  Job,
  JobCounts,
  JobEngine,
  JobEngineOptions,
  JobHandler,
  JobQueueOptions,
  JobTally,
  NewJob,
  WorkOptions,
} from './jobTypes.ts'
export { jobEngineOptionsSchema, subscriptionOptionsSchema } from './options.ts'
export type { JobEngineSettings, SubscriptionSettings } from './options.ts'
