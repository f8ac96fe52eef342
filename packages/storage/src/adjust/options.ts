import { isSessionDate } from '@varve/core'
import { z } from 'zod'

/** What to adjust for, and as of when. */
export const adjustOptionsSchema = z.strictObject({
  splits: z.boolean().default(true).describe('Put prices and volumes on the share basis of `asOf`'),
  dividends: z.boolean().default(true).describe('Take cash dividends and spin-offs out of earlier prices'),
  asOf: z
    .string()
    .refine(isSessionDate, { message: 'expected a date written YYYY-MM-DD' })
    .describe('Session date of the observer: actions with a later ex-date do not apply'),
  knownAt: z
    .number()
    .optional()
    .describe('Instant of the observer, milliseconds UTC: actions not known then do not apply'),
  dividendMethod: z
    .enum(['previous_close', 'reinvested'])
    .default('previous_close')
    .describe(
      'previous_close: 1 - cash / close before the ex-date. reinvested: ex-date close / (ex-date close + cash), which makes adjusted returns total returns',
    ),
  closeMaxAgeDays: z
    .int()
    .min(1)
    .default(10)
    .describe('A close this many calendar days before the ex-date at most counts as the previous one'),
  currency: z.string().min(1).default('USD').describe('Currency of the prices; cash in another is reported'),
  timeZone: z
    .string()
    .min(1)
    .default('America/New_York')
    .describe("The exchange's time zone: where a session's date begins for intraday bars"),
})
export type AdjustOptions = z.input<typeof adjustOptionsSchema>
export type AdjustSettings = z.output<typeof adjustOptionsSchema>
