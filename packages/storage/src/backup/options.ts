import { z } from 'zod'
import { isCron } from './cron.ts'

/** Parts of a restore point. */
export const backupContents = ['database', 'lake', 'state'] as const
/** `database` is one consistent picture of the tables, `lake` the files it refers to, `state` what the caller adds. */
export type BackupContent = (typeof backupContents)[number]

/** What a backup may take over from earlier ones. */
export const backupKinds = ['full', 'incremental', 'differential'] as const
/**
 * Every backup can be restored by itself; the kind says whose stored data it trusts. `full`: nobody's, what is stored
 * already is read back and compared. `incremental`: that of every earlier backup. `differential`: that of the last
 * full one.
 */
export type BackupKind = (typeof backupKinds)[number]

/** Data of `createBackup` and `migrateWithBackup`. */
export const backupOptionsSchema = z.object({
  compression: z
    .enum(['zstd', 'gzip', 'none'])
    .default('zstd')
    .describe('How the dump and the state are compressed; lake files are compressed already'),
  zstdLevel: z.int().min(1).max(22).default(3).describe('Level of zstd'),
  gzipLevel: z.int().min(1).max(9).default(6).describe('Level of gzip'),
  partBytes: z
    .int()
    .min(1)
    .default(16_777_216)
    .describe(
      'Bytes of a table, before compression, that are stored as one part; a few parts are in memory at once',
    ),
  partRows: z.int().min(1).default(1_000_000).describe('Most rows of one part'),
  pageRows: z
    .int()
    .min(1)
    .default(100_000)
    .describe('Rows fetched by one COPY on the embedded engine, which holds the output of a COPY in memory'),
  attempts: z
    .int()
    .min(1)
    .default(3)
    .describe('Times a backup begins again because a lake file was replaced and swept away meanwhile'),
  backupStaleMs: z
    .int()
    .min(1)
    .default(86_400_000)
    .describe(
      'After this long a backup that has not ended counts as killed, and what it left may be removed',
    ),
  pruneStaleMs: z
    .int()
    .min(1)
    .default(900_000)
    .describe('After this long without a sign of life a removal of old backups counts as killed'),
  checkRows: z
    .boolean()
    .default(true)
    .describe('Whether a restore reads every table again and compares it with the manifest'),
  schemas: z.array(z.string()).min(1).default(['public']).describe('Schemas whose tables are dumped'),
})
export type BackupSettings = z.input<typeof backupOptionsSchema>
export type CheckedBackupSettings = z.output<typeof backupOptionsSchema>

/** Which backups are kept. */
export const backupRetentionSchema = z.strictObject({
  keepDays: z.number().positive().default(30).describe('Backups younger than this are kept'),
  keepCount: z.int().min(1).default(1).describe('At least this many are kept, whatever their age'),
})
export type BackupRetention = z.input<typeof backupRetentionSchema>

/** One scheduled backup. */
export const backupJobSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z][a-z0-9-]*$/)
    .describe('Name of the job: lower-case letters, digits and dashes'),
  contents: z.array(z.enum(backupContents)).min(1).describe('What is backed up'),
  kind: z.enum(backupKinds).describe('What may be taken over from earlier backups'),
  schedule: z
    .string()
    .refine(isCron, 'five fields of cron: minute hour day-of-month month day-of-week')
    .describe('When it runs, in UTC: minute hour day-of-month month day-of-week'),
  retention: backupRetentionSchema.prefault({}).describe('Which of its backups are kept'),
  compression: z.enum(['zstd', 'gzip', 'none']).default('zstd').describe('How dump and state are compressed'),
  encryption: z.boolean().default(false).describe('Whether everything is encrypted; needs a key'),
  enabled: z.boolean().default(true).describe('Whether the schedule is followed'),
})
export type BackupJobSettings = z.input<typeof backupJobSchema>
export type BackupJob = z.output<typeof backupJobSchema>

/** Data of `createBackupJobs`. */
export const backupJobsOptionsSchema = z.object({
  jobs: z
    .array(backupJobSchema)
    .default(() =>
      backupJobSchema.array().parse([
        {
          id: 'database',
          contents: ['database', 'lake', 'state'],
          kind: 'full',
          schedule: '0 2 * * *',
          retention: { keepDays: 30 },
          encryption: true,
        },
        {
          id: 'trading-data',
          contents: ['database', 'lake'],
          kind: 'incremental',
          schedule: '0 */6 * * *',
          retention: { keepDays: 7 },
        },
        {
          id: 'state',
          contents: ['state'],
          kind: 'full',
          schedule: '0 1 * * 0',
          retention: { keepDays: 90 },
          encryption: true,
        },
      ]),
    )
    .refine((jobs) => new Set(jobs.map((job) => job.id)).size === jobs.length, 'two jobs have one id')
    .describe('The scheduled backups'),
  checkEveryMs: z.int().min(1).default(60_000).describe('How often the schedule is looked at'),
  keptRecords: z.int().min(1).default(200).describe('Records of runs that are kept'),
  shownRecords: z.int().min(1).default(10).describe('Last runs that the status shows'),
})
export type BackupJobsSettings = z.input<typeof backupJobsOptionsSchema>

/** Data of `createDirectoryComponent`. */
export const directoryComponentOptionsSchema = z.object({
  extensions: z
    .array(z.string().startsWith('.'))
    .default(['.json', '.jsonl', '.yaml', '.yml', '.csv', '.txt', '.md', '.parquet', '.onnx'])
    .describe('Endings of files that are data; any other file is refused'),
  maxFileBytes: z.int().min(1).default(67_108_864).describe('Largest file; each is in memory once'),
  ignored: z
    .array(z.string())
    .default([])
    .describe('Names of files and folders that are left out, such as lock files'),
})
export type DirectoryComponentSettings = z.input<typeof directoryComponentOptionsSchema>
