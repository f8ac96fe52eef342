import { z } from 'zod'

const tiersSchema = z.enum(['hot', 'cold', 'both'])
const kindSchema = z.enum(['hot', 'cold', 'both', 'age'])

/** The part of a router's options that is data. */
export const routingOptionsSchema = z.strictObject({
  repositories: z
    .record(z.string().min(1), tiersSchema)
    .default({ news: 'hot' })
    .describe('Repositories that always read one way, by name'),
  kinds: z
    .strictObject({
      real_time: kindSchema.default('hot').describe('Reads for what happens now'),
      analysis: kindSchema.default('hot').describe('Reads of a person looking'),
      feature_calc: kindSchema.default('hot').describe('Reads that compute features'),
      bulk_export: kindSchema.default('cold').describe('Reads of much at once'),
      admin: kindSchema.default('both').describe('Reads of care and control'),
    })
    .prefault({})
    .describe('Where each kind of query is read; age for where its range and layers say'),
  fallbackToCold: z.boolean().default(true).describe('Read the lake when Postgres rows cannot be read'),
  fallbackToHot: z.boolean().default(true).describe('Read Postgres when the lake cannot be read'),
  onIncomplete: z
    .enum(['error', 'partial'])
    .default('error')
    .describe('A fallback that may lack rows is an error, or an answer labelled incomplete'),
  coldQueries: z.int().min(1).default(5).describe('Queries reading the lake at once; others wait in order'),
  coldTimeoutMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe(
      'Longest a query may spend reading when it reads the lake, pauses of its reader excluded, milliseconds',
    ),
})
export type RoutingSettings = z.input<typeof routingOptionsSchema>
export type RoutingChecked = z.output<typeof routingOptionsSchema>
