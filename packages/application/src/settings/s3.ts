import { secret } from '@varve/config'
import { s3LakeOptionsSchema } from '@varve/storage/s3'
import { z } from 'zod'

/** A bucket and how to reach it. */
export const s3SettingsSchema = z.strictObject({
  ...s3LakeOptionsSchema.shape,
  accessKeyId: secret({ kind: 'apiKey' })
    .optional()
    .describe('Key id; without it the environment of the process decides, as for every AWS program'),
  secretAccessKey: secret({ kind: 'apiKey' }).optional().describe('Its secret'),
})
export type S3Settings = z.output<typeof s3SettingsSchema>
