import { type ConfigStore, createConfigStore, directoryFingerprint } from '@varve/config'
import { type Clock, publish, sha256Hex } from '@varve/core'
import {
  type Configuration,
  loadConfiguration,
  type LoadConfigurationOptions,
} from './configuration/loadConfiguration.ts'

/** Digits of the hash that tells one fault of the files from another. */
const KEY_DIGITS = 12

/** Settings that objects were built from at start; a change of one needs a restart, and refuses the whole reload. */
export const RESTART_ONLY: readonly string[] = [
  'connections',
  'scanner.exchange',
  'risk.tradingEnabled',
  'storage',
  'providers',
  'rate-limits',
  'network',
  'events.jobs',
  'contexts',
  'startup',
  'security',
  'cache',
  'alerting',
  'monitoring.metrics',
  'daemon.host',
  'daemon.port',
  'daemon.shutdown',
  'daemon.lock',
  'daemon.tasks',
  'daemon.reload',
]

/**
 * The configuration of a running daemon: files are looked at every so often and on SIGHUP, a valid change is taken up
 * as a whole, anything else leaves the old values and raises one alert. Refused while trading is active.
 */
export function liveConfiguration(
  initial: Configuration,
  options: LoadConfigurationOptions & { readonly directory: string; readonly clock?: Clock },
): ConfigStore<Configuration> {
  const { directory, clock, ...loading } = options
  const { pollMs, settleMs, loadAttempts } = initial.values.daemon.reload
  const store: ConfigStore<Configuration> = createConfigStore<Configuration>({
    pollMs,
    settleMs,
    loadAttempts,
    initial,
    ...(clock === undefined ? {} : { clock }),
    load: (overrides) =>
      loadConfiguration({
        ...loading,
        directory,
        overrides: { ...loading.overrides, ...overrides },
      }),
    fingerprint: () => directoryFingerprint(directory),
    mayReload: () =>
      store.current.risk.tradingEnabled ? 'trading is active (risk.tradingEnabled)' : undefined,
    restartOnly: RESTART_ONLY,
    onProblem: ({ code, message, reason }) =>
      publish('alert', () => ({
        key: `configuration ${sha256Hex(message).slice(0, KEY_DIGITS)}`,
        severity: 'warning',
        message: `the configuration was not reloaded (${reason}), the old one stays in force: ${code} ${message}`,
      })),
    onRecovered: () =>
      publish('log', () => ({
        level: 'info',
        component: 'config',
        message: 'the configuration is valid again and was taken up',
      })),
  })
  return store
}
