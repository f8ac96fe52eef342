import { addDays, type BarSource, INTERVALS, type Interval, type Layer, type SessionDate } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import type { EventPosition } from '@varve/events'
import type { RetentionResult } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { hotDaysOf, startOf, watermarkDate } from './loadBars.ts'
import { barsNeed, depthStart } from './policy.ts'
import { IMPORT_PROVIDER } from './importFile.ts'

export interface RetainResult extends RetentionResult {
  readonly interval: Interval
}

/**
 * Applies the retention policy as of a session: rows move to the lake, leave Postgres and finally disappear, each
 * series by the layer of its symbol. Series whose symbol is no company were imported and follow their own rule.
 */
export async function retainBars(
  ctx: PipelineContext,
  asOf: SessionDate,
  options: {
    readonly compact?: boolean
    /** Only series of this source; the others stay as they are. */
    readonly only?: BarSource
    readonly signal?: AbortSignal
  } = {},
): Promise<RetainResult[]> {
  const { only } = options
  const meant = (source: BarSource) =>
    only === undefined || (source.provider === only.provider && source.feed === only.feed)
  const companies = await ctx.companies.load(ctx.sql)
  const layers = new Map<string, Layer | null>(companies.map((company) => [company.symbol, company.layer]))
  const kept = await withGrace(ctx, asOf, layers)
  const results: RetainResult[] = []
  for (const interval of INTERVALS) {
    const watermark = await ctx.bars.watermark(interval)
    if (watermark === undefined) continue
    const result = await ctx.bars.retain(
      {
        interval,
        asOf: startOf(ctx, interval, asOf),
        archiveTo: Math.max(watermark, startOf(ctx, interval, watermarkDate(ctx, interval, asOf))),
        hotFrom: (symbol, source) => {
          if (!meant(source)) return Number.NEGATIVE_INFINITY
          const layer = source.provider === IMPORT_PROVIDER ? null : (layers.get(symbol) ?? null)
          return startOf(ctx, interval, addDays(asOf, -hotDaysOf(ctx, layer, interval)))
        },
        // A symbol that rose a layer gets its older bars back; imported series have no layer to rise in.
        restore: (_symbol, source) => meant(source) && source.provider !== IMPORT_PROVIDER,
        coldFrom: (symbol, source) => {
          if (!meant(source)) return null
          const date = coldDate(ctx, interval, asOf, kept.get(symbol), source.provider)
          return date === null ? null : startOf(ctx, interval, date)
        },
      },
      options.signal,
    )
    if (only === undefined) await trimCoverage(ctx, interval, asOf, kept)
    if (options.compact !== false) await ctx.bars.compact(interval, { signal: options.signal })
    results.push({ interval, ...result })
  }
  return results
}

/** Layers that decide how long data is kept at all: a demotion counts only when its grace is over. */
async function withGrace(
  ctx: PipelineContext,
  asOf: SessionDate,
  layers: ReadonlyMap<string, Layer | null>,
): Promise<Map<string, Layer | null>> {
  const kept = new Map(layers)
  const { eventsPerRead: limit } = ctx.options
  const from = ctx.calendar.midnightOf(addDays(asOf, 1 - ctx.retention.demotionGraceDays))
  for (let after: EventPosition | undefined; ;) {
    const events = await ctx.events.read({ types: ['SymbolDemoted'], from, after, limit })
    for (const { data } of events) {
      const { symbol, fromLayer } = data as unknown as { readonly symbol: string; readonly fromLayer: Layer }
      if (kept.has(symbol)) kept.set(symbol, Math.max(kept.get(symbol) ?? -1, fromLayer) as Layer)
    }
    after = events.at(-1)
    if (events.length < limit) return kept
  }
}

/** First date kept at all, or `null` for everything. */
function coldDate(
  ctx: PipelineContext,
  interval: Interval,
  asOf: SessionDate,
  layer: Layer | null | undefined,
  provider: string,
): SessionDate | null {
  if (layer === undefined || provider === IMPORT_PROVIDER) {
    const { coldDays } = ctx.retention.imported
    return coldDays === null ? null : addDays(asOf, -coldDays)
  }
  // A company in no layer keeps what layer 0 keeps; it may come back.
  const need = barsNeed(ctx.retention, layer ?? 0, interval)
  return need === undefined ? asOf : depthStart(need, asOf, lookbackSessions(ctx.universe), ctx.calendar)
}

/** What has expired is no longer covered: a symbol that comes back is fetched again. */
async function trimCoverage(
  ctx: PipelineContext,
  interval: Interval,
  asOf: SessionDate,
  layers: ReadonlyMap<string, Layer | null>,
): Promise<void> {
  const held = await ctx.coverage.load(ctx.sql, { dataType: 'bars', interval })
  const trims = held.flatMap(({ symbol, source, from }) => {
    const before = coldDate(ctx, interval, asOf, layers.get(symbol), source.split('/')[0] ?? '')
    return before === null || from >= before
      ? []
      : [{ symbol, dataType: 'bars' as const, interval, source, before }]
  })
  if (trims.length > 0) await ctx.sql.tx((tx) => ctx.coverage.trim(tx, trims))
}
