import { secret } from '@varve/config'
import { s3LakeOptionsSchema } from '@varve/storage/s3'
import { z } from 'zod'

const { prefix: _prefix, ...bucket } = s3LakeOptionsSchema.shape

/** A bucket and how to reach it. What lies in it under which prefix is said where that is configured. */
export const s3SettingsSchema = z.strictObject({
  ...bucket,
  accessKeyId: secret({ kind: 'apiKey' })
    .optional()
    .describe('Key id; without it the environment of the process decides, as for every AWS program'),
  secretAccessKey: secret({ kind: 'apiKey' }).optional().describe('Its secret'),
})
export type S3Settings = z.output<typeof s3SettingsSchema>
