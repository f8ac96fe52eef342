import { channel } from 'node:diagnostics_channel'

/**
 * Names of the `node:diagnostics_channel` channels Varve publishes on. Messages are plain objects; nothing is
 * built when nobody listens.
 */
export const channelNames = {
  /** `{ provider, endpoint, outcome, status?, durationMs }` one request to a provider */
  providerRequest: 'varve:provider.request',
  /** `{ key, waitedMs, denied }` one permit of a rate limiter */
  quota: 'varve:quota',
  /** `{ name, from, to }` a circuit breaker changed state */
  breaker: 'varve:breaker',
  /** `{ name, attempt, delayMs, code }` a call will be retried */
  retry: 'varve:retry',
  /** `{ interval, inserted, updated, unchanged, durationMs }` one load into the hot store */
  load: 'varve:load',
  /** `{ rule, severity, count }` rows stopped or marked by validation */
  quarantine: 'varve:quarantine',
  /** `{ type, count }` events appended */
  events: 'varve:events',
  /** `{ queue, completed, failed, retried, durationMs }` a batch of jobs ended */
  jobs: 'varve:jobs',
  /** `{ layers, changed, durationMs }` an evaluation of the universe */
  scan: 'varve:scan',
  /** `{ detected, healed, confirmedEmpty, open }` a gap pass */
  gaps: 'varve:gaps',
  /** `{ interval, archivedRows, restoredRows, deletedRows, files, bytes, table, partitionsAhead }` a retention pass */
  retention: 'varve:retention',
  /** `{ stage, done, total, unit, note? }` progress of a long step */
  progress: 'varve:progress',
  /** `{ key, severity, message }` something a person should know of; `key` says what is the same thing */
  alert: 'varve:alert',
  /** `{ level, component, message, ...fields }` something worth a log line */
  log: 'varve:log',
} as const
export type ChannelName = keyof typeof channelNames

/** Publishes `message()` when somebody listens; otherwise does not even build it. */
export function publish(name: ChannelName, message: () => Record<string, unknown>): void {
  const target = channel(channelNames[name])
  if (target.hasSubscribers) target.publish(message())
}
