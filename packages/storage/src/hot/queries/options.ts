import { z } from 'zod'

/** Options of `withQueryTracking` that are data. */
export const queryTrackingOptionsSchema = z.object({
  slowMs: z
    .number()
    .gt(0)
    .default(1000)
    .describe('A statement that takes longer than this counts as slow, milliseconds'),
  slowKept: z.int().min(0).default(50).describe('Latest slow statements kept for the report'),
  maxNames: z
    .int()
    .min(1)
    .default(500)
    .describe('Names counted apart; what comes after them is counted together'),
  textsKept: z
    .int()
    .min(1)
    .default(2000)
    .describe('Statement texts whose name is remembered, so that it is found once only'),
  relativeError: z
    .number()
    .gt(0)
    .max(0.5)
    .default(0.02)
    .describe('How far a reported percentile may be off, as a fraction of it'),
  shapeLength: z.int().min(20).default(400).describe("Characters of a statement's shape in reports"),
  chattyCalls: z
    .int()
    .min(1)
    .default(1000)
    .describe('Calls of one statement, for one row or fewer each, from which a report advises to join them'),
  failingShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.01)
    .describe('Share of failed calls from which a report mentions them'),
  largeTableRows: z
    .int()
    .min(1)
    .default(10_000)
    .describe('Rows from which reading a whole table is worth advice'),
})

/** Options of `withQueryTracking` with every default filled in. */
export type QueryTrackingSettings = z.output<typeof queryTrackingOptionsSchema>
