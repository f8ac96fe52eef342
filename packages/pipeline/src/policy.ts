import {
  addDays,
  type DataType,
  INTERVALS,
  type Interval,
  type Layer,
  type SessionCalendar,
  type SessionDate,
} from '@varve/core'
import { z } from 'zod'

const windowSchema = z
  .strictObject({
    hotDays: z.int().min(1).describe('Calendar days kept in Postgres'),
    coldDays: z
      .int()
      .min(1)
      .describe('Calendar days kept at all, hot days included; also the depth of a backfill'),
  })
  .refine((window) => window.coldDays >= window.hotDays, { message: 'coldDays must not be below hotDays' })

/** What one layer keeps, and for how long, by data type and interval. What is left out it does not want. */
export const layerDataSchema = z.strictObject({
  bars: z
    .strictObject({
      '1d': windowSchema.optional(),
      '1h': windowSchema.optional(),
      '15m': windowSchema.optional(),
      '5m': windowSchema.optional(),
      '1m': windowSchema.optional(),
      tick: windowSchema.optional(),
    })
    .default({})
    .describe('Bars, by interval'),
  news: windowSchema.optional(),
  corporate_actions: windowSchema.optional(),
  social_sentiment: windowSchema.optional(),
})
export type LayerData = z.output<typeof layerDataSchema>

/** Retention that is no layer's. */
export const retentionSchema = z.strictObject({
  demotionGraceDays: z
    .int()
    .min(0)
    .default(7)
    .describe(
      'Days a demoted symbol still keeps what its former layer keeps, so that coming back costs nothing',
    ),
  imported: z
    .strictObject({
      hotDays: z.int().min(1).default(30).describe('Days of imported series kept in Postgres'),
      coldDays: z
        .int()
        .min(1)
        .nullable()
        .default(null)
        .describe('Days of imported series kept at all; null keeps everything'),
    })
    .prefault({})
    .describe("Series loaded with varve import, whatever their symbol's layer"),
  licences: z
    .record(z.string().min(1), z.int().min(1))
    .default({})
    .describe(
      'Days a vendor lets its data be kept, by provider; the stricter of this and the layer holds, as polygon: 730',
    ),
})

/** How long everything is kept. */
export interface Retention extends z.output<typeof retentionSchema> {
  /** What layers 0 to 3 keep. */
  readonly layers: readonly LayerData[]
}

/** One kind of data a layer wants. */
export interface DataNeed {
  readonly dataType: DataType
  readonly interval: Interval | null
  readonly hotDays: number
  readonly coldDays: number
}

/** Everything a layer wants, bars from the longest interval to the shortest first. */
export function needsOf(retention: Retention, layer: Layer): DataNeed[] {
  const data = retention.layers[layer]!
  const needs: DataNeed[] = []
  for (const interval of [...INTERVALS].reverse()) {
    const window = data.bars[interval]
    if (window !== undefined) needs.push({ dataType: 'bars', interval, ...window })
  }
  for (const dataType of ['news', 'corporate_actions', 'social_sentiment'] as const) {
    const window = data[dataType]
    if (window !== undefined) needs.push({ dataType, interval: null, ...window })
  }
  return needs
}

/** The need of a layer for bars of one interval, if it has one. */
export function barsNeed(retention: Retention, layer: Layer, interval: Interval): DataNeed | undefined {
  return needsOf(retention, layer).find((need) => need.dataType === 'bars' && need.interval === interval)
}

/**
 * First date a need reaches back to. Daily bars reach at least as far as the criteria look back, whatever the
 * retention says, because the scanner's own metrics need them.
 */
export function depthStart(
  need: DataNeed,
  asOf: SessionDate,
  lookbackSessions: number,
  calendar: SessionCalendar,
): SessionDate {
  const start = addDays(asOf, -need.coldDays)
  if (need.interval !== '1d') return start
  const lookback = lookbackStart(asOf, lookbackSessions, calendar)
  return lookback < start ? lookback : start
}

/** The session `count - 1` sessions before `asOf` (both counted). */
export function lookbackStart(asOf: SessionDate, count: number, calendar: SessionCalendar): SessionDate {
  let date = asOf
  for (let left = count - 1; left > 0; left--) date = calendar.previousSession(date)
  return date
}
