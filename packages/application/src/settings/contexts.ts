import { contextOptionsSchema } from '@varve/runtime'
import { z } from 'zod'

const { startTimeoutMs, stopTimeoutMs, abortGraceMs } = contextOptionsSchema.shape

const kind = (fallback: number, what: string) =>
  z
    .strictObject({
      startTimeoutMs: startTimeoutMs
        .unwrap()
        .default(fallback)
        .describe(`Longest ${what} may take to start, milliseconds`),
    })
    .prefault({})

/** How long each kind of application may take to start, and to stop. */
export const contextsSettingsSchema = z.strictObject({
  default: kind(60_000, 'a command that only reads'),
  backfill: kind(60_000, 'a command that fetches or imports'),
  scanner: kind(30_000, 'a whole cycle or a scan'),
  trading: kind(45_000, 'anything that may trade'),
  stopTimeoutMs,
  abortGraceMs,
})
