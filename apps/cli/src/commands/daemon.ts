import { serve } from '@varve/application'
import { VarveError } from '@varve/core'
import type { GlobalOptions } from '../program.ts'
import { dataDirOf, settingsOf } from '../session.ts'

export interface DaemonCommandOptions extends GlobalOptions {
  readonly bars?: readonly string[]
  readonly asOf?: string
  readonly port?: string
}

export async function daemon(options: DaemonCommandOptions): Promise<void> {
  const service = await serve({
    settings: settingsOf(options),
    dataDir: dataDirOf(options),
    bars: options.bars,
    asOf: options.asOf,
    port: options.port === undefined ? undefined : parsePort(options.port),
  })
  await service.stopped
}

function parsePort(text: string): number {
  const port = Number(text)
  if (Number.isInteger(port) && port >= 0 && port <= 65_535) return port
  throw new VarveError(`--port takes a number from 0 to 65535, found "${text}"`, {
    code: 'OPTION_INVALID',
    details: { found: text },
  })
}
