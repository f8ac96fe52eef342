import { serve } from '@varve/application'
import { VarveError } from '@varve/core'
import type { GlobalOptions } from '../program.ts'
import { configurationOptionsOf, dataDirOf, showWarnings } from '../session.ts'

export interface DaemonCommandOptions extends GlobalOptions {
  readonly bars?: readonly string[]
  readonly asOf?: string
  readonly port?: string
}

/** @throws `OPTION_INVALID` for a --port that is none */
export async function daemon(options: DaemonCommandOptions): Promise<void> {
  const configuration = configurationOptionsOf(options)
  const service = await serve({
    configuration: {
      ...configuration,
      overrides: {
        ...configuration.overrides,
        ...(options.port === undefined ? {} : { 'daemon.port': parsePort(options.port) }),
      },
    },
    dataDir: dataDirOf(options),
    bars: options.bars,
    asOf: options.asOf,
    onConfiguration: showWarnings,
  })
  await service.stopped
}

function parsePort(text: string): string {
  const port = Number(text)
  if (text.trim() !== '' && Number.isInteger(port) && port >= 0 && port <= 65_535) return text
  throw new VarveError(`--port takes a number from 0 to 65535, found "${text}"`, {
    code: 'OPTION_INVALID',
    details: { found: text },
  })
}
