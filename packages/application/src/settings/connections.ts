import { secret } from '@varve/config'
import { pgliteOptionsSchema, postgresOptionsSchema, queryTrackingOptionsSchema } from '@varve/storage'
import { z } from 'zod'
import { s3SettingsSchema } from './s3.ts'

/** How databases are reached. */
export const connectionsSettingsSchema = z.strictObject({
  databaseUrl: secret({ kind: 'databaseUrl' })
    .optional()
    .describe('Postgres to use, postgres://user:password@host/database; an embedded one without it'),
  postgres: z
    .strictObject(postgresOptionsSchema.shape)
    .prefault({})
    .describe('The pool of connections to a Postgres server'),
  s3: s3SettingsSchema
    .optional()
    .describe('Bucket of S3, or of a store that speaks its protocol, for the lake, for backups or for both'),
  queries: z
    .strictObject(queryTrackingOptionsSchema.shape)
    .prefault({})
    .describe('What is noted of statements: counts, times, errors and the slow ones'),
  embedded: z
    .strictObject(pgliteOptionsSchema.shape)
    .prefault({})
    .describe('The embedded database, used where there is no databaseUrl'),
})
