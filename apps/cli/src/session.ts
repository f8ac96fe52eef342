import { existsSync } from 'node:fs'
import { join } from 'node:path'
import {
  type Application,
  type Configuration,
  loadConfiguration,
  type LoadConfigurationOptions,
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

/** The folder of configuration files: the one named, `./config` where there is one, or none. */
export function configDirectoryOf(options: GlobalOptions): string | null {
  return options.config ?? (existsSync(DEFAULT_CONFIG) ? DEFAULT_CONFIG : null)
}

/** What loads the configuration a command was asked to use. */
export function configurationOptionsOf(options: GlobalOptions): LoadConfigurationOptions {
  return {
    directory: configDirectoryOf(options),
    overrides: parseOverrides(options.set ?? []),
    environment: options.environment,
  }
}

/** The configuration with where everything came from; warnings go to standard error, one line each. */
export async function configurationOf(options: GlobalOptions): Promise<Configuration> {
  const configuration = await loadConfiguration(configurationOptionsOf(options))
  showWarnings(configuration)
  return configuration
}

/** Warnings of a configuration on standard error. */
export function showWarnings({ warnings }: Configuration): void {
  for (const { file, line, column, code, key, message } of warnings) {
    const place = file === undefined ? key : `${file}:${line ?? 1}:${column ?? 1}`
    process.stderr.write(`warning: ${place} ${code} ${message}\n`)
  }
}

export async function settingsOf(options: GlobalOptions): Promise<Settings> {
  return (await configurationOf(options)).values
}

/** `--set storage.hot.batchSize=2000 --set …` as key and text. */
function parseOverrides(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    pairs.map((pair) => {
      const at = pair.indexOf('=')
      if (at > 0) return [pair.slice(0, at).trim(), pair.slice(at + 1)]
      throw new VarveError(`--set takes KEY=VALUE, found "${pair}"; such as storage.hot.batchSize=2000`, {
        code: 'OPTION_INVALID',
        details: { found: pair },
      })
    }),
  )
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
