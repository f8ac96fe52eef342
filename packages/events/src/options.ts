import { z } from 'zod'

/** The part of `createJobEngine`'s options that is data. */
export const jobEngineOptionsSchema = z.object({
  heartbeatSeconds: z
    .int()
    .min(1)
    .max(3600)
    .default(10)
    .describe('A worker silent for this long loses its jobs, seconds'),
  beatsPerHeartbeat: z
    .int()
    .min(2)
    .max(20)
    .default(3)
    .describe('Signs of life a worker gives within heartbeatSeconds'),
  superviseSeconds: z
    .number()
    .gt(0)
    .max(3600)
    .default(2)
    .describe('Pause between looks for jobs whose worker is gone, seconds'),
  pollMs: z
    .int()
    .min(1)
    .default(2000)
    .describe('Pause between looks for jobs when nobody notifies, milliseconds'),
  stopTimeoutMs: z
    .int()
    .min(0)
    .default(10_000)
    .describe('How long stopping waits for handlers before their signal aborts, milliseconds'),
  keepCompletedMs: z
    .int()
    .min(0)
    .default(86_400_000)
    .describe('Completed jobs are deleted after this, milliseconds'),
  keepFailedMs: z
    .int()
    .min(0)
    .default(7_776_000_000)
    .describe('Dead letters are deleted after this, milliseconds'),
  cleanUpEveryMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe('Pause between deletions of old jobs, milliseconds'),
  deathsAllowed: z
    .int()
    .min(1)
    .default(20)
    .describe('Workers a job may outlive before it is taken for what kills them'),
  retryDelayMaxMs: z
    .int()
    .min(0)
    .default(900_000)
    .describe('Longest pause before a failed job is tried again, milliseconds'),
  expireMs: z
    .int()
    .min(1000)
    .default(21_600_000)
    .describe('A job active for longer than this is taken away from its worker, milliseconds'),
  shortestWaitMs: z
    .int()
    .min(1)
    .default(5)
    .describe('Shortest pause before looking again for a job that is due, milliseconds'),
  deadLetterLimit: z.int().min(1).default(1000).describe('Dead letters listed when no number is asked for'),
})
export type JobEngineSettings = z.input<typeof jobEngineOptionsSchema>

/** The part of `createSubscription`'s options that is data. */
export const subscriptionOptionsSchema = z.object({
  batchSize: z.int().min(1).max(100_000).default(1000).describe('Events handled in one transaction'),
  pollMs: z
    .int()
    .min(1)
    .default(1000)
    .describe('Pause between looks for events when nobody notifies, milliseconds'),
  firstRetryMs: z
    .int()
    .min(1)
    .default(10)
    .describe(
      'After a notification an event may still hide behind an older transaction: look again this soon, milliseconds',
    ),
})
export type SubscriptionSettings = z.input<typeof subscriptionOptionsSchema>
