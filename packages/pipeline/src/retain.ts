import { addDays, type BarSource, INTERVALS, type Interval, type Layer, type SessionDate } from '@varve/core'
import { lookbackSessions } from '@varve/layers'
import type { EventPosition } from '@varve/events'
import type {
  BarRetentionPolicy,
  RecordRetentionReport,
  RetentionResult,
  SeriesRetention,
} from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { hotDaysOf, startOf, watermarkDate } from './loadBars.ts'
import { barsNeed, depthStart } from './policy.ts'
import { IMPORT_PROVIDER } from './importFile.ts'
import { retainRecords } from './retainRecords.ts'

export interface RetainResult extends RetentionResult {
  readonly interval: Interval
}

/** What retention does to the bars of one layer and interval, and why. */
export interface RetentionMove extends Pick<
  RetentionResult,
  'archivedRows' | 'hotDeleted' | 'hotRestored' | 'coldExpired'
> {
  readonly interval: Interval
  /** `null`: of no company, or of one in no layer. */
  readonly layer: Layer | null
  readonly source: string
  readonly symbols: number
  /** First date kept in Postgres, and first kept at all; the least and the greatest of the symbols. */
  readonly hotFrom: readonly [SessionDate, SessionDate]
  readonly coldFrom: readonly [SessionDate, SessionDate] | null
  /** The rule in words. */
  readonly why: string
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
  const { kept, policyOf } = await policies(ctx, asOf, only)
  const results: RetainResult[] = []
  for (const interval of INTERVALS) {
    const policy = await policyOf(interval)
    if (policy === undefined) continue
    const result = await ctx.bars.retain(policy, options.signal)
    if (only === undefined) await trimCoverage(ctx, interval, asOf, kept)
    if (options.compact !== false) await ctx.bars.compact(interval, { signal: options.signal })
    results.push({ interval, ...result })
  }
  if (only === undefined) await retainRecords(ctx, asOf, kept, { signal: options.signal })
  return results
}

/** What {@link retainBars} would move, per interval, layer and source, and by which rule. Changes nothing. */
export async function planRetention(
  ctx: PipelineContext,
  asOf: SessionDate,
  options: { readonly signal?: AbortSignal } = {},
): Promise<{ readonly bars: RetentionMove[]; readonly records: RecordRetentionReport[] }> {
  const { kept, layers, policyOf } = await policies(ctx, asOf, undefined)
  const moves: RetentionMove[] = []
  for (const interval of INTERVALS) {
    const policy = await policyOf(interval)
    if (policy === undefined) continue
    const groups = new Map<string, { layer: Layer | null; source: BarSource; series: SeriesRetention[] }>()
    for (const series of await ctx.bars.planRetention(policy, options.signal)) {
      const imported = series.source.provider === IMPORT_PROVIDER
      const layer = imported ? null : (layers.get(series.symbol) ?? null)
      const name = `${layer}|${series.source.provider}/${series.source.feed}`
      const group = groups.get(name) ?? { layer, source: series.source, series: [] }
      group.series.push(series)
      groups.set(name, group)
    }
    for (const { layer, source, series } of groups.values())
      moves.push(moveOf(ctx, interval, layer, source, series, kept))
  }
  return {
    bars: moves.sort((a, b) => (b.layer ?? -1) - (a.layer ?? -1)),
    records: await retainRecords(ctx, asOf, kept, { dryRun: true, signal: options.signal }),
  }
}

