import type { CrossCheck, DeprecatedPath, RiskRule } from '@varve/config'
import { universeSchema } from '@varve/layers'
import { universeOf } from './derive.ts'
import type { Settings } from './sections.ts'

/** What must hold between files. */
export const CROSS_CHECKS: readonly CrossCheck<Settings>[] = [
  (settings, report) => {
    const plan = settings.providers.polygon?.plan
    const { profiles } = settings['rate-limits']
    if (plan !== undefined && profiles[plan] === undefined) {
      report(
        'providers.polygon.plan',
        `no profile "${plan}" in rate-limits.yaml; known: ${Object.keys(profiles).join(', ')}`,
      )
    }
  },
  (settings, report) => {
    const checked = universeSchema.safeParse(universeOf(settings))
    for (const { path, message } of checked.error?.issues ?? []) {
      const [first, ...rest] = path.map(String)
      const key = first === 'layers' ? ['layers.definitions', ...rest] : ['scanner', first, ...rest]
      report(key.join('.'), message)
    }
  },
  (settings, report) => {
    const { requestTimeoutMs, deadlineMs } = settings.network
    if (requestTimeoutMs > deadlineMs) {
      report(
        'network.requestTimeoutMs',
        `one request may take ${requestTimeoutMs} ms, but a whole range only ${deadlineMs} (network.deadlineMs); make the first the smaller one`,
      )
    }
  },
  (settings, report) => {
    const { lakePrefix } = settings.storage.lake
    const { backupPrefix } = settings.backup
    for (const [key, prefix] of [
      ['storage.lake.lakePrefix', lakePrefix],
      ['backup.backupPrefix', backupPrefix],
    ] as const) {
      if (prefix !== undefined && settings.connections.s3 === undefined)
        report(key, 'there is no bucket; describe one in connections.yaml under s3, or leave the prefix out')
    }
    if (lakePrefix !== undefined && lakePrefix === backupPrefix)
      report('backup.backupPrefix', 'backups would lie among the files of the lake; use another prefix')
  },
  (settings, report) => {
    const { enabled, encryptionKey, jobs } = settings.backup
    const job = jobs.find((entry) => entry.enabled && entry.encryption)
    if (enabled && encryptionKey === undefined && job !== undefined) {
      report(
        'backup.encryptionKey',
        `the job "${job.id}" encrypts and there is no key; set one, or encryption: false for the job`,
      )
    }
  },
  (settings, report) => {
    const { lockStaleMs, heartbeatMs } = settings.connections.embedded
    if (lockStaleMs <= heartbeatMs) {
      report(
        'connections.embedded.lockStaleMs',
        `an owner would be given up after ${lockStaleMs} ms, before its next heartbeat (heartbeatMs ${heartbeatMs}); use at least three times as long`,
      )
    }
  },
]

const above = (limit: number) => (value: unknown) => typeof value === 'number' && value > limit

/** Legal, and worth a second thought. */
export const RISKS: readonly RiskRule[] = [
  {
    key: 'risk.positionPercent',
    when: above(10),
    message: 'more than 10 % of equity in one position: one bad fill can cost a month',
  },
  {
    key: 'risk.dailyLossPercent',
    when: above(5),
    message: 'more than 5 % may be lost in a day before trading stops',
  },
  {
    key: 'network.concurrency',
    when: above(25),
    message: 'more than 25 requests at once: providers tend to answer with 429 long before',
  },
  {
    key: 'features.autoTriggerBackfill',
    when: (value) => value === false,
    message: 'promotions and gaps fetch nothing by themselves; only varve backfill does',
  },
]

const GUIDE = 'docs/how-to/migrate-configuration.md'

/** Paths of older files. They still resolve, each with one warning; `varve config migrate` rewrites the files. */
export const DEPRECATED: readonly DeprecatedPath[] = [
  { from: 'database.url', to: 'connections.databaseUrl', guide: GUIDE },
  { from: 'database.pool_size', to: 'connections.postgres.maxConnections', guide: GUIDE },
  { from: 'storage.databaseUrl', to: 'connections.databaseUrl', guide: GUIDE },
  { from: 'storage.maxConnections', to: 'connections.postgres.maxConnections', guide: GUIDE },
  { from: 'storage.statementTimeoutMs', to: 'connections.postgres.statementTimeoutMs', guide: GUIDE },
  { from: 'storage.lakeDirectory', to: 'storage.lake.directory', guide: GUIDE },
  { from: 'storage.sweepGraceMs', to: 'storage.lake.sweepGraceMs', guide: GUIDE },
  { from: 'api.polygon.key', to: 'providers.polygon.apiKey', guide: GUIDE },
  { from: 'pipeline.exchange', to: 'scanner.exchange', guide: GUIDE },
  { from: 'pipeline.fetchConcurrency', to: 'network.concurrency', guide: GUIDE },
  { from: 'pipeline.jobBatchSize', to: 'events.jobs.batchSize', guide: GUIDE },
  { from: 'pipeline.jobConcurrency', to: 'events.jobs.concurrency', guide: GUIDE },
  { from: 'pipeline.jobRetryLimit', to: 'events.jobs.retryLimit', guide: GUIDE },
  { from: 'pipeline.jobRetryDelayMs', to: 'events.jobs.retryDelayMs', guide: GUIDE },
  { from: 'pipeline.importChunkRows', to: 'backfill.importChunkRows', guide: GUIDE },
  { from: 'pipeline.gapAttempts', to: 'backfill.gapAttempts', guide: GUIDE },
  { from: 'pipeline.jumpRatio', to: 'quality.jumpRatio', guide: GUIDE },
  { from: 'pipeline.spikeReturnRatio', to: 'quality.spikeReturnRatio', guide: GUIDE },
  { from: 'pipeline.missingListingShare', to: 'scanner.missingListingShare', guide: GUIDE },
  { from: 'layers.metrics', to: 'scanner.metrics', guide: GUIDE },
  { from: 'layers.maximumStep', to: 'scanner.maximumStep', guide: GUIDE },
  { from: 'layers.holdAboveShare', to: 'scanner.holdAboveShare', guide: GUIDE },
  { from: 'daemon.logLevel', to: 'monitoring.logLevel', guide: GUIDE },
]
