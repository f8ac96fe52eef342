import { z } from 'zod'

const durationMs = z.number().positive()
const longestTimer = 2 ** 31 - 1

/** What one way of running starts, and how long starting may take. */
export const contextProfileSchema = z.strictObject({
  startTimeoutMs: durationMs
    .max(longestTimer)
    .default(60_000)
    .describe('Longest the whole start may take, milliseconds'),
  components: z
    .array(z.string().min(1))
    .readonly()
    .optional()
    .describe('Components to start, with everything they depend on; all of them when left out'),
})

const essential = ['database', 'sources', 'monitoring']
const backfill = [...essential, 'ingestion', 'dualStorage']
const scanner = [...backfill, 'processing', 'eventBus']
const trading = [...scanner, 'risk', 'orders']

/** Options of `createApplicationContext` that are data. */
export const contextOptionsSchema = z.strictObject({
  profiles: z
    .record(z.string().min(1), contextProfileSchema)
    .default({
      default: { startTimeoutMs: 60_000, components: essential },
      backfill: { startTimeoutMs: 60_000, components: backfill },
      scanner: { startTimeoutMs: 30_000, components: scanner },
      trading: { startTimeoutMs: 45_000, components: trading },
    })
    .describe('Ways of running, by name'),
  startTimeoutMs: durationMs
    .max(longestTimer)
    .default(60_000)
    .describe('Longest a start without a profile may take, milliseconds'),
  stopTimeoutMs: durationMs
    .max(longestTimer)
    .default(30_000)
    .describe('Longest one component may take to stop, milliseconds'),
  abortGraceMs: z
    .number()
    .nonnegative()
    .max(longestTimer)
    .default(2_000)
    .describe('After a failed start, how long components still starting may take to notice, milliseconds'),
})
export type ContextSettings = z.input<typeof contextOptionsSchema>

/** Options of `runStartupChecks` that are data. */
export const startupOptionsSchema = z.strictObject({
  timeoutMs: durationMs
    .max(longestTimer)
    .default(10_000)
    .describe('Longest one check may take, milliseconds'),
})

/** Memory a process wants; decimal gigabytes, because a machine sold as 4 GB reports a little less than 4 GiB. */
export const memoryCheckSchema = z.strictObject({
  minimumBytes: z.int().positive().default(4_000_000_000).describe('Less memory fails the check, bytes'),
  recommendedBytes: z.int().positive().default(8_000_000_000).describe('Less memory warns, bytes'),
  cacheBytes: z
    .int()
    .nonnegative()
    .default(512_000_000)
    .describe('Less free memory than the cache wants warns, bytes'),
})

export const diskSpaceCheckSchema = z.strictObject({
  minimumBytes: z.int().nonnegative().default(1_000_000_000).describe('Less free space fails, bytes'),
  recommendedBytes: z.int().nonnegative().default(10_000_000_000).describe('Less free space warns, bytes'),
})

export const sqlCheckSchema = z.strictObject({
  minimumServerVersion: z
    .int()
    .positive()
    .default(15)
    .describe('Oldest major version of Postgres that passes'),
  clockSkewMs: durationMs
    .default(5_000)
    .describe('A larger difference between the two clocks warns, milliseconds'),
})

/** How a failed task is started again. */
export const restartPolicySchema = z.strictObject({
  restarts: z.int().positive().default(5).describe('Restarts at most; after them the task stays failed'),
  delayMs: z
    .number()
    .nonnegative()
    .default(1_000)
    .describe('Pause before the first restart; it doubles, milliseconds'),
  maxDelayMs: z
    .number()
    .nonnegative()
    .max(longestTimer)
    .default(60_000)
    .describe('Longest pause, milliseconds'),
})
export type RestartPolicy = z.input<typeof restartPolicySchema>

/** Options of `createTaskRegistry` that are data. */
export const taskOptionsSchema = z.strictObject({
  stopTimeoutMs: durationMs
    .max(longestTimer)
    .default(30_000)
    .describe('Longest a task may take to stop unless it says otherwise, milliseconds'),
  keepEnded: z.int().nonnegative().default(100).describe('Ended tasks still listed; the oldest go first'),
})
export type TaskSettings = z.input<typeof taskOptionsSchema>

