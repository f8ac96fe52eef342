import { z } from 'zod'

/** How hard the pipeline works; every number is configuration. */
export const pipelineOptionsSchema = z.strictObject({
  exchange: z.string().default('XNYS').describe('Exchange whose calendar decides what a session is'),
  refreshAttempts: z
    .int()
    .min(1)
    .max(10)
    .default(3)
    .describe('Tries to complete the daily refresh before scanning'),
  jobBatchSize: z
    .int()
    .min(1)
    .max(5000)
    .default(1000)
    .describe('Backfill jobs planned into provider calls together'),
  jobConcurrency: z.int().min(1).max(32).default(2).describe('Batches of jobs worked on at once'),
  jobRetryLimit: z.int().min(0).max(20).default(6).describe('Times a failed backfill is tried again'),
  jobRetryDelayMs: z
    .int()
    .min(0)
    .default(1000)
    .describe('Wait before a failed backfill is tried again, milliseconds'),
  listenerBatchSize: z
    .int()
    .min(1)
    .max(100_000)
    .default(1000)
    .describe('Events turned into backfill jobs in one transaction'),
  eventsPerRead: z.int().min(1).default(5000).describe('Events read at once when history is looked through'),
  fetchConcurrency: z.int().min(1).max(50).default(15).describe('Provider calls in flight at once'),
  importChunkRows: z.int().min(100).default(50_000).describe('Rows of an import per transaction'),
  gapAttempts: z
    .int()
    .min(1)
    .max(10)
    .default(2)
    .describe('Looks before a missing session counts as confirmed empty'),
  jumpRatio: z
    .number()
    .gt(1)
    .default(1.8)
    .describe('Change of close between bars that is marked as a jump, as a ratio'),
  spikeReturnRatio: z
    .number()
    .gt(1)
    .default(1.1)
    .describe('A jump undone by the next bar to within this ratio is a spike, and suspect'),
  missingListingShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.3)
    .describe('Share of the active companies that may vanish from a listing at once; more is refused'),
  fallbackSymbols: z
    .array(z.string().min(1))
    .readonly()
    .default(['AAPL', 'MSFT', 'GOOGL', 'AMZN', 'TSLA'])
    .describe("Symbols worked on when the provider's plan may not list any; empty for none"),
  autoTriggerBackfill: z
    .boolean()
    .default(true)
    .describe('Promotions and gaps fetch their data without being asked'),
  healGaps: z.boolean().default(true).describe('A cycle fetches what is missing'),
  compactLake: z.boolean().default(true).describe('Retention merges small lake files'),
  stageAttempts: z
    .int()
    .min(1)
    .max(20)
    .default(5)
    .describe('Tries to commit a load that another process overtakes'),
})
export type PipelineOptions = z.output<typeof pipelineOptionsSchema>
