import { VarveError } from '@varve/core'
import type { Universe } from '@varve/layers'
import type { PipelineOptions, Retention } from '@varve/pipeline'
import type { BarStoreSettings } from '@varve/storage'
import type { Settings } from './sections.ts'

/** The rules of the universe, put together from `layers.yaml` and `scanner.yaml`. */
export function universeOf(settings: Pick<Settings, 'layers' | 'scanner'>): Universe {
  const { metrics, maximumStep, holdAboveShare } = settings.scanner
  const layers = settings.layers.definitions.map(({ data: _data, ...definition }) => definition)
  return { metrics, maximumStep, holdAboveShare, layers }
}

/** How long everything is kept, put together from `layers.yaml` and `retention.yaml`. */
export function retentionOf(settings: Pick<Settings, 'layers' | 'retention'>): Retention {
  return { ...settings.retention, layers: settings.layers.definitions.map(({ data }) => data) }
}

/** What the pipeline works by. */
export function pipelineOptionsOf(settings: Settings): PipelineOptions {
  const { scanner, backfill, quality, events, network, features } = settings
  const { batchSize, concurrency, retryLimit, retryDelayMs } = events.jobs
  const { autoTriggerBackfill, healGaps, compactLake } = features
  return {
    ...backfill,
    ...quality,
    exchange: scanner.exchange,
    missingListingShare: scanner.missingListingShare,
    fallbackSymbols: features.useFallbackSymbols ? scanner.fallbackSymbols : [],
    listenerBatchSize: events.listenerBatchSize,
    eventsPerRead: events.eventsPerRead,
    jobBatchSize: batchSize,
    jobConcurrency: concurrency,
    jobRetryLimit: retryLimit,
    jobRetryDelayMs: retryDelayMs,
    fetchConcurrency: network.concurrency,
    autoTriggerBackfill,
    healGaps,
    compactLake,
  }
}

/** How bars are kept, hot and cold. */
export function barStoreOptionsOf({ storage }: Pick<Settings, 'storage'>): BarStoreSettings {
  const {
    directory: _directory,
    sweepGraceMs: _sweepGraceMs,
    engine: _engine,
    duckdb: _duckdb,
    lakePrefix: _lakePrefix,
    encryptionKey: _encryptionKey,
    ...lake
  } = storage.lake
  return { ...storage.hot, ...lake }
}

/** Everything that defines one layer. @throws `LAYER_UNKNOWN` */
export function layerSettingsOf(
  settings: Pick<Settings, 'layers'>,
  layer: number,
): Settings['layers']['definitions'][number] {
  const found = settings.layers.definitions.find((definition) => definition.layer === layer)
  if (found !== undefined) return found
  throw new VarveError(`there is no layer ${layer}; use 0, 1, 2 or 3`, {
    code: 'LAYER_UNKNOWN',
    details: { found: layer },
  })
}

/** Windows of a rate plan. @throws `RATE_PLAN_UNKNOWN` naming those there are */
export function rateLimitOf(
  settings: Pick<Settings, 'rate-limits'>,
  plan: string,
): Settings['rate-limits']['profiles'][string] {
  const { profiles } = settings['rate-limits']
  const found = profiles[plan]
  if (found !== undefined) return found
  throw new VarveError(
    `no profile "${plan}" in rate-limits.yaml; known: ${Object.keys(profiles).join(', ')}`,
    { code: 'RATE_PLAN_UNKNOWN', details: { plan } },
  )
}
