import { INTERVALS } from '@varve/core'
import { universeSchema } from '@varve/layers'
import { LOG_LEVELS } from '@varve/monitoring'
import { pipelineOptionsSchema, retentionSchema } from '@varve/pipeline'
import { z } from 'zod'

export const storageSettingsSchema = z.strictObject({
  databaseUrl: z
    .string()
    .regex(/^postgres(ql)?:\/\//, 'expected a URL that starts with postgres://')
    .optional()
    .describe('Postgres to use; an embedded one in the data directory without it'),
  lakeDirectory: z
    .string()
    .min(1)
    .optional()
    .describe('Folder of the Parquet lake; "lake" in the data directory without it'),
  maxConnections: z.int().min(2).max(100).default(10).describe('Connections to Postgres at most'),
  statementTimeoutMs: z
    .int()
    .min(1000)
    .default(300_000)
    .describe('A statement that runs longer is cancelled, milliseconds'),
  sweepGraceMs: z
    .int()
    .min(0)
    .default(3_600_000)
    .describe('Age at which a replaced lake file is deleted, milliseconds'),
})

const windowSchema = z.strictObject({
  limit: z.int().min(1).describe('Requests at most'),
  windowMs: z.int().min(1).describe('in this many milliseconds'),
})

export const rateLimitSettingsSchema = z.strictObject({
  marginMs: z
    .int()
    .min(0)
    .default(45)
    .describe('Added to every window for jitter on the way to the provider, milliseconds'),
  profiles: z
    .record(z.string(), z.array(windowSchema).min(1))
    .default({})
    .describe('Windows of each plan; all hold at once'),
})

export const providerSettingsSchema = z.strictObject({
  polygon: z
    .strictObject({
      apiKey: z.string().min(8).describe('Key of the account; use ${POLYGON_API_KEY}'),
      baseUrl: z
        .url({ protocol: /^https?$/ })
        .default('https://api.massive.com')
        .describe('Where the API answers'),
      allowedHosts: z
        .array(z.string())
        .default(['api.massive.com', 'api.polygon.io'])
        .describe('Hosts the key may be sent to, besides that of baseUrl'),
      plan: z.string().default('polygon-free').describe('Profile of rate-limits.yaml'),
      historyDays: z
        .int()
        .min(1)
        .nullable()
        .default(730)
        .describe('How far back the plan reaches; null for no limit'),
      intervals: z.array(z.enum(INTERVALS)).min(1).default(['1d']).describe('Intervals to fetch'),
      requestTimeoutMs: z.int().min(100).default(30_000).describe('One request at most, milliseconds'),
      deadlineMs: z
        .int()
        .min(1000)
        .default(120_000)
        .describe('One range with all its pages and retries at most, milliseconds'),
      attempts: z.int().min(1).max(10).default(4).describe('Tries of one request'),
      initialBackoffMs: z.int().min(0).default(1000).describe('First wait before another try, milliseconds'),
    })
    .optional(),
  file: z
    .strictObject({
      exchange: z.string().default('XNYS').describe('Listing exchange of symbols read from files'),
    })
    .prefault({}),
})

export const daemonSettingsSchema = z.strictObject({
  host: z.string().default('127.0.0.1').describe('Address to listen on'),
  port: z.int().min(0).max(65_535).default(8080).describe('Port to listen on; 0 takes a free one'),
  afterCloseMinutes: z
    .int()
    .min(0)
    .default(30)
    .describe("Minutes after a session's close at which a cycle starts"),
  pollMs: z
    .int()
    .min(100)
    .default(5000)
    .describe('How often schedules and the event log are looked at, milliseconds'),
  shutdownMs: z
    .int()
    .min(100)
    .default(30_000)
    .describe('Work in progress may take this long to end, milliseconds'),
  logLevel: z.enum(LOG_LEVELS).default('info').describe('Lines of this level and above are written'),
})

/** Every configuration file and the schema it must meet. */
export const SECTIONS = {
  layers: universeSchema,
  retention: retentionSchema,
  storage: storageSettingsSchema,
  providers: providerSettingsSchema,
  'rate-limits': rateLimitSettingsSchema,
  pipeline: pipelineOptionsSchema,
  daemon: daemonSettingsSchema,
} as const

/** Environment variables configuration files may refer to. */
export const ALLOWED_VARIABLES = ['DATABASE_URL', 'POLYGON_API_KEY'] as const

export type Settings = { readonly [Name in keyof typeof SECTIONS]: z.output<(typeof SECTIONS)[Name]> }
