import { barStoreOptionsSchema, quarantineOptionsSchema } from '@varve/storage'
import { z } from 'zod'

const { batchSize, chunkSymbols, deleteSeries, dropLockTimeoutMs, copyChunkBytes, ...lake } =
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
      ...lake,
      sweepGraceMs: z
        .int()
        .min(0)
        .default(3_600_000)
        .describe('A replaced file is deleted after this, so that running reads finish, milliseconds'),
    })
    .prefault({})
    .describe('Rows in Parquet files'),
})