export const shutdownGroupSchema = z.strictObject({
  name: z.string().min(1).describe('Name tasks refer to'),
  timeoutMs: durationMs
    .max(longestTimer)
    .default(15_000)
    .describe('Longest the group may take, milliseconds'),
})

/** Options of `createShutdown` and `handleSignals` that are data. */
export const shutdownOptionsSchema = z.strictObject({
  groups: z
    .array(shutdownGroupSchema)
    .min(1)
    .readonly()
    .default([
      { name: 'trading', timeoutMs: 45_000 },
      { name: 'data', timeoutMs: 30_000 },
      { name: 'system', timeoutMs: 15_000 },
      { name: 'rest', timeoutMs: 15_000 },
    ])
    .describe('Groups in the order they stop; a task of an unknown group stops with the last one'),
  taskTimeoutMs: durationMs
    .max(longestTimer)
    .default(30_000)
    .describe('Longest one task may take unless it says otherwise, milliseconds'),
  totalMs: durationMs.max(longestTimer).default(60_000).describe('Longest everything may take, milliseconds'),
  lastChanceMs: z
    .number()
    .nonnegative()
    .max(longestTimer)
    .default(1_000)
    .describe('What a task gets whose time was used up by others: it is told to stop now, milliseconds'),
  emergencyMs: durationMs
    .max(longestTimer)
    .default(5_000)
    .describe('Longest saving critical state may take in an emergency, milliseconds'),
  sameSignalMs: z
    .number()
    .nonnegative()
    .default(500)
    .describe(
      'A signal this soon after the first is the same wish: a terminal and a supervisor both send it, milliseconds',
    ),
  exitAs: z
    .enum(['service', 'command'])
    .default('service')
    .describe(
      'After an orderly stop a service exits with 0, a command with 128 plus the number of the signal',
    ),
})
export type ShutdownSettings = z.input<typeof shutdownOptionsSchema>

/** Options of `createResourceRegistry` that are data. */
export const resourceOptionsSchema = z.strictObject({
  closeTimeoutMs: durationMs
    .max(longestTimer)
    .default(10_000)
    .describe('Longest one resource may take to close, milliseconds'),
})
export type ResourceSettings = z.input<typeof resourceOptionsSchema>

/** Options of `createStateManager` that are data. */
export const stateOptionsSchema = z.strictObject({
  updateAttempts: z
    .int()
    .positive()
    .default(1_000)
    .describe('Attempts of one update while other processes keep changing the same document'),
  retryDelayMs: z
    .number()
    .nonnegative()
    .default(5)
    .describe('Ceiling of the first random pause between attempts; it doubles, milliseconds'),
  maxRetryDelayMs: z.number().nonnegative().default(100).describe('Ceiling of every pause, milliseconds'),
  valueBytes: z.int().positive().default(16_777_216).describe('Longest document, bytes of JSON'),
})
export type StateSettings = z.input<typeof stateOptionsSchema>

/** Options of `createFileStateStore` that are data. */
export const fileStateOptionsSchema = z.strictObject({
  heartbeatMs: durationMs
    .max(longestTimer)
    .default(10_000)
    .describe('How often the owner of the file shows that it lives, milliseconds'),
  staleMs: durationMs
    .default(60_000)
    .describe('An owner on another machine silent for this long is taken for dead, milliseconds'),
})
export type FileStateSettings = z.input<typeof fileStateOptionsSchema>

/** Options of the Redis stores that are data. */
export const redisStoreOptionsSchema = z.strictObject({
  prefix: z
    .string()
    .regex(/^[A-Za-z0-9:._-]+$/)
    .default('varve')
    .describe('First part of every key'),
  operationTimeoutMs: durationMs
    .max(longestTimer)
    .default(2_000)
    .describe('Longest one call may take before the store counts as down, milliseconds'),
})
export type RedisStoreSettings = z.input<typeof redisStoreOptionsSchema>

