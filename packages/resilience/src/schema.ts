import { z } from 'zod'

/** The part of `createResilience`'s options that is data. */
export const resilienceSchema = z.strictObject({
  deadlineMs: z.number().positive().optional().describe('Longest a call may take, all attempts included'),
  attempts: z.int().positive().optional().describe('Most attempts of one call'),
  initialBackoffMs: z.number().nonnegative().optional().describe('Ceiling of the first pause'),
  maxBackoffMs: z.number().nonnegative().optional().describe('Ceiling of every pause'),
  breaker: z
    .strictObject({
      failures: z.int().positive().optional().describe('Failures inside the window that open the circuit'),
      windowMs: z.number().positive().optional().describe('Older failures are forgotten'),
      windowCalls: z
        .int()
        .positive()
        .optional()
        .describe('Failures further back than this many calls are forgotten'),
      openMs: z.number().positive().optional().describe('How long the circuit stays open'),
      probes: z.int().positive().optional().describe('Calls let through at once while half-open'),
      successes: z.int().positive().optional().describe('Successes that close the circuit'),
    })
    .nullable()
    .optional()
    .describe('null for none'),
})
export type ResilienceConfig = z.output<typeof resilienceSchema>
