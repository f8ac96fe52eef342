import { z } from 'zod'

/** Bounds on what is read, so that no file can hang or exhaust the process. */
export const configLimitsSchema = z.strictObject({
  maxFileBytes: z.int().min(1).default(1_000_000).describe('Largest configuration file, bytes'),
  maxDepth: z.int().min(1).max(200).default(32).describe('Deepest nesting of maps and lists'),
  maxValueLength: z
    .int()
    .min(1)
    .default(65_536)
    .describe('Longest value of an environment variable once others are put in, characters'),
  maxProblems: z.int().min(1).default(200).describe('Problems reported of one file'),
})
export type ConfigLimits = z.output<typeof configLimitsSchema>
