import {
  type ConfigHistory,
  configHistory,
  type ConfigVersion,
  editSetting,
  LEGACY_VOCABULARY,
  migrateConfig,
  type MigrationReport,
  stepsFromDeprecated,
} from '@varve/config'
import { DEPRECATED } from '../settings/rules.ts'
import { loadConfiguration, type LoadConfigurationOptions } from './loadConfiguration.ts'

/** Where a change is made; the rest says how the result is checked. */
export interface ChangeConfigurationOptions extends LoadConfigurationOptions {
  readonly directory: string
}

/** The versions of a configuration folder. */
export function configurationHistory(directory: string): ConfigHistory {
  return configHistory({ directory })
}

const loaderOf =
  ({ overrides: _overrides, ...options }: ChangeConfigurationOptions) =>
  (directory: string) =>
    loadConfiguration({ ...options, directory })

/**
 * Sets one value in its file, keeping comments, after a backup, if the whole configuration stays valid.
 *
 * @throws `CONFIG_INVALID`, `CONFIG_KEY_UNKNOWN`, `CONFIG_SECRET_ON_COMMAND_LINE`, `CONFIG_EDIT_FAILED`
 */
export async function changeSetting(
  options: ChangeConfigurationOptions & { readonly key: string; readonly value: string },
): ReturnType<typeof editSetting> {
  const { directory, key, value } = options
  return editSetting({
    directory,
    key,
    value,
    load: loaderOf(options),
    history: configurationHistory(directory),
  })
}

/** Saved states, oldest first. */
export async function configurationVersions(directory: string): Promise<readonly ConfigVersion[]> {
  return configurationHistory(directory).list()
}

/**
 * Puts a saved state back, after saving the present one. @returns the version the present state was saved as
 *
 * @throws `CONFIG_VERSION_UNKNOWN`, `CONFIG_VERSION_DAMAGED`
 */
export async function rollBackConfiguration(directory: string, version: number): Promise<ConfigVersion> {
  return configurationHistory(directory).restore(version)
}

/** Writes all files with their metadata into one document, readable by its owner only. */
export async function exportConfiguration(directory: string, file: string): Promise<void> {
  await configurationHistory(directory).export(file)
}

/**
 * Rewrites the files of an older configuration; nothing is written unless the result is valid and everything found a
 * place.
 *
 * @throws `CONFIG_MIGRATION_FAILED`
 */
export async function migrateConfiguration(
  options: ChangeConfigurationOptions & { readonly dryRun: boolean },
): Promise<MigrationReport> {
  const { directory, dryRun } = options
  return migrateConfig({
    directory,
    steps: [...LEGACY_VOCABULARY, ...stepsFromDeprecated(DEPRECATED)],
    load: loaderOf(options),
    history: configurationHistory(directory),
    dryRun,
  })
}
