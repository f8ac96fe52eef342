import { z } from 'zod'

export const breakerSchema = z.strictObject({
  failures: z.int().positive().default(5).describe('Failures inside the window that open the circuit'),
  windowMs: z.number().positive().default(60_000).describe('Older failures are forgotten, milliseconds'),
  windowCalls: z
    .int()
    .positive()
    .default(100)
    .describe(
      'Failures further back than this many calls are forgotten: a busy service may fail now and then',
    ),
  openMs: z.number().positive().default(60_000).describe('How long the circuit stays open, milliseconds'),
  probes: z.int().positive().default(1).describe('Calls let through at once while half-open'),
  successes: z.int().positive().default(3).describe('Successes while half-open that close the circuit'),
})
export type BreakerOptions = z.output<typeof breakerSchema>

/** The part of `createResilience`'s options that is data, with their defaults. */
export const resilienceSchema = z.strictObject({
  deadlineMs: z
    .number()
    .positive()
    .default(30_000)
    .describe('Longest a call may take, all attempts and pauses included, milliseconds'),
  attempts: z.int().positive().default(3).describe('Most attempts of one call'),
  initialBackoffMs: z
    .number()
    .nonnegative()
    .default(1000)
    .describe(
      'Ceiling of the first pause, milliseconds; each further one doubles, and a pause is random below it',
    ),
  maxBackoffMs: z.number().nonnegative().default(10_000).describe('Ceiling of every pause, milliseconds'),
  breaker: breakerSchema.nullable().prefault({}).describe('Circuit breaker; null for none'),
})
export type ResilienceConfig = z.input<typeof resilienceSchema>
