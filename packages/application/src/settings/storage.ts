import { secret } from '@varve/config'
import {
  barStoreOptionsSchema,
  loaderOptionsSchema,
  quarantineOptionsSchema,
  recordStoreOptionsSchema,
  routingOptionsSchema,
} from '@varve/storage'
import { duckdbReaderOptionsSchema } from '@varve/storage/duckdb'
import { s3LakeOptionsSchema } from '@varve/storage/s3'
import { z } from 'zod'

const { batchSize, chunkSymbols, deleteSeries, dropLockTimeoutMs, copyChunkBytes, partitionsAhead, ...lake } =
  barStoreOptionsSchema.shape

/** Where rows lie and how they are moved: hot in Postgres, cold in the lake. */
export const storageSettingsSchema = z.strictObject({
  hot: z
    .strictObject({
      batchSize: batchSize
        .unwrap()
        .min(100)
        .max(10_000)
        .default(batchSize.parse(undefined))
        .describe('Rows changed by one UPDATE or upsert statement'),
      chunkSymbols,
      deleteSeries,
      dropLockTimeoutMs,
      copyChunkBytes,
      partitionsAhead,
      ...quarantineOptionsSchema.shape,
    })
    .prefault({})
    .describe('Rows in Postgres'),
  lake: z
    .strictObject({
      directory: z
        .string()
        .min(1)
        .optional()
        .describe('Folder of the Parquet lake; "lake" in the data directory without it'),
      engine: z
        .enum(['auto', 'duckdb', 'hyparquet'])
        .default('auto')
        .describe('What reads the lake; auto takes DuckDB where it is installed and the lake is a folder'),
      duckdb: z.strictObject(duckdbReaderOptionsSchema.shape).prefault({}).describe('What DuckDB may use'),
      lakePrefix: s3LakeOptionsSchema.shape.prefix
        .unwrap()
        .optional()
        .describe(
          'Puts the lake into the bucket of connections.s3, under this prefix (it may be empty); a folder without it',
        ),
      encryptionKey: secret({ minLength: 16 })
        .optional()
        .describe('Encrypts lake files with AES-256: 32 bytes as base64 or hex, or a passphrase'),
      ...lake,
      sweepGraceMs: z
        .int()
        .min(0)
        .default(3_600_000)
        .describe('A replaced file is deleted after this, so that running reads finish, milliseconds'),
    })
    .prefault({})
    .describe('Rows in Parquet files'),
  records: z
    .strictObject(recordStoreOptionsSchema.shape)
    .prefault({})
    .describe('News, corporate actions, ticks, filings and everything else that is no bar'),
  routing: z
    .strictObject(routingOptionsSchema.shape)
    .prefault({})
    .describe('Where reads go that say what they are for, and what happens when a tier fails'),
  loader: z
    .strictObject(loaderOptionsSchema.shape)
    .prefault({})
    .describe('How batches of records are written, and tried again'),
})
