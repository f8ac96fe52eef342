import {
  type BarBatch,
  type Interval,
  isVarveError,
  type Layer,
  publish,
  type SessionDate,
  type SqlTx,
  DAY_MS,
} from '@varve/core'
import type { LoadCounts, QuarantineRow } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { barsNeed } from './policy.ts'
import { addDays, dayNumber } from '@varve/core'

/** Start of a date's rows: UTC midnight for daily bars, midnight at the exchange for shorter ones. */
export function startOf(
  ctx: Pick<PipelineContext, 'calendar'>,
  interval: Interval,
  date: SessionDate,
): number {
  return interval === '1d' ? dayNumber(date) * DAY_MS : ctx.calendar.midnightOf(date)
}

/** Days an interval stays hot for a layer; what no layer asks for stays as long as imported series do. */
export function hotDaysOf(
  ctx: Pick<PipelineContext, 'retention'>,
  layer: Layer | null,
  interval: Interval,
): number {
  const need = layer === null ? undefined : barsNeed(ctx.retention, layer, interval)
  return need?.hotDays ?? ctx.retention.imported.hotDays
}

/** The fewest days any series of the interval is hot, or may be kept: the archive watermark lies that far back. */
export function watermarkDate(
  ctx: Pick<PipelineContext, 'retention'>,
  interval: Interval,
  asOf: SessionDate,
): SessionDate {
  const hot = ([0, 1, 2, 3] as const).map((layer) => hotDaysOf(ctx, layer, interval))
  return addDays(
    asOf,
    -Math.min(...hot, ctx.retention.imported.hotDays, ...Object.values(ctx.retention.licences)),
  )
}

/**
 * Stages validated bars and commits them in one transaction together with `also`. A load overtaken by another
 * process is staged again.
 */
export async function commitBars(
  ctx: PipelineContext,
  input: {
    readonly batch: BarBatch
    readonly findings: readonly QuarantineRow[]
    readonly layers: ReadonlyMap<string, Layer | null>
    readonly asOf: SessionDate
    /** Since when the values are known, milliseconds UTC. @defaultValue now, by the clock of the machine */
    readonly recordedAt?: number
    readonly signal?: AbortSignal
  },
  also: (tx: SqlTx, counts: LoadCounts) => Promise<void>,
): Promise<LoadCounts> {
  const { batch, asOf } = input
  const { interval } = batch
  const plan = {
    initialWatermark: startOf(ctx, interval, watermarkDate(ctx, interval, asOf)),
    hotFrom: (symbol: string) =>
      startOf(ctx, interval, addDays(asOf, -hotDaysOf(ctx, input.layers.get(symbol) ?? null, interval))),
  }
  const started = ctx.clock.monotonicMs()
  for (let attempt = 1; ; attempt++) {
    const staged = await ctx.bars.stage(batch, plan, { recordedAt: input.recordedAt, signal: input.signal })
    try {
      const counts = await ctx.sql.tx(async (tx) => {
        const loaded = await ctx.bars.commit(tx, staged)
        if (input.findings.length > 0) await ctx.quarantine.record(tx, input.findings)
        await also(tx, loaded)
        return loaded
      })
      publish('load', () => ({ interval, ...counts, durationMs: ctx.clock.monotonicMs() - started }))
      for (const [rule, severity, count] of summarise(input.findings)) {
        publish('quarantine', () => ({ rule, severity, count }))
      }
      return counts
    } catch (error) {
      if (!isVarveError(error, 'STORAGE_STAGE_STALE') || attempt >= ctx.options.stageAttempts) throw error
    }
  }
}

function summarise(findings: readonly QuarantineRow[]): [string, string, number][] {
  const counts = new Map<string, [string, string, number]>()
  for (const { rule, severity } of findings) {
    const entry = counts.get(`${rule}|${severity}`)
    if (entry === undefined) counts.set(`${rule}|${severity}`, [rule, severity, 1])
    else entry[2]++
  }
  return [...counts.values()]
}
