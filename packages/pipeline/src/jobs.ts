import type { DataType, Interval, Layer, SessionDate } from '@varve/core'
import { backfillPriority, type Universe } from '@varve/layers'
import { z } from 'zod'

/** Payload of a backfill job: what to fetch, and why. */
export const backfillJobSchema = z.strictObject({
  symbol: z.string().min(1),
  dataType: z.literal('bars'),
  interval: z.enum(['tick', '1m', '5m', '15m', '1h', '1d']),
  from: z.string(),
  to: z.string(),
  layer: z.union([z.literal(0), z.literal(1), z.literal(2), z.literal(3)]).nullable(),
  /** `layer`: what the layer's policy wants. `gap`: exactly these sessions. `range`: exactly this range. */
  reason: z.enum(['layer', 'gap', 'range']),
  /** Sessions to heal, for `gap`. */
  sessions: z.array(z.string()),
  /** The event or command that asked. */
  causationId: z.string(),
})
export type BackfillJob = z.output<typeof backfillJobSchema>

export type BackfillPriority = 'normal' | 'high' | 'critical'
const BASE: Record<BackfillPriority, number> = { normal: 0, high: 1000, critical: 2000 }

/** Higher is worked on first: critical before high before normal, inside each by the priority of the layer. */
export function priorityNumber(priority: BackfillPriority, universe: Universe, layer: Layer | null): number {
  return BASE[priority] + backfillPriority(universe, layer) * 100
}

/** Key under which jobs coalesce; a gap is its own work, so that it never hides behind a wider job. */
export function backfillKey(job: {
  readonly symbol: string
  readonly dataType: DataType
  readonly interval: Interval
  readonly reason: BackfillJob['reason']
  readonly from: SessionDate
  readonly to: SessionDate
}): string {
  const series = `${job.symbol}|${job.dataType}|${job.interval}`
  return job.reason === 'layer' ? series : `${series}|${job.reason}|${job.from}|${job.to}`
}
