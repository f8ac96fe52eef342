import { readdirSync, type Dirent } from 'node:fs'
import { join } from 'node:path'
import { pathRefused } from './errors.ts'

/** Folder, inside that of the configuration, where versions, the journal and the lock lie. */
export const VERSIONS_FOLDER = '.versions'

const CONFIG_FILE = /^(?:profiles\/[A-Za-z0-9][A-Za-z0-9_.-]*\/)?[A-Za-z0-9][A-Za-z0-9_.-]*\.(?:ya?ml|json)$/

/** Configuration files of a folder, relative with forward slashes, in order. Links are followed, hidden names left out. */
export function configFiles(directory: string): readonly string[] {
  const found = list(directory)
    .filter((entry) => !entry.isDirectory())
    .map((entry) => entry.name)
  for (const profile of list(join(directory, 'profiles')).filter((entry) => entry.isDirectory())) {
    for (const entry of list(join(directory, 'profiles', profile.name))) {
      if (!entry.isDirectory()) found.push(`profiles/${profile.name}/${entry.name}`)
    }
  }
  return found.filter((file) => CONFIG_FILE.test(file)).sort()
}

/**
 * Lets through only names that {@link configFiles} could return, so that no document or journal writes elsewhere.
 *
 * @throws `CONFIG_PATH_REFUSED`
 */
export function checkedConfigFile(file: string): string {
  if (!CONFIG_FILE.test(file) || file.includes('..')) throw pathRefused(file)
  return file
}

function list(directory: string): Dirent[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return []
    throw error
  }
}
