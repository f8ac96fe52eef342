import { layerDefinitionSchema } from '@varve/layers'
import { layerDataSchema } from '@varve/pipeline'
import { z } from 'zod'

/**
 * The only place that says what a layer is: name, criteria, what it keeps and for how long, how far back and in which
 * order it is filled.
 */
export const layersSettingsSchema = z.strictObject({
  definitions: z
    .array(
      layerDefinitionSchema.extend({
        data: layerDataSchema.describe('What the layer keeps, and for how long'),
      }),
    )
    .length(4)
    .describe('Layers 0, 1, 2 and 3, in this order'),
})
