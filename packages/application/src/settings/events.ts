import { jobEngineOptionsSchema } from '@varve/events'
import { pipelineOptionsSchema } from '@varve/pipeline'
import { z } from 'zod'

const { jobBatchSize, jobConcurrency, jobRetryLimit, jobRetryDelayMs, listenerBatchSize, eventsPerRead } =
  pipelineOptionsSchema.shape

/** Events and the jobs they ask for. */
export const eventsSettingsSchema = z.strictObject({
  listenerBatchSize,
  eventsPerRead,
  jobs: z
    .strictObject({
      batchSize: jobBatchSize,
      concurrency: jobConcurrency,
      retryLimit: jobRetryLimit,
      retryDelayMs: jobRetryDelayMs,
      ...jobEngineOptionsSchema.shape,
    })
    .prefault({})
    .describe('Backfill jobs'),
})
