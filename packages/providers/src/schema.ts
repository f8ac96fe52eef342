import { INTERVALS } from '@varve/core'
import { resilienceSchema } from '@varve/resilience'
import { z } from 'zod'

const barIntervals = INTERVALS.filter((interval) => interval !== 'tick')

/** How one request is sent to a provider, whichever it is: resilience's options, and the time of one request. */
export const requestOptionsSchema = resilienceSchema.extend({
  requestTimeoutMs: z.int().min(1).max(300_000).default(30_000).describe('One request at most, milliseconds'),
  deadlineMs: z
    .int()
    .min(1)
    .default(120_000)
    .describe('One range with all its pages and retries at most, waits for the quota apart, milliseconds'),
  attempts: z.int().min(1).max(11).default(4).describe('Tries of one request'),
  rateLimitedPauseMs: z
    .int()
    .min(1)
    .default(60_000)
    .describe('Pause after a 429 that names none, milliseconds'),
  longestRetryAfterMs: z
    .int()
    .min(1)
    .default(900_000)
    .describe(
      'Longest pause a server is believed about; a year in Retry-After is a date gone wrong, milliseconds',
    ),
  emptyRecheckMs: z
    .int()
    .min(0)
    .default(1000)
    .describe('Pause before an empty answer is asked for again, milliseconds'),
  userAgent: z.string().min(1).default('varve').describe('How we name ourselves to providers'),
})

/** What is particular to Polygon. */
export const polygonOptionsSchema = z.strictObject({
  baseUrl: z
    .url({ protocol: /^https?$/ })
    .default('https://api.massive.com')
    .describe('Where the API answers'),
  allowedHosts: z
    .array(z.string().min(1))
    .readonly()
    .default(['api.massive.com', 'api.polygon.io'])
    .describe('Hosts the key may be sent to, besides that of baseUrl'),
  intervals: z
    .array(z.enum(barIntervals))
    .min(1)
    .readonly()
    .default(barIntervals)
    .describe('Intervals to fetch'),
  pageLimit: z.int().min(1).max(50_000).default(50_000).describe('Base aggregates a page may scan'),
  listingsPerPage: z.int().min(1).max(1000).default(1000).describe('Listings or splits of one page'),
  maxPages: z.int().positive().default(1000).describe('Most pages of one range or list'),
  adjusted: z
    .boolean()
    .default(false)
    .describe('Prices adjusted for splits by the vendor; Varve stores raw ones'),
  includeOtc: z.boolean().default(false).describe('Also list over-the-counter tickers'),
  historyDays: z
    .int()
    .positive()
    .nullable()
    .default(null)
    .describe('How far back the plan reaches, calendar days; null for no limit'),
  maxDaySpanDays: z
    .int()
    .positive()
    .default(366)
    .describe('Longest range of one request for day bars, calendar days'),
  maxIntradaySpanDays: z
    .int()
    .positive()
    .default(28)
    .describe('The same for intraday bars: longer ones have come back with silent gaps'),
})

/** The part of `createPolygonProvider`'s options that is data, with their defaults. */
export const polygonProviderSchema = requestOptionsSchema.extend(polygonOptionsSchema.shape)
export type PolygonProviderConfig = z.input<typeof polygonProviderSchema>

const names = (...accepted: string[]) => z.array(z.string().min(1)).min(1).readonly().default(accepted)

/** Column names of files that are understood, in any case; the first that is there counts. */
export const fileFieldNamesSchema = z
  .strictObject({
    symbol: names('symbol', 'ticker').describe('Columns that hold the symbol'),
    date: names('date', 'session').describe('Columns that hold a session date; daily bars prefer them'),
    instant: names('timestamp', 'time', 'datetime', 'ts_utc', 'ts').describe(
      'Columns that hold an instant; intraday bars prefer them',
    ),
    open: names('open').describe('Columns that hold the open'),
    high: names('high').describe('Columns that hold the high'),
    low: names('low').describe('Columns that hold the low'),
    close: names('close').describe('Columns that hold the close'),
    volume: names('volume').describe('Columns that hold the volume'),
  })
  .superRefine((fields, context) => {
    const seen = new Map<string, string>()
    for (const [field, columns] of Object.entries(fields)) {
      for (const column of columns) {
        const key = column.toLowerCase()
        const other = seen.get(key)
        if (other === undefined) seen.set(key, field)
        else {
          context.addIssue({
            code: 'custom',
            path: [field],
            message: `"${column}" already names ${other}; a column has one meaning`,
          })
        }
      }
    }
  })
export type FileFieldNames = z.output<typeof fileFieldNamesSchema>

/** The part of `createFileProvider`'s options that is data, with their defaults. */
export const fileProviderSchema = z.strictObject({
  files: z.array(z.string().min(1)).min(1).readonly().describe('Parquet, CSV or gzipped CSV'),
  interval: z.enum(barIntervals).default('1d').describe('Length of every bar'),
  name: z.string().min(1).optional().describe('The feed of the bars'),
  exchange: z
    .string()
    .min(1)
    .default('XNYS')
    .describe('Listing exchange of symbols read from files, which do not say'),
  listedWithinSessions: z
    .int()
    .positive()
    .default(5)
    .describe('A symbol is listed while it has a bar in this many sessions up to the day asked'),
  chunkRows: z.int().min(1).default(50_000).describe('Rows read at once'),
  fieldNames: fileFieldNamesSchema
    .prefault({})
    .describe('Column names of files that are understood, in any case'),
})
export type FileProviderConfig = z.input<typeof fileProviderSchema>
