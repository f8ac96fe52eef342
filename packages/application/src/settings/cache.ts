import { z } from 'zod'

/** What is kept in memory. */
export const cacheSettingsSchema = z.strictObject({
  memoryMb: z
    .int()
    .min(1)
    .default(512)
    .describe('Memory set aside for cached market data; start-up checks that it is there, megabytes'),
  ttlSeconds: z
    .int()
    .min(3600)
    .max(604_800)
    .default(172_800)
    .describe('Age at which cached market data is fetched again, seconds; for @varve/cache'),
})
