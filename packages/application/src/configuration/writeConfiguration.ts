import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { jsonSchema, schemaLine, template } from '@varve/config'
import { errorMessage, VarveError } from '@varve/core'
import { PURPOSE, SECTIONS } from '../settings/sections.ts'
import { defaultFiles } from '../defaultFiles.ts'

const SCHEMA_FOLDER = '.schema'

export interface WrittenConfig {
  readonly written: readonly string[]
  readonly kept: readonly string[]
}

/**
 * Writes a configuration that changes nothing as it stands: every setting with its meaning, commented out at its
 * default, and JSON Schemas for editors. Existing configuration files are kept as they are.
 *
 * @returns names of the files written and of those left alone
 * @throws `CONFIG_NOT_WRITABLE`
 */
export function writeDefaultConfig(directory: string): WrittenConfig {
  const tables = defaultFiles()
  const files = Object.keys(SECTIONS).map((section): [string, string] => {
    const table = tables[section]
    const text =
      table === undefined
        ? template(section, SECTIONS, { purpose: PURPOSE[section as keyof typeof SECTIONS] })
        : `${schemaLine(`./${SCHEMA_FOLDER}/${section}.json`).join('\n')}\n${table}`
    return [`${section}.yaml`, text]
  })
  const written: string[] = []
  const kept: string[] = []
  for (const [name, text] of files.sort(([a], [b]) => (a < b ? -1 : 1))) {
    if (existsSync(join(directory, name))) kept.push(name)
    else {
      write(directory, name, text)
      written.push(name)
    }
  }
  writeSchemas(directory)
  return { written, kept }
}

/** JSON Schema of every file, by section. */
export function configurationSchemas(): Readonly<Record<string, Readonly<Record<string, unknown>>>> {
  return Object.fromEntries(Object.keys(SECTIONS).map((section) => [section, jsonSchema(section, SECTIONS)]))
}

/**
 * Writes the schemas into `.schema`, where the first line of each file points an editor to them.
 *
 * @throws `CONFIG_NOT_WRITABLE`
 */
export function writeSchemas(directory: string): string[] {
  return Object.entries(configurationSchemas()).map(([section, schema]) => {
    const name = `${SCHEMA_FOLDER}/${section}.json`
    write(directory, name, `${JSON.stringify(schema, undefined, 2)}\n`)
    return name
  })
}

function write(directory: string, name: string, text: string): void {
  const path = join(directory, name)
  try {
    mkdirSync(join(path, '..'), { recursive: true })
    writeFileSync(path, text)
  } catch (cause) {
    throw new VarveError(`cannot write ${path}: ${errorMessage(cause)}`, {
      code: 'CONFIG_NOT_WRITABLE',
      cause,
      details: { path },
    })
  }
}
