import { LOG_LEVELS } from '@varve/monitoring'
import { z } from 'zod'

/** What the daemon says about itself. */
export const monitoringSettingsSchema = z.strictObject({
  logLevel: z.enum(LOG_LEVELS).default('info').describe('Lines of this level and above are written'),
  metrics: z.boolean().default(true).describe('Serve /metrics'),
})