/** Options of `redisClientOptions`: a connection that fails instead of waiting. */
export const redisClientOptionsSchema = z.strictObject({
  connectTimeoutMs: durationMs.default(2_000).describe('Longest connecting may take, milliseconds'),
  commandTimeoutMs: durationMs.default(2_000).describe('Longest one command may take, milliseconds'),
  reconnectDelayMs: durationMs
    .default(100)
    .describe('Pause before the first reconnection; it grows, milliseconds'),
  maxReconnectDelayMs: durationMs
    .default(2_000)
    .describe('Longest pause between reconnections, milliseconds'),
})

/** Options of `createLock` that are data. */
export const lockOptionsSchema = z
  .strictObject({
    ttlMs: durationMs
      .max(longestTimer)
      .default(30_000)
      .describe('Without a renewal for this long the lock is free again, milliseconds'),
    heartbeatMs: durationMs
      .max(longestTimer)
      .default(10_000)
      .describe('How often a holder renews; in proportion for a lock taken with another ttlMs, milliseconds'),
    retryMs: durationMs
      .max(longestTimer)
      .default(1_000)
      .describe('Pause before a renewal that failed is tried again, milliseconds'),
    waitMs: z
      .number()
      .nonnegative()
      .default(10_000)
      .describe('How long to wait for a held lock unless told otherwise, milliseconds'),
    pollMs: durationMs
      .max(longestTimer)
      .default(250)
      .describe('Longest pause between looks at a held lock, milliseconds'),
    operationTimeoutMs: durationMs
      .max(longestTimer)
      .default(5_000)
      .describe('Longest one call to the store may take before it counts as down, milliseconds'),
  })
  .refine((options) => options.heartbeatMs < options.ttlMs, {
    path: ['heartbeatMs'],
    message: 'expected heartbeatMs below ttlMs: a lock must be renewed before it ends',
  })
export type LockSettings = z.input<typeof lockOptionsSchema>

/** Options of `loadArtifact` and `saveArtifact` that are data. */
export const artifactOptionsSchema = z.strictObject({
  limitBytes: z.int().positive().default(104_857_600).describe('Largest artifact, bytes'),
  extensions: z
    .array(z.string().regex(/^\.[a-z0-9]+$/))
    .min(1)
    .readonly()
    .default(['.json', '.csv', '.parquet', '.onnx', '.bin'])
    .describe('Endings of files that hold data and cannot run'),
  metadataBytes: z.int().positive().default(65_536).describe('Largest metadata file, bytes'),
  paranoid: z.boolean().default(false).describe('Also asks for the Ed25519 signature of a trusted signer'),
})
export type ArtifactSettings = z.input<typeof artifactOptionsSchema>

/** Every option of this package that is data, by what it belongs to. */
export const runtimeOptionsSchema = z.strictObject({
  context: contextOptionsSchema.prefault({}).describe('Application context'),
  startup: startupOptionsSchema.prefault({}).describe('Start-up checks'),
  memory: memoryCheckSchema.prefault({}).describe('Memory check'),
  disk: diskSpaceCheckSchema.prefault({}).describe('Disk space check'),
  database: sqlCheckSchema.prefault({}).describe('Database check'),
  tasks: taskOptionsSchema.prefault({}).describe('Background tasks'),
  shutdown: shutdownOptionsSchema.prefault({}).describe('Shutdown'),
  resources: resourceOptionsSchema.prefault({}).describe('Resources'),
  state: stateOptionsSchema.prefault({}).describe('State manager'),
  stateFile: fileStateOptionsSchema.prefault({}).describe('State in a file'),
  redis: redisStoreOptionsSchema.prefault({}).describe('State and locks in Redis'),
  lock: lockOptionsSchema.prefault({}).describe('Locks'),
  artifacts: artifactOptionsSchema.prefault({}).describe('Artifacts'),
})
export type RuntimeOptions = z.input<typeof runtimeOptionsSchema>
