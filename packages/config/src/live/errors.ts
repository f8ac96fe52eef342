import { errorMessage, VarveError } from '@varve/core'

/** `current` was read before the first load. */
export function configNotLoaded(): VarveError {
  return new VarveError(
    'the configuration was read before it was loaded; await start() first, or give the store an initial one',
    { code: 'CONFIG_NOT_LOADED' },
  )
}

export function configClosed(): VarveError {
  return new VarveError('the configuration store was closed; create another', { code: 'CONFIG_CLOSED' })
}

/** `mayReload` or `validate` said no; what is in force stays in force. */
export function reloadRefused(what: string, why: string): VarveError {
  return new VarveError(`${what} refused: ${why}; the configuration in force is kept`, {
    code: 'CONFIG_RELOAD_REFUSED',
    retryable: true,
    details: { why },
  })
}

export function incompatible(what: string, why: string): VarveError {
  return new VarveError(
    `${what} refused: the new values do not fit those in force: ${why}; correct the files or restart`,
    { code: 'CONFIG_INCOMPATIBLE', details: { why } },
  )
}

export function restartRequired(what: string, keys: readonly string[]): VarveError {
  return new VarveError(
    `${what} refused: ${keys.join(', ')} can only change with a restart; restart, or put the old value back`,
    { code: 'CONFIG_RESTART_REQUIRED', details: { keys } },
  )
}

export function filesUnsettled(attempts: number): VarveError {
  return new VarveError(
    `the configuration files changed during each of ${attempts} attempts to read them; try again when the writer is done`,
    { code: 'CONFIG_UNSETTLED', retryable: true, details: { attempts } },
  )
}

export function watcherFailed(prefixes: readonly string[], cause: unknown): VarveError {
  return new VarveError(
    `a watcher of ${prefixes.join(', ') || 'every setting'} failed on a change: ${errorMessage(cause)}; the change is in force`,
    { code: 'CONFIG_WATCHER_FAILED', cause, details: { prefixes } },
  )
}

export function folderLocked(directory: string, holder: string): VarveError {
  return new VarveError(
    `${directory} is being changed by ${holder}; wait for it, or delete .versions/lock if that process is gone`,
    { code: 'CONFIG_LOCKED', retryable: true, details: { directory, holder } },
  )
}

export function versionUnknown(version: number, known: readonly number[]): VarveError {
  return new VarveError(
    `there is no version ${version}; known: ${known.length === 0 ? 'none' : `${known[0]}..${known.at(-1)}`}`,
    { code: 'CONFIG_VERSION_UNKNOWN', details: { version, known } },
  )
}

export function versionDamaged(
  what: string,
  why: string,
  advice = 'nothing was changed, choose another version',
): VarveError {
  return new VarveError(`${what} is damaged: ${why}; ${advice}`, {
    code: 'CONFIG_VERSION_DAMAGED',
    details: { what, why },
  })
}

export function pathRefused(path: string): VarveError {
  return new VarveError(
    `"${path}" is no configuration file; expected NAME.yaml, NAME.yml, NAME.json or profiles/PROFILE/ and one of these`,
    { code: 'CONFIG_PATH_REFUSED', details: { path } },
  )
}

export function changeFailed(directory: string, cause: unknown): VarveError {
  return new VarveError(
    `${directory} could not be changed: ${errorMessage(cause)}; the next start finishes or undoes the change`,
    { code: 'CONFIG_CHANGE_FAILED', cause, details: { directory } },
  )
}

export function secretOnCommandLine(key: string): VarveError {
  return new VarveError(
    `${key} is a secret and is not written from a command line, where history and process lists show it; ` +
      'set it in an environment variable and refer to that as ${NAME} in the file',
    { code: 'CONFIG_SECRET_ON_COMMAND_LINE', details: { key } },
  )
}

export function editFailed(key: string, why: string): VarveError {
  return new VarveError(`${key} cannot be set: ${why}`, {
    code: 'CONFIG_EDIT_FAILED',
    details: { key, why },
  })
}

export function migrationFailed(why: string, details: Readonly<Record<string, unknown>>): VarveError {
  return new VarveError(`the configuration was not migrated and no file was changed:\n${why}`, {
    code: 'CONFIG_MIGRATION_FAILED',
    details,
  })
}

export function changedMeanwhile(directory: string): VarveError {
  return new VarveError(
    `the files of ${directory} changed while this change was being checked; nothing was written, do it again`,
    { code: 'CONFIG_CHANGED_MEANWHILE', retryable: true, details: { directory } },
  )
}
