import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { configFiles } from './files.ts'

/**
 * A text that changes when the name or the content of any configuration file in a folder does, profiles included.
 * Times and sizes are not looked at: a file written twice within one tick of the disk's clock is noticed too.
 *
 * @returns SHA-256 as hexadecimal
 */
export async function directoryFingerprint(directory: string): Promise<string> {
  const hash = createHash('sha256')
  for (const file of configFiles(directory)) {
    const content = await readFile(join(directory, file)).catch((error: unknown) => {
      // A file that cannot be read is a state of its own: the loader says what is wrong with it.
      return Buffer.from(`unreadable ${(error as NodeJS.ErrnoException).code ?? ''}`)
    })
    hash.update(`${file}\0${content.length}\0`).update(content)
  }
  return hash.digest('hex')
}
