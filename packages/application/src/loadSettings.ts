import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { loadConfig } from '@varve/config'
import { VarveError } from '@varve/core'
import { z } from 'zod'
import { ALLOWED_VARIABLES, SECTIONS, type Settings } from './settings.ts'

/** The files `varve init` writes; they also are the built-in defaults. */
const DEFAULTS = fileURLToPath(new URL('../defaults', import.meta.url))

export interface LoadSettingsOptions {
  /** Folder of YAML files; `null` takes the built-in defaults. */
  readonly directory: string | null
  readonly env?: Readonly<Record<string, string | undefined>>
}

/** @throws `CONFIG_INVALID` with every problem found, cross-file ones included */
export function loadSettings({ directory, env = process.env }: LoadSettingsOptions): Settings {
  const { values } = loadConfig({
    directory,
    sections: SECTIONS,
    defaults: builtInDefaults(),
    env,
    allowedVariables: ALLOWED_VARIABLES,
  })
  const settings = values as Settings
  const plan = settings.providers.polygon?.plan
  if (plan !== undefined && settings['rate-limits'].profiles[plan] === undefined) {
    throw new VarveError(
      `providers.yaml:1:1 CONFIG_INVALID_VALUE polygon.plan: no profile "${plan}" in rate-limits.yaml; known: ${Object.keys(settings['rate-limits'].profiles).join(', ')}`,
      { code: 'CONFIG_INVALID', details: { plan } },
    )
  }
  return settings
}

function builtInDefaults(): Record<string, unknown> {
  const anything = Object.fromEntries(Object.keys(SECTIONS).map((name) => [name, z.unknown()]))
  return loadConfig({ directory: DEFAULTS, sections: anything, env: {} }).values
}

/**
 * Writes the default configuration. Existing files are kept as they are.
 *
 * @returns names of the files written and of those left alone
 */
export function writeDefaultConfig(directory: string): { written: string[]; kept: string[] } {
  try {
    mkdirSync(directory, { recursive: true })
  } catch (cause) {
    throw new VarveError(
      `cannot create ${directory}: ${cause instanceof Error ? cause.message : String(cause)}`,
      {
        code: 'CONFIG_NOT_WRITABLE',
        cause,
      },
    )
  }
  const written: string[] = []
  const kept: string[] = []
  for (const name of readdirSync(DEFAULTS).sort()) {
    const target = join(directory, name)
    if (existsSync(target)) {
      kept.push(name)
      continue
    }
    try {
      writeFileSync(target, readFileSync(join(DEFAULTS, name)), { flag: 'wx' })
    } catch (cause) {
      throw new VarveError(
        `cannot write ${target}: ${cause instanceof Error ? cause.message : String(cause)}`,
        {
          code: 'CONFIG_NOT_WRITABLE',
          cause,
        },
      )
    }
    written.push(name)
  }
  return { written, kept }
}
