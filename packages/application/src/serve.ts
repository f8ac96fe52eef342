import { type Daemon, startDaemon } from './daemon.ts'
import { chooseProvider } from './market.ts'
import { openApplication } from './openApplication.ts'
import type { Settings } from './settings.ts'

export interface ServeOptions {
  readonly settings: Settings
  readonly dataDir: string
  /** Files as the source of market data, instead of the configured provider. */
  readonly bars?: readonly string[]
  /** Stands still at this session instead of moving on with time. */
  readonly asOf?: string
  /** Port to listen on; otherwise that of daemon.yaml. */
  readonly port?: number
}

/**
 * Starts the daemon and lets SIGTERM and SIGINT stop it in order; the first signal counts.
 *
 * @throws `PROVIDER_NONE`, `PORT_IN_USE`, and what `openApplication` throws
 */
export async function serve(options: ServeOptions): Promise<Daemon> {
  const { settings, dataDir, asOf, port } = options
  const provider = chooseProvider(settings, options)
  const daemon = await startDaemon({
    settings: port === undefined ? settings.daemon : { ...settings.daemon, port },
    open: () => openApplication({ settings, dataDir, provider, asOf }),
  })
  const stop = () => void daemon.stop()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  return daemon
}
