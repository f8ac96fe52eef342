import { z } from 'zod'

const percent = (fallback: number, meaning: string) =>
  z.number().gt(0).max(100).default(fallback).describe(`${meaning}, percent`)

/**
 * Limits of what may be traded. Checked at start; orders are held to them by `@varve/risk-decimal`.
 */
export const riskSettingsSchema = z.strictObject({
  tradingEnabled: z
    .boolean()
    .default(false)
    .describe('Trading takes place: start-up also checks what only trading needs, and no file is reloaded'),
  positionPercent: percent(10, 'One position at most, of equity'),
  sectorPercent: percent(25, 'One sector at most, of equity'),
  dailyLossPercent: percent(5, 'Loss of a day at which trading stops, of equity'),
  positions: z.int().min(1).max(1000).default(20).describe('Open positions at most'),
  utilisationPercent: percent(95, 'Capital in use at most, of equity'),
  buyingPowerBufferPercent: percent(5, 'Buying power that is never used'),
  priceCollarPercent: percent(5, 'Distance of a limit price from the market at most'),
})
