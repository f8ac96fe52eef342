import { z } from 'zod'

/** How a loader writes: at once, after a durable spool, or not at all. */
export const WRITE_MODES = ['sync', 'async', 'event_only'] as const
/** How a loader writes. */
export type WriteMode = (typeof WRITE_MODES)[number]

/** The part of `createLoader`'s options that is data. */
export const loaderOptionsSchema = z.object({
  batchSize: z.int().min(1).default(1000).describe('Records written in one transaction'),
  mode: z
    .enum(WRITE_MODES)
    .default('sync')
    .describe(
      'sync returns after the commit, async after the batch is durable in the spool, event_only publishes and writes nothing',
    ),
  retries: z
    .int()
    .min(0)
    .default(3)
    .describe('Times a failed batch is tried again, when its error allows that'),
  retryDelayMs: z.int().min(0).default(1000).describe('Pause before the first retry, milliseconds'),
  retryDelayMaxMs: z.int().min(0).default(10_000).describe('Longest pause between retries, milliseconds'),
  retryBase: z.number().min(1).default(2).describe('What each pause is multiplied by for the next one'),
  stageAttempts: z
    .int()
    .min(1)
    .default(20)
    .describe('Times bars are staged again because their series changed meanwhile'),
})
export type LoaderSettings = z.input<typeof loaderOptionsSchema>
