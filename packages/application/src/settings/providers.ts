import { secret } from '@varve/config'
import { fileProviderSchema, polygonOptionsSchema } from '@varve/providers'
import { z } from 'zod'

const { exchange, listedWithinSessions, fieldNames } = fileProviderSchema.shape
const { historyDays, intervals } = polygonOptionsSchema.shape

/** Sources of market data. */
export const providersSettingsSchema = z.strictObject({
  polygon: z
    .strictObject({
      ...polygonOptionsSchema.shape,
      apiKey: secret({ kind: 'apiKey' }).describe('Key of the account; use ${POLYGON_API_KEY}'),
      plan: z.string().min(1).default('polygon-free').describe('Profile of rate-limits.yaml'),
      historyDays: historyDays
        .unwrap()
        .default(730)
        .describe('How far back the plan reaches, calendar days; null for no limit'),
      intervals: intervals.unwrap().default(['1d']).describe('Intervals to fetch'),
    })
    .optional()
    .describe('Polygon.io, also named Massive'),
  alpaca: z
    .strictObject({
      keyId: secret({ kind: 'apiKey' }).describe('Key id of the account; use ${APCA_API_KEY_ID}'),
      secretKey: secret({ kind: 'apiKey' }).describe('Its secret; use ${APCA_API_SECRET_KEY}'),
      environment: z.enum(['paper', 'live']).default('paper').describe('Which account the keys are of'),
      baseUrl: z
        .url({ protocol: /^https?$/ })
        .optional()
        .describe("Where the account answers; Alpaca's host of that environment without it"),
    })
    .optional()
    .describe('Alpaca account: its keys are checked at start; it serves no bars yet'),
  file: z
    .strictObject({ exchange, listedWithinSessions, fieldNames })
    .prefault({})
    .describe('Files given with --bars or varve import'),
})
