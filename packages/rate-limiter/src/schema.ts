import { z } from 'zod'

const windowSchema = z.strictObject({
  limit: z.int().positive().describe('Permits in the window'),
  windowMs: z.number().positive().describe('Length of the window, milliseconds'),
})

/** Options of `createRateLimiter` that are data; the limits of all keys. */
export const rateLimitSchema = z.strictObject({
  limits: z
    .record(
      z.string().min(1),
      z.strictObject({
        windows: z.array(windowSchema).min(1).describe('All of them hold at once, exactly'),
        marginMs: z.number().nonnegative().optional().describe('Added to every window for network jitter'),
      }),
    )
    .describe('Limits by key, one key per provider and plan'),
  unknownKey: z.enum(['refuse', 'allow']).optional().describe('What a key without limits gets'),
  maxQueue: z.int().positive().optional().describe('Callers that may wait per key'),
  ageingMs: z.number().positive().optional().describe('Waiting this long is worth one priority step'),
})
export type RateLimitConfig = z.output<typeof rateLimitSchema>
