export { describeSqlClientContract } from './sqlClientContract.ts'
export type { SqlClientFixture } from './sqlClientContract.ts'
export { describeLakeFiles } from './lakeFilesContract.ts'
export { startS3Double } from './s3Double.ts'
export type { LakeFilesFixture } from './lakeFilesContract.ts'
export type {
  S3Double,
  S3DoubleOptions,
  S3Fault,
  S3FaultKind,
  S3LoggedRequest,
  S3Method,
} from './s3Double.ts'
