import { secret } from '@varve/config'
import { backupJobsOptionsSchema, backupOptionsSchema } from '@varve/storage'
import { s3LakeOptionsSchema } from '@varve/storage/s3'
import { z } from 'zod'

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
  backupPrefix: s3LakeOptionsSchema.shape.prefix
    .unwrap()
    .optional()
    .describe(
      'Puts backups into the bucket of connections.s3, under this prefix, which is not that of the lake; a folder without it',
    ),
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
