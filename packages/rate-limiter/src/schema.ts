import { z } from 'zod'

export const quotaWindowSchema = z.strictObject({
  limit: z.int().positive().describe('Requests at most'),
  windowMs: z.number().positive().describe('in this many milliseconds'),
})

export const keyLimitsSchema = z.strictObject({
  windows: z.array(quotaWindowSchema).min(1).readonly().describe('All of them hold at once, exactly'),
  marginMs: z
    .number()
    .min(0)
    .max(60_000)
    .default(45)
    .describe('Added to every window for jitter on the way to the provider, milliseconds'),
})

/** Options of `createRateLimiter` that are data, with their defaults. */
export const rateLimitSchema = z.strictObject({
  limits: z
    .record(z.string().min(1), keyLimitsSchema)
    .describe('Limits by key, one key per provider and plan'),
  unknownKey: z
    .enum(['refuse', 'allow'])
    .default('refuse')
    .describe('What a key without limits gets: QUOTA_KEY_UNKNOWN, or let through'),
  maxQueue: z
    .int()
    .positive()
    .default(100_000)
    .describe('Callers that may wait per key; one more is refused with QUOTA_QUEUE_FULL'),
  ageingMs: z
    .number()
    .positive()
    .default(30_000)
    .describe(
      'Waiting this long is worth one priority step, so that the lowest is never starved, milliseconds',
    ),
  longestSleepMs: z
    .int()
    .min(1)
    .max(2 ** 31 - 1)
    .default(3_600_000)
    .describe('A longer wait is looked at again after this, milliseconds; timers overflow above 2^31'),
})
export type RateLimitConfig = z.input<typeof rateLimitSchema>
export type KeyLimits = z.input<typeof keyLimitsSchema>
