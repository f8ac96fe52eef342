import { existsSync } from 'node:fs'
import { loadSettings, serve } from '@varve/application'
import { errorMessage, isVarveError } from '@varve/core'

/**
 * The daemon for containers and service managers: everything by environment, nothing to type.
 * `VARVE_CONFIG` (folder of YAML files), `VARVE_DATA_DIR`, `VARVE_PORT`, and what the configuration refers to.
 */
const { VARVE_CONFIG, VARVE_DATA_DIR = '.varve', VARVE_PORT } = process.env
try {
  const daemon = await serve({
    settings: loadSettings({ directory: VARVE_CONFIG ?? (existsSync('config') ? 'config' : null) }),
    dataDir: VARVE_DATA_DIR,
    port: VARVE_PORT === undefined || VARVE_PORT === '' ? undefined : Number(VARVE_PORT),
  })
  await daemon.stopped
} catch (error) {
  process.stderr.write(
    `varve-daemon: ${isVarveError(error) ? error.code : 'UNEXPECTED'}: ${errorMessage(error)}\n`,
  )
  process.exitCode = 1
}
