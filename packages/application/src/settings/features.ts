import { z } from 'zod'

/** Switches of what happens by itself. */
export const featuresSettingsSchema = z.strictObject({
  autoTriggerBackfill: z
    .boolean()
    .default(true)
    .describe('Promotions and gaps fetch their data without being asked; off, only varve backfill does'),
  healGaps: z
    .boolean()
    .default(true)
    .describe('A cycle fetches what is missing; off, gaps are only recorded'),
  useFallbackSymbols: z
    .boolean()
    .default(true)
    .describe('A plan that may not list symbols is given scanner.fallbackSymbols'),
  compactLake: z.boolean().default(true).describe('Retention merges small lake files'),
})
