import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Beside `src` and `dist` alike. */
const FOLDER = fileURLToPath(new URL('../defaults', import.meta.url))

/**
 * Text of each default file, by section: tables that are no defaults of a schema, layers and rate plans. `varve init`
 * writes them as they are.
 */
export function defaultFiles(): Readonly<Record<string, string>> {
  return Object.fromEntries(
    readdirSync(FOLDER)
      .sort()
      .map((name) => [name.replace(/\.yaml$/, ''), readFileSync(join(FOLDER, name), 'utf8')]),
  )
}
