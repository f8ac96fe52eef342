import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { z } from 'zod'
import { ConfigError, type ConfigProblem } from '../src/ConfigError.ts'
import { loadConfig } from '../src/loadConfig.ts'
import { secret } from '../src/secret.ts'
import type { LoadConfigOptions, VariableRule } from '../src/types.ts'

/** Name to content; a buffer for what is no text. */
export type Files = Readonly<Record<string, string | Uint8Array>>

/** A folder that goes when the scope does. */
export function folderOf(files: Files = {}) {
  const path = mkdtempSync(join(tmpdir(), 'varve-config-'))
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(path, name)), { recursive: true })
    writeFileSync(join(path, name), content)
  }
  return { path, [Symbol.dispose]: () => rmSync(path, { recursive: true, force: true }) }
}

/** Sections with one setting of every sort. */
export const sections = {
  storage: z
    .strictObject({
      name: z.string().min(1).default('varve').describe('Name of the database'),
      engine: z.enum(['embedded', 'postgres']).default('embedded').describe('Where rows lie'),
      hot: z
        .strictObject({
          batchSize: z.int().min(100).max(10_000).default(1000).describe('Rows of one statement'),
          port: z.int().min(1).max(65_535).default(5432).describe('Port of the server'),
          ratio: z.number().gt(0).max(1).default(0.5).describe('Share of memory'),
          verify: z.boolean().default(true).describe('Checks what was written'),
        })
        .prefault({})
        .describe('Rows in Postgres'),
      limits: z.record(z.string(), z.int()).default({}).describe('Rows a day, by symbol'),
      hosts: z.array(z.string()).default(['a', 'b']).describe('Servers, in order'),
      retention: z
        .strictObject({ days: z.int().min(0), mode: z.enum(['drop', 'archive']).default('drop') })
        .optional()
        .describe('Kept for ever without it'),
      ceiling: z.int().min(0).nullable().default(500).describe('Most rows; null for none'),
      palette: z
        .record(z.string(), z.int())
        .meta({ merge: 'replace', description: 'Replaced as a whole' })
        .default({ red: 1, blue: 2 }),
    })
    .prefault({}),
  access: z
    .strictObject({
      user: z.string().default('reader').describe('Who connects'),
      token: secret({ minLength: 8 }).optional().describe('Sent with every request'),
      database: z
        .strictObject({ url: secret({ kind: 'databaseUrl' }).describe('Where the database is') })
        .optional()
        .describe('The database'),
      keys: z.record(z.string(), secret()).default({}).describe('Keys by provider'),
    })
    .prefault({}),
} as const

export type TestSections = typeof sections
export type TestOptions = Omit<Partial<LoadConfigOptions<TestSections>>, 'directory' | 'sections'>

export const variables: Readonly<Record<string, VariableRule>> = {
  PORT: { description: 'port of the server' },
  REGION: { description: 'where the machines stand' },
  ZONE: { description: 'part of the region' },
  LOOP: { description: 'refers to itself in the tests' },
  DATABASE_URL: { description: 'where the database is', secret: true, setting: 'access.database.url' },
  ACCESS_TOKEN: { description: 'key of the provider', secret: true, minLength: 8 },
}

/** Loads some files with the sections above and nothing of the process's own environment. */
export async function load(files: Files, options: TestOptions = {}) {
  using folder = folderOf(files)
  return await loadConfig({
    directory: folder.path,
    sections,
    env: {},
    envPrefix: 'VARVE_',
    variables,
    ...options,
  })
}

/** The problems of a configuration that must not load. */
export async function problemsOf(files: Files, options: TestOptions = {}): Promise<readonly ConfigProblem[]> {
  try {
    await load(files, options)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  throw new Error('the configuration was accepted')
}
