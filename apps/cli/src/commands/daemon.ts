import { openApplication, startDaemon } from '@varve/application'
import { VarveError } from '@varve/core'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf } from '../session.ts'
import { providerOf } from './run.ts'

export interface DaemonCommandOptions extends GlobalOptions {
  readonly bars?: readonly string[]
  readonly asOf?: string
  readonly port?: string
}

export async function daemon(options: DaemonCommandOptions): Promise<void> {
  const settings = settingsOf(options)
  const provider = providerOf(options, settings)
  const service = await startDaemon({
    settings: options.port === undefined ? settings.daemon : { ...settings.daemon, port: parsePort(options.port) },
    open: () => openApplication({ settings, dataDir: dataDirOf(options), provider, asOf: options.asOf }),
  })
  const stop = () => void service.stop()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)
  await service.stopped
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new VarveError(`--port takes a number from 0 to 65535, found "${text}"`, { code: 'OPTION_INVALID', details: { found: text } })
}
