import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Application,
  loadSettings,
  openApplication,
  type OpenApplicationOptions,
  refuseMixing,
  type Settings,
} from '@varve/application'
import { VarveError } from '@varve/core'
import { showProgress } from './output/progress.ts'
import type { GlobalOptions } from './program.ts'

const DEFAULT_CONFIG = 'config'
const DEFAULT_DATA_DIR = '.varve'

export function settingsOf(options: GlobalOptions): Settings {
  return loadSettings({ directory: options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null) })
}

export function dataDirOf(options: GlobalOptions, demo = false): string {
  const base = options.dataDir ?? DEFAULT_DATA_DIR
  return demo ? join(base, 'demo') : base
}

/** Opens the application, lets Ctrl-C end the work in order, shows progress, and closes everything. */
export async function withApplication<T>(
  open: OpenApplicationOptions,
  work: (app: Application, signal: AbortSignal) => Promise<T>,
  options: { readonly brings?: 'real' | 'demo' } = {},
): Promise<T> {
  const abort = new AbortController()
  const interrupt = () => {
    if (abort.signal.aborted) process.exit(130)
    process.stderr.write('stopping; what is committed stays (again to stop at once)\n')
    abort.abort(new VarveError('interrupted', { code: 'INTERRUPTED' }))
  }
  process.on('SIGINT', interrupt)
  process.on('SIGTERM', interrupt)
  const hide = showProgress()
  let app: Application | undefined
  try {
    app = await openApplication(open)
    // Only commands that bring rows in can mix synthetic and real ones.
    const brings = options.brings ?? (open.provider === undefined ? undefined : 'real')
    if (brings !== undefined) await refuseMixing(app, brings === 'demo')
    return await work(app, abort.signal)
  } finally {
    hide()
    await app?.close()
    process.off('SIGINT', interrupt)
    process.off('SIGTERM', interrupt)
  }
}
