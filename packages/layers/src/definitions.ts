import type { Layer } from '@varve/core'
import { z } from 'zod'
import { METRIC_NAMES } from './metricNames.ts'

/** One comparison of a named metric. Exactly one comparator; `exit` loosens it for symbols already in the layer. */
export const criterionSchema = z
  .strictObject({
    metric: z.enum(METRIC_NAMES).describe('Metric to compare'),
    atLeast: z.number().optional().describe('Holds when the metric is this or more'),
    atMost: z.number().optional().describe('Holds when the metric is this or less'),
    is: z.union([z.string(), z.boolean()]).optional().describe('Holds when the metric equals this'),
    in: z.array(z.string()).min(1).optional().describe('Holds when the metric is one of these'),
    notIn: z.array(z.string()).min(1).optional().describe('Holds when the metric is none of these'),
    exit: z
      .number()
      .optional()
      .describe('Threshold for a symbol already in the layer; looser than the one to enter'),
    whenUnknown: z.enum(['fail', 'pass']).default('fail').describe('Outcome when the metric is not known'),
  })
  .superRefine((criterion, context) => {
    const used = (['atLeast', 'atMost', 'is', 'in', 'notIn'] as const).filter(
      (key) => criterion[key] !== undefined,
    )
    if (used.length !== 1) {
      context.addIssue({
        code: 'custom',
        message: `expected exactly one of atLeast, atMost, is, in, notIn; found ${used.length === 0 ? 'none' : used.join(' and ')}`,
      })
    }
    const { exit, atLeast, atMost } = criterion
    if (exit !== undefined && atLeast === undefined && atMost === undefined) {
      context.addIssue({ code: 'custom', path: ['exit'], message: 'exit needs atLeast or atMost beside it' })
    }
    if (
      exit !== undefined &&
      ((atLeast !== undefined && exit > atLeast) || (atMost !== undefined && exit < atMost))
    ) {
      context.addIssue({
        code: 'custom',
        path: ['exit'],
        message: 'exit must be looser than the threshold to enter',
      })
    }
  })
export type Criterion = z.output<typeof criterionSchema>

export const layerDefinitionSchema = z.strictObject({
  layer: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]).describe('Number of the layer'),
  name: z.string().min(1).describe('Short name'),
  description: z.string().default('').describe('What the layer is for'),
  criteria: z
    .array(criterionSchema)
    .min(1)
    .describe('All must hold, together with those of the layers below'),
  minimumStaySessions: z
    .int()
    .min(0)
    .default(0)
    .describe('Sessions a symbol stays before its criteria can remove it'),
  backfillPriority: z
    .int()
    .min(0)
    .max(9)
    .optional()
    .describe('Higher is fetched first; the number of the layer without it'),
  unknownGraceSessions: z
    .int()
    .min(0)
    .default(3)
    .describe('Sessions a symbol stays while a metric it needs is unknown'),
})
export type LayerDefinition = z.output<typeof layerDefinitionSchema>

export const metricOptionsSchema = z.strictObject({
  windowSessions: z.int().min(2).max(250).default(20).describe('Sessions in averages and deviations'),
  minimumSessions: z.int().min(2).default(15).describe('Bars a window must hold for its metrics to be known'),
  returnShockCap: z.number().positive().default(5).describe('Largest return shock that counts'),
  returnShockWeight: z
    .number()
    .min(0)
    .default(1)
    .describe('Weight of the return shock in the catalyst score'),
  volumeShockWeight: z
    .number()
    .min(0)
    .default(1)
    .describe('Weight of the volume shock in the catalyst score'),
  eventPointsWeight: z
    .number()
    .min(0)
    .default(1)
    .describe('Weight of the event points in the catalyst score'),
})
export type MetricOptions = z.output<typeof metricOptionsSchema>

/** The rules of the universe: four layers, the metrics' windows, and guards. */
export const universeSchema = z
  .strictObject({
    metrics: metricOptionsSchema.prefault({}),
    maximumStep: z.int().min(1).max(3).default(2).describe('Layers a symbol may rise in one evaluation'),
    holdAboveShare: z
      .number()
      .gt(0)
      .max(1)
      .default(0.3)
      .describe('Share of the layered symbols that may be demoted at once; more is held for confirmation'),
    layers: z
      .array(layerDefinitionSchema)
      .length(4)
      .describe('Definitions of layers 0, 1, 2 and 3, in this order'),
  })
  .superRefine((universe, context) => {
    universe.layers.forEach((definition, index) => {
      if (definition.layer !== index) {
        context.addIssue({
          code: 'custom',
          path: ['layers', index, 'layer'],
          message: `expected layer ${index} here, found ${definition.layer}; define 0, 1, 2, 3 in order`,
        })
      }
    })
    if (universe.metrics.minimumSessions > universe.metrics.windowSessions) {
      context.addIssue({
        code: 'custom',
        path: ['metrics', 'minimumSessions'],
        message: 'minimumSessions must not exceed windowSessions',
      })
    }
  })
export type Universe = z.output<typeof universeSchema>

/** Sessions of daily history a metric snapshot looks at: the window, the session judged and the one before. */
export function lookbackSessions(universe: Universe): number {
  return universe.metrics.windowSessions + 2
}

/** Which layer's data is fetched first: higher before lower. A symbol in no layer counts as layer 0. */
export function backfillPriority(universe: Universe, layer: Layer | null): number {
  return universe.layers[layer ?? 0]!.backfillPriority ?? layer ?? 0
}
