import { pipelineOptionsSchema } from '@varve/pipeline'
import { z } from 'zod'

const { refreshAttempts, stageAttempts, gapAttempts, importChunkRows } = pipelineOptionsSchema.shape

/** How history is fetched and what is missing is healed. */
export const backfillSettingsSchema = z.strictObject({
  refreshAttempts,
  stageAttempts,
  gapAttempts,
  importChunkRows,
})
