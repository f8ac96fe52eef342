import { existsSync } from 'node:fs'
import { serve } from '@varve/application'
import { errorMessage, isVarveError } from '@varve/core'

/**
 * The daemon for containers and service managers: everything by environment, nothing to type.
 * `VARVE_CONFIG` (folder of YAML files), `VARVE_DATA_DIR`, `VARVE_ENV`, `VARVE_PORT`, `VARVE_SECTION__KEY` for any
 * setting, and what the configuration refers to.
 */
const { VARVE_CONFIG, VARVE_DATA_DIR = '.varve', VARVE_PORT = '' } = process.env
try {
  const daemon = await serve({
    configuration: {
      directory: VARVE_CONFIG ?? (existsSync('config') ? 'config' : null),
      overrides: VARVE_PORT === '' ? {} : { 'daemon.port': VARVE_PORT },
    },
    dataDir: VARVE_DATA_DIR,
    onConfiguration: ({ warnings }) => {
      for (const { code, key, message } of warnings)
        process.stderr.write(`warning: ${key} ${code} ${message}\n`)
    },
  })
  await daemon.stopped
} catch (error) {
  process.stderr.write(
    `varve-daemon: ${isVarveError(error) ? error.code : 'UNEXPECTED'}: ${errorMessage(error)}\n`,
  )
  process.exitCode = 1
}
