import {
  addDays,
  type BarSource,
  type DataType,
  type Layer,
  type SessionDate,
  DAY_MS,
  dayNumber,
} from '@varve/core'
import { DATASET_NAMES, DATASETS, type Dataset, type RecordRetentionReport } from '@varve/storage'
import type { PipelineContext } from './context.ts'
import { IMPORT_PROVIDER } from './importFile.ts'
import { type DataNeed, needsOf } from './policy.ts'

/**
 * Applies the retention policy to records of every dataset: each symbol's by its layer. What no layer has a rule for,
 * such as filings, is moved to the lake like imported bars and kept.
 */
export async function retainRecords(
  ctx: PipelineContext,
  asOf: SessionDate,
  layers: ReadonlyMap<string, Layer | null>,
  options: { readonly dryRun?: boolean; readonly signal?: AbortSignal } = {},
): Promise<RecordRetentionReport[]> {
  const start = (days: number) => dayNumber(addDays(asOf, -days)) * DAY_MS
  const reports: RecordRetentionReport[] = []
  for (const dataset of DATASET_NAMES) {
    const stats = await ctx.records.stats(dataset)
    if (stats.hotRows === 0 && stats.coldRows === 0) continue
    const need = (symbol: string, source: BarSource) =>
      source.provider === IMPORT_PROVIDER ? undefined : needOf(ctx, dataset, layers.get(symbol) ?? null)
    const licence = (provider: string) => ctx.retention.licences[provider] ?? Infinity
    const report = await ctx.records.retain(dataset, {
      archiveBefore: (symbol, source) =>
        start(
          Math.min(need(symbol, source)?.hotDays ?? ctx.retention.imported.hotDays, licence(source.provider)),
        ),
      expireBefore(symbol, source) {
        const days = Math.min(
          need(symbol, source)?.coldDays ?? ctx.retention.imported.coldDays ?? Infinity,
          licence(source.provider),
        )
        return Number.isFinite(days) ? start(days) : null
      },
      group: (symbol) => {
        const layer = layers.get(symbol)
        return layer === null || layer === undefined ? 'no layer' : `layer ${layer}`
      },
      dryRun: options.dryRun,
      signal: options.signal,
    })
    if (report.archivedRows > 0 || report.expiredRows > 0) reports.push(report)
    if (options.dryRun !== true && ctx.options.compactLake)
      await ctx.records.compact(dataset, { signal: options.signal })
  }
  return reports
}

/** What the layer, or the nearest below it with a rule, says about a dataset. */
function needOf(ctx: PipelineContext, dataset: Dataset, layer: Layer | null): DataNeed | undefined {
  const type: DataType | undefined = DATASETS[dataset].dataType
  for (let at = layer ?? 0; at >= 0; at--) {
    const found = needsOf(ctx.retention, at as Layer).find((need) =>
      dataset === 'trades' ? need.dataType === 'bars' && need.interval === 'tick' : need.dataType === type,
    )
    if (found !== undefined) return found
  }
  return undefined
}
