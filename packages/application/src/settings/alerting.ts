import { secret } from '@varve/config'
import { z } from 'zod'

/** Who is told when something needs a person. Every alert is a log line too. */
export const alertingSettingsSchema = z.strictObject({
  webhookUrl: secret({ kind: 'webhookUrl' })
    .optional()
    .describe('Alerts are posted there as JSON; use ${VARVE_ALERT_WEBHOOK_URL}'),
  repeatAfterMs: z
    .int()
    .min(0)
    .default(3_600_000)
    .describe('The same alert is sent again after this at the earliest, milliseconds'),
  timeoutMs: z.int().min(100).default(10_000).describe('One delivery at most, milliseconds'),
})
