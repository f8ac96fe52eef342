import { pipelineOptionsSchema } from '@varve/pipeline'
import { z } from 'zod'

const { jumpRatio, spikeReturnRatio } = pipelineOptionsSchema.shape

/** What validation takes for impossible or strange. */
export const qualitySettingsSchema = z.strictObject({ jumpRatio, spikeReturnRatio })
