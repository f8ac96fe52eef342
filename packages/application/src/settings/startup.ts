import { diskSpaceCheckSchema, memoryCheckSchema, sqlCheckSchema, startupOptionsSchema } from '@varve/runtime'
import { z } from 'zod'

/** What start-up validation asks of the machine. */
export const startupSettingsSchema = z.strictObject({
  timeoutMs: startupOptionsSchema.shape.timeoutMs,
  memory: memoryCheckSchema.omit({ cacheBytes: true }).prefault({}).describe('Memory'),
  disk: diskSpaceCheckSchema.prefault({}).describe('Free space below the data directory'),
  database: sqlCheckSchema.prefault({}).describe('Postgres'),
})
