import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { channelNames, type ChannelName } from '@varve/core'
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** Prometheus text exposition format, version 0.0.4. */
  expose(): Promise<string>
  readonly contentType: string
  /** Stops listening. Closing twice is fine. */
  close(): void
}

const SECONDS = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Prometheus metrics fed by what Varve's libraries publish on diagnostics channels; prefix `varve_`. */
export function createMetrics(): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry, prefix: 'varve_' })
  const counter = (name: string, help: string, labelNames: string[] = []) =>
    new Counter({ name: `varve_${name}`, help, labelNames, registers: [registry] })
  const gauge = (name: string, help: string, labelNames: string[] = []) =>
    new Gauge({ name: `varve_${name}`, help, labelNames, registers: [registry] })
  const histogram = (name: string, help: string, labelNames: string[]) =>
    new Histogram({ name: `varve_${name}`, help, labelNames, buckets: SECONDS, registers: [registry] })

  const requests = counter('provider_requests_total', 'Requests sent to providers', [
    'provider',
    'endpoint',
    'outcome',
  ])
  const requestSeconds = histogram('provider_request_duration_seconds', 'Length of provider requests', [
    'provider',
  ])
  const quotaWaits = histogram('quota_wait_seconds', 'Waiting for a permit of a rate limiter', ['key'])
  const breaker = counter('breaker_transitions_total', 'Changes of state of circuit breakers', ['name', 'to'])
  const retries = counter('retries_total', 'Calls tried again', ['name', 'code'])
  const rows = counter('bars_loaded_total', 'Bars loaded into the store', ['interval', 'result'])
  const loadSeconds = histogram('load_duration_seconds', 'Length of loads into the store', ['interval'])
  const quarantined = counter('rows_quarantined_total', 'Rows stopped or marked by validation', [
    'rule',
    'severity',
  ])
  const events = counter('events_appended_total', 'Events appended to the event store', ['type'])
  const jobs = counter('jobs_total', 'Jobs ended', ['queue', 'result'])
  const layerSymbols = gauge('layer_symbols', 'Symbols in this layer or higher', ['layer'])
  const layerChanges = counter('layer_changes_total', 'Symbols whose layer changed')
  const gaps = gauge('gaps', 'Gaps of the last pass by state', ['state'])
  const alerts = counter('alerts_total', 'Alerts raised', ['severity'])
  const archived = counter('rows_archived_total', 'Rows moved to the lake', ['interval'])
  const ahead = gauge('partitions_ahead', 'Partitions ready for the time after now', ['table'])

  const handlers: Partial<Record<ChannelName, (message: Record<string, unknown>) => void>> = {
    providerRequest(message) {
      requests.inc({
        provider: text(message.provider),
        endpoint: text(message.endpoint),
        outcome: text(message.outcome),
      })
      requestSeconds.observe({ provider: text(message.provider) }, number(message.durationMs) / 1000)
    },
    alert: (message) => alerts.inc({ severity: text(message.severity) }),
    quota: (message) => quotaWaits.observe({ key: text(message.key) }, number(message.waitedMs) / 1000),
    breaker: (message) => breaker.inc({ name: text(message.name), to: text(message.to) }),
    retry: (message) => retries.inc({ name: text(message.name), code: text(message.code) }),
    load(message) {
      const interval = text(message.interval)
      for (const result of ['inserted', 'updated', 'unchanged'])
        rows.inc({ interval, result }, number(message[result]))
      loadSeconds.observe({ interval }, number(message.durationMs) / 1000)
    },
    quarantine: (message) =>
      quarantined.inc({ rule: text(message.rule), severity: text(message.severity) }, number(message.count)),
    events: (message) => events.inc({ type: text(message.type) }, number(message.count)),
    jobs(message) {
      for (const result of ['completed', 'failed', 'retried'])
        jobs.inc({ queue: text(message.queue), result }, number(message[result]))
    },
    scan(message) {
      for (const [layer, count] of Object.entries((message.layers ?? {}) as Record<string, unknown>)) {
        layerSymbols.set({ layer }, number(count))
      }
      layerChanges.inc(number(message.changed))
    },
    gaps(message) {
      for (const state of ['detected', 'healed', 'confirmedEmpty', 'open'])
        gaps.set({ state }, number(message[state]))
    },
    retention(message) {
      archived.inc({ interval: text(message.interval) }, number(message.archivedRows))
      ahead.set({ table: text(message.table) }, number(message.partitionsAhead))
    },
  }
  const subscriptions = Object.entries(handlers).map(([name, handle]) => {
    const listener = (message: unknown) => handle(message as Record<string, unknown>)
    const channel = channelNames[name as ChannelName]
    subscribe(channel, listener)
    return () => unsubscribe(channel, listener)
  })
  return {
    contentType: registry.contentType,
    expose: () => registry.metrics(),
    close() {
      for (const stop of subscriptions.splice(0)) stop()
    },
  }
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : 'unknown'
}

function number(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0
}
