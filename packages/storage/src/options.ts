import { z } from 'zod'
import { poolOptionsSchema } from './hot/pool/options.ts'

/** The part of `createPostgresClient`'s options that is data. */
export const postgresOptionsSchema = z.object({
  ...poolOptionsSchema.shape,
  connectTimeoutMs: z
    .int()
    .min(1)
    .default(10_000)
    .describe('How long one attempt to connect may take, milliseconds'),
  statementTimeoutMs: z
    .int()
    .min(0)
    .default(300_000)
    .describe('A statement that runs longer is cancelled by the server, milliseconds; 0 for never'),
  applicationName: z.string().min(1).default('varve').describe('Shown in pg_stat_activity'),
  reconnectDelayMs: z
    .int()
    .min(1)
    .default(200)
    .describe('Pause before a lost LISTEN connection is opened again, milliseconds; doubles with every try'),
  reconnectDelayMaxMs: z
    .int()
    .min(1)
    .default(6000)
    .describe('Longest pause before a lost LISTEN connection is opened again, milliseconds'),
})
export type PostgresSettings = z.input<typeof postgresOptionsSchema>

/** The part of `acquireDirectoryLock`'s options that is data. */
export const directoryLockOptionsSchema = z.object({
  lockStaleMs: z
    .int()
    .min(1)
    .default(30_000)
    .describe(
      'The lock of an owner that cannot be checked is taken over after this long without a heartbeat, milliseconds',
    ),
  heartbeatMs: z.int().min(1).default(1000).describe('Pause between heartbeats of the lock, milliseconds'),
  missedBeats: z
    .int()
    .min(1)
    .default(3)
    .describe('Heartbeats a stale owner is still given, in case its machine just woke up'),
})
export type DirectoryLockSettings = z.input<typeof directoryLockOptionsSchema>

/** The part of `createPgliteClient`'s options that is data. */
export const pgliteOptionsSchema = directoryLockOptionsSchema.extend({
  copyRows: z
    .int()
    .min(1)
    .max(20_000)
    .default(20_000)
    .describe('Rows of a load handed to the engine in one statement; it is busy for as long'),
  copyBytes: z
    .int()
    .min(1024)
    .default(4_194_304)
    .describe('Bytes of a load handed to the engine in one statement'),
  youngGenerationMb: z
    .int()
    .min(1)
    .max(128)
    .default(24)
    .describe("Memory of the engine's thread for short-lived objects, megabytes; V8 itself would take 128"),
  copyAhead: z
    .int()
    .min(1)
    .max(16)
    .default(2)
    .describe('Parts of one load under way at once: one being copied, the others being prepared'),
})
export type PgliteSettings = z.input<typeof pgliteOptionsSchema>

/** The part of `createQuarantineStore`'s options that is data. */
export const quarantineOptionsSchema = z.object({
  quarantineBatchSize: z.int().min(1).default(5000).describe('Rows set aside by one statement'),
})
export type QuarantineSettings = z.input<typeof quarantineOptionsSchema>

/** The part of `createBarStore`'s options that is data. */
export const barStoreOptionsSchema = z.object({
  batchSize: z.int().min(1).default(5000).describe('Rows changed by one UPDATE or upsert statement'),
  chunkSymbols: z
    .int()
    .min(1)
    .default(500)
    .describe('Most symbols read at once; fewer when a long range of intraday bars is read'),
  maxFileRows: z.int().min(1).default(2_000_000).describe('Most rows of one lake file'),
  rowGroupRows: z
    .int()
    .min(1)
    .default(50_000)
    .describe('Rows of one row group: the smallest part of a lake file that is read'),
  minDeltaRows: z
    .int()
    .min(0)
    .default(200)
    .describe('Fewer new cold rows than this wait in bars_late for compaction instead of making a file'),
  outageRows: z
    .int()
    .min(0)
    .default(200_000)
    .describe('Cold rows of one load that may wait in Postgres while the lake cannot be written'),
  partitionsAhead: z
    .int()
    .min(1)
    .max(120)
    .default(3)
    .describe('Partitions retention keeps ready beyond the present one'),
  zstdLevel: z.int().min(1).max(22).default(3).describe('Compression of lake files'),
  footerCacheFiles: z.int().min(0).default(256).describe('Footers of lake files kept in memory'),
  footerBytes: z
    .int()
    .min(8)
    .default(65_536)
    .describe('Bytes fetched from the end of a lake file to find its footer'),
  deleteSeries: z.int().min(1).default(500).describe('Series whose hot rows are deleted in one transaction'),
  archiveAttempts: z
    .int()
    .min(1)
    .default(3)
    .describe('Times retention copies, the last one holding loads off'),
  dropLockTimeoutMs: z
    .int()
    .min(1)
    .default(2000)
    .describe(
      'How long dropping an empty partition waits for readers before it is left for the next run, milliseconds',
    ),
  compactExpiredShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.2)
    .describe("Share of a source's lake rows that must have expired before compaction drops them"),
  compactSpareFiles: z
    .int()
    .min(0)
    .default(3)
    .describe('Files above the fewest possible that compaction tolerates'),
  sweepBatchFiles: z
    .int()
    .min(1)
    .default(200)
    .describe('Lake files deleted while loads wait to register theirs'),
  copyChunkBytes: z.int().min(1).default(262_144).describe('Bytes of one message of a load to the database'),
  verifyBlockBytes: z
    .int()
    .min(1)
    .default(4_194_304)
    .describe('Bytes of a lake file read at once while it is verified'),
})
export type BarStoreSettings = z.input<typeof barStoreOptionsSchema>
