import { secret } from '@varve/config'
import { backupJobsOptionsSchema, backupOptionsSchema } from '@varve/storage'
import { z } from 'zod'
import { s3SettingsSchema } from './s3.ts'

/** Backups: where they go, when they are made, how long they are kept. */
export const backupSettingsSchema = z.strictObject({
  enabled: z
    .boolean()
    .default(false)
    .describe('Whether the daemon makes backups by the schedule of the jobs'),
  directory: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the backups; "backups" in the data directory without it, so name another disk'),
  s3: s3SettingsSchema.optional().describe('A bucket for the backups instead of a folder'),
  encryptionKey: secret({ minLength: 12 })
    .optional()
    .describe('Key of jobs that encrypt: 32 bytes as base64 or hex, or a passphrase; without it no restore'),
  previousKeys: z
    .array(secret({ minLength: 12 }))
    .default([])
    .describe('Keys of earlier days, to read backups made with them'),
  ...backupOptionsSchema.shape,
  ...backupJobsOptionsSchema.shape,
})
