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

/** Kept per layer; a layer left out does not want the data. */
const perLayerSchema = z.strictObject({
  '0': windowSchema.optional(),
  '1': windowSchema.optional(),
  '2': windowSchema.optional(),
  '3': windowSchema.optional(),
})
type PerLayer = z.output<typeof perLayerSchema>

const days = (values: readonly (readonly [number, number] | null)[]): PerLayer =>
  Object.fromEntries(
    values.flatMap((value, layer) =>
      value === null ? [] : [[String(layer), { hotDays: value[0], coldDays: value[1] }]],
    ),
  )

/** What each layer keeps, and for how long, by data type and interval. */
export const retentionSchema = z.strictObject({
  bars: z
    .strictObject({
      '1d': perLayerSchema.default(
        days([
          [7, 30],
          [30, 365],
          [60, 730],
          [90, 1825],
        ]),
      ),
      '1h': perLayerSchema.default(days([null, [30, 365], [60, 365], [90, 730]])),
      '15m': perLayerSchema.default(days([null, [14, 365], [30, 365], [60, 730]])),
      '5m': perLayerSchema.default(days([null, [14, 365], [30, 365], [60, 730]])),
      '1m': perLayerSchema.default(days([null, [7, 365], [14, 365], [30, 730]])),
      tick: perLayerSchema.default(days([null, null, null, [1, 7]])),
    })
    .prefault({}),
  news: perLayerSchema.default(days([null, [7, 730], [30, 730], [60, 730]])),
  corporate_actions: perLayerSchema.default(
    days([
      [30, 365],
      [60, 1825],
      [90, 3650],
      [180, 3650],
    ]),
  ),
  social_sentiment: perLayerSchema.default(days([null, null, [14, 180], [30, 365]])),
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
})
export type Retention = z.output<typeof retentionSchema>

/** One kind of data a layer wants. */
export interface DataNeed {
  readonly dataType: DataType
  readonly interval: Interval | null
  readonly hotDays: number
  readonly coldDays: number
}

/** Everything a layer wants, bars from the longest interval to the shortest first. */
export function needsOf(retention: Retention, layer: Layer): DataNeed[] {
  const key = String(layer) as '0' | '1' | '2' | '3'
  const needs: DataNeed[] = []
  for (const interval of [...INTERVALS].reverse()) {
    const window = retention.bars[interval][key]
    if (window !== undefined) needs.push({ dataType: 'bars', interval, ...window })
  }
  for (const dataType of ['news', 'corporate_actions', 'social_sentiment'] as const) {
    const window = retention[dataType][key]
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