function moveOf(
  ctx: PipelineContext,
  interval: Interval,
  layer: Layer | null,
  source: BarSource,
  series: readonly SeriesRetention[],
  kept: ReadonlyMap<string, Layer | null>,
): RetentionMove {
  const sum = (count: 'archivedRows' | 'hotDeleted' | 'hotRestored' | 'coldExpired') =>
    series.reduce((total, entry) => total + entry[count], 0)
  const dates = (times: readonly number[]): [SessionDate, SessionDate] => [
    ctx.calendar.dateOf(Math.min(...times)),
    ctx.calendar.dateOf(Math.max(...times)),
  ]
  const bounds = series.flatMap((entry) => entry.coldFrom ?? [])
  const inGrace = series.filter(({ symbol }) => (kept.get(symbol) ?? null) !== layer).length
  return {
    interval,
    layer,
    source: `${source.provider}/${source.feed}`,
    symbols: series.length,
    archivedRows: sum('archivedRows'),
    hotDeleted: sum('hotDeleted'),
    hotRestored: sum('hotRestored'),
    coldExpired: sum('coldExpired'),
    hotFrom: dates(series.map((entry) => entry.hotFrom)),
    coldFrom: bounds.length === 0 ? null : dates(bounds),
    why: ruleOf(ctx, interval, layer, source.provider, inGrace),
  }
}

function ruleOf(
  ctx: PipelineContext,
  interval: Interval,
  layer: Layer | null,
  provider: string,
  inGrace: number,
): string {
  const hot = hotDaysOf(ctx, layer, interval)
  if (provider === IMPORT_PROVIDER || layer === null) {
    const { coldDays } = ctx.retention.imported
    return `${provider === IMPORT_PROVIDER ? 'imported' : 'in no layer'}: hot ${hot} days, ${coldDays === null ? 'never expired' : `expired after ${coldDays}`}`
  }
  const need = barsNeed(ctx.retention, layer, interval)
  const licence = licenceDaysOf(ctx, provider)
  return [
    `layer ${layer}: hot ${hot} days, cold ${need?.coldDays ?? 0}`,
    ...(licence === undefined ? [] : [`licence of ${provider}: ${licence}`]),
    ...(inGrace > 0 ? [`${inGrace} in grace after a demotion`] : []),
  ].join('; ')
}

/** The policy of every interval, for one run. */
async function policies(ctx: PipelineContext, asOf: SessionDate, only: BarSource | undefined) {
  const meant = (source: BarSource) =>
    only === undefined || (source.provider === only.provider && source.feed === only.feed)
  const companies = await ctx.companies.load(ctx.sql)
  const layers = new Map<string, Layer | null>(companies.map((company) => [company.symbol, company.layer]))
  const kept = await withGrace(ctx, asOf, layers)
  const policyOf = async (interval: Interval): Promise<BarRetentionPolicy | undefined> => {
    const watermark = await ctx.bars.watermark(interval)
    if (watermark === undefined) return undefined
    return {
      interval,
      asOf: startOf(ctx, interval, asOf),
      archiveTo: Math.max(watermark, startOf(ctx, interval, watermarkDate(ctx, interval, asOf))),
      hotFrom: (symbol, source) => {
        if (!meant(source)) return Number.NEGATIVE_INFINITY
        const layer = source.provider === IMPORT_PROVIDER ? null : (layers.get(symbol) ?? null)
        const days = Math.min(
          hotDaysOf(ctx, layer, interval),
          licenceDaysOf(ctx, source.provider) ?? Infinity,
        )
        return startOf(ctx, interval, addDays(asOf, -days))
      },
      // A symbol that rose a layer gets its older bars back; imported series have no layer to rise in.
      restore: (_symbol, source) => meant(source) && source.provider !== IMPORT_PROVIDER,
      coldFrom: (symbol, source) => {
        if (!meant(source)) return null
        const date = coldDate(ctx, interval, asOf, kept.get(symbol), source.provider)
        return date === null ? null : startOf(ctx, interval, date)
      },
    }
  }
  return { layers, kept, policyOf }
}

/** Days a vendor's licence lets its data be kept, where it sets a limit. */
function licenceDaysOf(ctx: PipelineContext, provider: string): number | undefined {
  return ctx.retention.licences[provider]
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
  const byPolicy = policyDate(ctx, interval, asOf, layer, provider)
  // A licence is the law, whatever a layer or a criterion looks back to.
  const licence = licenceDaysOf(ctx, provider)
  if (licence === undefined) return byPolicy
  const least = addDays(asOf, -licence)
  return byPolicy === null || least > byPolicy ? least : byPolicy
}

function policyDate(
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
