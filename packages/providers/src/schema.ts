import { INTERVALS } from '@varve/core'
import { z } from 'zod'

const barIntervals = INTERVALS.filter((interval) => interval !== 'tick')

/** The part of `createPolygonProvider`'s options that is data. */
export const polygonProviderSchema = z.strictObject({
  baseUrl: z.url().describe('https://api.massive.com, https://api.polygon.io, or a stand-in'),
  allowedHosts: z.array(z.string().min(1)).optional().describe('Further hosts paging URLs may name'),
  intervals: z.array(z.enum(barIntervals)).min(1).optional().describe('Intervals to serve'),
  pageLimit: z.int().min(1).max(50_000).optional().describe('Base aggregates a page may scan'),
  maxPages: z.int().positive().optional().describe('Most pages of one range or list'),
  adjusted: z.boolean().optional().describe('Prices adjusted for splits by the vendor'),
  includeOtc: z.boolean().optional().describe('Also list over-the-counter tickers'),
  historyDays: z
    .int()
    .positive()
    .nullable()
    .optional()
    .describe('How far back the plan reaches; null for no limit'),
  maxDaySpanDays: z.int().positive().optional().describe('Longest range of one request for day bars'),
  maxIntradaySpanDays: z.int().positive().optional().describe('The same for intraday bars'),
  requestTimeoutMs: z.number().positive().optional().describe('Longest a request may take'),
  rateLimitedPauseMs: z.number().positive().optional().describe('Pause after a 429 that names none'),
  emptyRecheckMs: z
    .number()
    .nonnegative()
    .optional()
    .describe('Pause before an empty answer is asked for again'),
  deadlineMs: z
    .number()
    .positive()
    .optional()
    .describe('Longest a range may take, waits for the quota apart'),
  attempts: z.int().positive().optional().describe('Most attempts of one request'),
  initialBackoffMs: z.number().nonnegative().optional().describe('Ceiling of the first pause'),
  maxBackoffMs: z.number().nonnegative().optional().describe('Ceiling of every pause'),
})
export type PolygonProviderConfig = z.output<typeof polygonProviderSchema>

/** The part of `createFileProvider`'s options that is data. */
export const fileProviderSchema = z.strictObject({
  files: z.array(z.string().min(1)).min(1).describe('Parquet, CSV or gzipped CSV'),
  interval: z.enum(barIntervals).optional().describe('Length of every bar'),
  name: z.string().min(1).optional().describe('The feed of the bars'),
  exchange: z.string().min(1).optional().describe('Exchange of every listing'),
  listedWithinSessions: z
    .int()
    .positive()
    .optional()
    .describe('Sessions without a bar after which a symbol is gone'),
})
export type FileProviderConfig = z.output<typeof fileProviderSchema>
