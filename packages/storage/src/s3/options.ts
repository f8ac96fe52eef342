import { z } from 'zod'

/** The part of `createS3Lake`'s options that is data. */
export const s3LakeOptionsSchema = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/, 'expected the name of a bucket')
    .describe('Bucket the lake lies in; it must exist'),
  prefix: z
    .string()
    .regex(/^([^/]+\/)*[^/]*$/, 'expected a prefix without a leading or doubled "/"')
    .default('')
    .describe('Put before every key, for example `varve/lake`; empty for the whole bucket'),
  region: z.string().min(1).default('us-east-1').describe('Region of the bucket'),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Address of a store other than AWS that speaks S3; empty for AWS'),
  pathStyle: z
    .boolean()
    .optional()
    .describe('Whether the bucket goes into the path of a URL; true with an endpoint, false without'),
  attempts: z.int().min(1).default(6).describe('Times a request is sent at most'),
  retryDelayMs: z
    .int()
    .min(0)
    .default(100)
    .describe('Longest pause before the second attempt, milliseconds; doubles with every further one'),
  retryDelayMaxMs: z.int().min(0).default(5000).describe('Longest pause before an attempt, milliseconds'),
  requestTimeoutMs: z
    .int()
    .min(1)
    .default(30_000)
    .describe('One attempt, its body included, is given up after this long, milliseconds'),
  deadlineMs: z
    .int()
    .min(1)
    .default(120_000)
    .describe('No attempt starts later than this after the first, milliseconds'),
  listPageKeys: z.int().min(1).max(1000).default(1000).describe('Keys of one page of a listing'),
})
export type S3LakeSettings = z.input<typeof s3LakeOptionsSchema>
/** {@link S3LakeSettings} with every default filled in. */
export type S3LakeOptionsChecked = z.output<typeof s3LakeOptionsSchema>
