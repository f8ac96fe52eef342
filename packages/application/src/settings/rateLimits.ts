import { keyLimitsSchema, quotaWindowSchema, rateLimitSchema } from '@varve/rate-limiter'
import { z } from 'zod'

const { maxQueue, ageingMs, longestSleepMs } = rateLimitSchema.shape

/** Quotas of providers' plans. */
export const rateLimitsSettingsSchema = z.strictObject({
  marginMs: keyLimitsSchema.shape.marginMs,
  maxQueue,
  ageingMs,
  longestSleepMs,
  profiles: z
    .record(z.string().min(1), z.array(quotaWindowSchema).min(1).meta({ merge: 'replace' }))
    .default({})
    .describe('Windows of each plan; all hold at once'),
})
