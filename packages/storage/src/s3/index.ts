export { createS3Lake } from './S3Lake.ts'
export type { S3Credentials, S3Lake, S3LakeOptions } from './S3Lake.ts'
export { s3LakeOptionsSchema } from './options.ts'
export type { S3LakeSettings } from './options.ts'
