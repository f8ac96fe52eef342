import { metricOptionsSchema, universeSchema } from '@varve/layers'
import { pipelineOptionsSchema } from '@varve/pipeline'
import { z } from 'zod'

const { maximumStep, holdAboveShare } = universeSchema.shape

/** How symbols are listed and judged. */
export const scannerSettingsSchema = z.strictObject({
  exchange: pipelineOptionsSchema.shape.exchange,
  metrics: metricOptionsSchema.prefault({}),
  maximumStep,
  holdAboveShare,
  missingListingShare: pipelineOptionsSchema.shape.missingListingShare,
  fallbackSymbols: pipelineOptionsSchema.shape.fallbackSymbols,
})
