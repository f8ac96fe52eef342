import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** The folder of real market data, or `undefined` where there is none; its tests are then skipped by name. */
export function testDataDirectory(): string | undefined {
  const named = process.env.VARVE_TEST_DATA
  const folder =
    named === undefined || named === '' ? resolve(import.meta.dirname, '../../../shared/data') : named
  return existsSync(join(folder, 'README.md')) ? folder : undefined
}
