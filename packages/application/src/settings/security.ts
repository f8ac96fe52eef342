import { credentialCheckSchema } from '@varve/providers'
import { z } from 'zod'

/** How strict start-up is. */
export const securitySettingsSchema = z.strictObject({
  level: z
    .enum(['permissive', 'strict', 'paranoid'])
    .optional()
    .describe(
      'permissive: findings only warn; strict: faults stop the start; paranoid: risks stop it too. strict without it, paranoid in production',
    ),
  databasePasswordLength: z.int().min(1).default(8).describe('Shortest password of a database'),
  productionPasswordLength: z.int().min(8).default(16).describe('The same in production'),
  productionKeyLength: z.int().min(8).default(32).describe('Shortest API key in production'),
  checkCredentials: z
    .boolean()
    .default(true)
    .describe('Ask providers at start whether the keys are accepted'),
  credentials: credentialCheckSchema
    .omit({ userAgent: true })
    .extend({
      startWithoutAnswer: z
        .boolean()
        .default(true)
        .describe(
          'Start although a provider did not answer and nothing is known of its key; never where trading is enabled',
        ),
    })
    .prefault({})
    .describe('How they are asked'),
})
