import { accessSync, constants, existsSync } from 'node:fs'
import { dirname } from 'node:path'
import { errorMessage } from '@varve/core'
import { pathCheck, type StartupCheck } from '@varve/runtime'

/**
 * A folder can be written, or can be made: a start that is refused for another reason leaves nothing behind.
 */
export function folderCheck(name: string, path: string): StartupCheck {
  if (existsSync(path)) return pathCheck({ path, name })
  return {
    name,
    run() {
      const parent = existingParent(path)
      try {
        accessSync(parent, constants.W_OK | constants.X_OK)
        return { status: 'ok', message: `will be created in ${parent}` }
      } catch (error) {
        return {
          status: 'failed',
          message: `cannot create ${path}: ${errorMessage(error)}`,
          remedy: 'give this user the right to write there, or name another folder with --data-dir',
        }
      }
    },
  }
}

/** The nearest folder above a path that exists. */
export function existingParent(path: string): string {
  return existsSync(path) || dirname(path) === path ? path : existingParent(dirname(path))
}
