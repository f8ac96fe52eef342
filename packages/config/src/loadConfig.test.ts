import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { type ConfigError } from './ConfigError.ts'
import { loadConfig } from './loadConfig.ts'

const sections = {
  storage: z.strictObject({
    engine: z.enum(['embedded', 'postgres']).default('embedded'),
    hot: z.strictObject({ batchRows: z.int().min(100).default(1000) }).prefault({}),
  }),
  providers: z.strictObject({
    polygon: z.strictObject({ apiKey: z.string().min(8), hosts: z.array(z.string()).default([]) }).optional(),
  }),
}

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-config-'))
})
afterEach(() => {
  rmSync(directory, { recursive: true, force: true })
})

function write(name: string, text: string): void {
  writeFileSync(join(directory, name), text)
}

function problemsOf(env: Record<string, string> = {}): ConfigError['problems'] {
  try {
    loadConfig({ directory, sections, env, allowedVariables: ['POLYGON_API_KEY'] })
  } catch (error) {
    return (error as ConfigError).problems
  }
  return []
}

describe('loadConfig', () => {
  it('takes every default without a directory', () => {
    expect(loadConfig({ directory: null, sections }).values.storage).toEqual({
      engine: 'embedded',
      hot: { batchRows: 1000 },
    })
  })

  it('reads files and substitutes allowed variables', () => {
    write('providers.yaml', 'polygon:\n  apiKey: ${POLYGON_API_KEY}\n')
    const { values } = loadConfig({
      directory,
      sections,
      env: { POLYGON_API_KEY: 'abcdefgh1' },
      allowedVariables: ['POLYGON_API_KEY'],
    })
    expect(values.providers.polygon?.apiKey).toBe('abcdefgh1')
  })

  it('names line, column and the nearest key of an unknown key', () => {
    write('storage.yaml', 'engine: embedded\nhot:\n  batchRow: 500\n')
    expect(problemsOf()).toEqual([
      {
        file: 'storage.yaml',
        line: 3,
        column: 3,
        code: 'CONFIG_UNKNOWN_KEY',
        path: 'hot.batchRow',
        message: 'unknown key "batchRow"; did you mean "batchRows"?',
      },
    ])
  })

  it('reports all problems of all files at once', () => {
    write('storage.yaml', 'engine: oracle\nhot:\n  batchRows: 1\n')
    write('providers.yaml', 'polygon:\n  apiKey: ${POLYGON_API_KEY}\n')
    expect(problemsOf().map((item) => [item.file, item.line, item.column, item.code])).toEqual([
      ['providers.yaml', 2, 11, 'CONFIG_VARIABLE_MISSING'],
      ['storage.yaml', 1, 9, 'CONFIG_INVALID_VALUE'],
      ['storage.yaml', 3, 14, 'CONFIG_INVALID_VALUE'],
    ])
  })

  it.each([
    ['POLYGON_API_KEY', '   ', 'CONFIG_VARIABLE_MISSING', 'is blank'],
    ['HOME', '/root', 'CONFIG_VARIABLE_FORBIDDEN', 'may not be used'],
  ])('refuses ${%s} = "%s" as %s', (name, value, code, text) => {
    write('providers.yaml', `polygon:\n  apiKey: \${${name}}\n`)
    const [problem] = problemsOf({ [name]: value })
    expect(problem?.code).toBe(code)
    expect(problem?.message).toContain(text)
  })

  it('tells a missing key, a duplicate key, bad syntax and an unknown file apart', () => {
    write('providers.yaml', 'polygon:\n  hosts: []\n')
    write('storage.yaml', 'engine: embedded\nengine: postgres\n')
    write('retentoin.yaml', 'a: 1\n')
    expect(problemsOf().map((item) => [item.file, item.line, item.code])).toEqual([
      ['providers.yaml', 1, 'CONFIG_MISSING_KEY'],
      ['retentoin.yaml', 1, 'CONFIG_UNKNOWN_FILE'],
      ['storage.yaml', 2, 'CONFIG_DUPLICATE_KEY'],
    ])
    write('storage.yaml', 'engine: [embedded\n')
    expect(problemsOf().at(-1)?.code).toBe('CONFIG_SYNTAX')
  })

  it('says when the directory does not exist', () => {
    expect(() => loadConfig({ directory: join(directory, 'nowhere'), sections })).toThrow('CONFIG_NOT_FOUND')
  })
})
