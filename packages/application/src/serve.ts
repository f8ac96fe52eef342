import { join } from 'node:path'
import { createEmergency, handleSignals, type ProcessLike, saveCriticalState } from '@varve/runtime'
import {
  type Configuration,
  loadConfiguration,
  type LoadConfigurationOptions,
} from './configuration/loadConfiguration.ts'
import { type Daemon, startDaemon } from './daemon.ts'
import { liveConfiguration } from './liveConfiguration.ts'
import { chooseProvider } from './market.ts'
import { openApplication } from './openApplication.ts'
import { refuseUnsafeStart } from './startup/refuseUnsafeStart.ts'

export interface ServeOptions {
  readonly configuration: LoadConfigurationOptions
  readonly dataDir: string
  /** Files as the source of market data, instead of the configured provider. */
  readonly bars?: readonly string[] | undefined
  /** Stands still at this session instead of moving on with time. */
  readonly asOf?: string | undefined
  /** Told of the configuration once it is loaded: for warnings. */
  readonly onConfiguration?: (configuration: Configuration) => void
  /** @defaultValue `process` */
  readonly target?: ProcessLike
}

/**
 * Loads the configuration, checks everything a start needs, and starts the daemon. SIGTERM and SIGINT stop it in
 * order and a second one at once, SIGHUP and changed files reload the configuration, and what must survive a crash is
 * written before one ends the process.
 *
 * @throws `CONFIG_INVALID`, `STARTUP_REFUSED`, `PROVIDER_NONE`, `PORT_IN_USE`, and what `openApplication` throws
 */
export async function serve(options: ServeOptions): Promise<Daemon> {
  const { dataDir, asOf, target = process } = options
  const { directory } = options.configuration
  const configuration = await loadConfiguration(options.configuration)
  options.onConfiguration?.(configuration)
  const { values: settings } = configuration
  const provider = chooseProvider(settings, options)
  await refuseUnsafeStart({ settings, dataDir, usesProvider: options.bars === undefined })
  const live =
    directory === null ? undefined : liveConfiguration(configuration, { ...options.configuration, directory })
  const daemon = await startDaemon({
    settings,
    configDirectory: directory,
    ...(live === undefined ? {} : { live }),
    open: () =>
      openApplication({
        settings,
        dataDir,
        provider,
        profile: settings.risk.tradingEnabled ? 'trading' : 'scanner',
        ...(asOf === undefined ? {} : { asOf }),
      }),
  })
  await live?.start()
  live?.reloadOn(process)
  const emergency = createEmergency({ emergencyMs: settings.daemon.shutdown.emergencyMs })
  emergency.onEmergency('daemon', ({ reason }) =>
    saveCriticalState(join(dataDir, 'emergency.json'), { reason, ...daemon.state() }),
  )
  const unhandle = handleSignals(target, {
    shutdown: daemon.shutdown,
    emergency,
    sameSignalMs: settings.daemon.shutdown.sameSignalMs,
  })
  void daemon.stopped.then(unhandle)
  return daemon
}
