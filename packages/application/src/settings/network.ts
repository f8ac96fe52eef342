import { requestOptionsSchema } from '@varve/providers'
import { z } from 'zod'

// After a 429 that names no pause the shortest window of the plan is waited out.
const { requestTimeoutMs, attempts, rateLimitedPauseMs: _pause, ...others } = requestOptionsSchema.shape

/** How requests leave this process, whichever provider they go to. */
export const networkSettingsSchema = z.strictObject({
  concurrency: z.int().min(1).max(50).default(15).describe('Requests to providers in flight at once'),
  requestTimeoutMs: requestTimeoutMs
    .unwrap()
    .min(5000)
    .default(requestTimeoutMs.parse(undefined))
    .describe('One request at most, milliseconds'),
  attempts: attempts.describe('Tries of one request: the first and up to ten retries'),
  ...others,
})
