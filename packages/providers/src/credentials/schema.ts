import { HOUR_MS, MINUTE_MS, SECOND_MS } from '@varve/core'
import { z } from 'zod'

/** The numbers of checking credentials, with their defaults. */
export const credentialCheckSchema = z.strictObject({
  timeoutMs: z
    .int()
    .min(1)
    .max(5 * MINUTE_MS)
    .default(10 * SECOND_MS)
    .describe('One question to a provider at most, milliseconds'),
  cacheMs: z
    .int()
    .min(0)
    .default(HOUR_MS)
    .describe('An accepted key is not asked about again for this long, milliseconds; 0 always asks'),
  startWithoutAnswer: z
    .boolean()
    .default(false)
    .describe('Start although a critical key could not be judged because its provider did not answer'),
  userAgent: z.string().min(1).default('varve').describe('How we name ourselves to providers'),
})

/**
 * Where Alpaca answers; both environments have hosts and keys of their own.
 *
 * @see https://alpaca.markets/docs/api-references/trading-api/
 */
export const alpacaHostsSchema = z.strictObject({
  paper: z.url().default('https://paper-api.alpaca.markets').describe('Trading with paper money'),
  live: z.url().default('https://api.alpaca.markets').describe('Trading with real money'),
  data: z.url().default('https://data.alpaca.markets').describe('Market data'),
})

/** The numbers of keeping a token fresh, with their defaults. */
export const tokenKeeperSchema = z.strictObject({
  refreshAtFraction: z
    .number()
    .gt(0)
    .lt(1)
    .default(0.8)
    .describe('Share of its life after which a token is refreshed in the background'),
  attempts: z.int().min(1).max(10).default(3).describe('Tries of one refresh'),
  retryDelayMs: z
    .int()
    .min(0)
    .default(SECOND_MS)
    .describe('Pause before the second try, doubled before each further one, milliseconds'),
  attemptTimeoutMs: z
    .int()
    .min(1)
    .default(10 * SECOND_MS)
    .describe('One try at most, milliseconds'),
  monitorMs: z
    .int()
    .min(1)
    .default(300 * SECOND_MS)
    .describe('How often the token is looked at when nobody asks for it, milliseconds'),
  monitorAfterErrorMs: z
    .int()
    .min(1)
    .default(60 * SECOND_MS)
    .describe('The same after a refresh that failed, milliseconds'),
  failFastMs: z
    .int()
    .min(0)
    .default(5 * SECOND_MS)
    .describe(
      'After a failed refresh, callers without a valid token fail at once for this long, milliseconds',
    ),
  opaqueLifeMs: z
    .int()
    .min(1)
    .default(HOUR_MS)
    .describe('Life of a token that says nothing about its end, milliseconds'),
})
