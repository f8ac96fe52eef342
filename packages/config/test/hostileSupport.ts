import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import {
  type ConfigError,
  type ConfigProblem,
  loadConfig,
  type LoadConfigOptions,
  type LoadedConfig,
  secret,
  type VariableRule,
} from '../src/index.ts'
import { z } from 'zod'

/** Sections with one setting of every kind there is. */
export const sections = {
  storage: z.strictObject({
    engine: z.enum(['embedded', 'postgres']).default('embedded').describe('Where rows lie'),
    directory: z.string().min(1).optional().describe('Folder of the lake'),
    verify: z.boolean().default(true).describe('Whether checksums are compared'),
    hot: z
      .strictObject({
        batchSize: z.int().min(100).max(10_000).default(1000).describe('Rows written at once'),
        ratio: z.number().gt(0).max(1).default(0.5).describe('Share kept in memory'),
        days: z.int().min(1).nullable().default(30).describe('Days kept; null for ever'),
      })
      .prefault({}),
    hosts: z.array(z.string().min(1)).default([]).describe('Hosts to use'),
  }),
  providers: z.strictObject({
    polygon: z
      .strictObject({
        apiKey: secret({ minLength: 8, kind: 'apiKey' }).describe('Key of the account'),
        baseUrl: z
          .url({ protocol: /^https?$/ })
          .default('https://api.example.org')
          .describe('Where it answers'),
      })
      .optional()
      .describe('A source of bars'),
    webhook: secret({ kind: 'webhookUrl' }).optional().describe('Where alerts go'),
  }),
  'rate-limits': z.strictObject({
    profiles: z
      .record(z.string(), z.array(z.strictObject({ limit: z.int().min(1), windowMs: z.int().min(1) })).min(1))
      .default({})
      .describe('Windows of each plan'),
    weights: z.record(z.string(), z.number().gt(0).max(1)).default({}).describe('Share of each source'),
  }),
}

export const variables: Readonly<Record<string, VariableRule>> = {
  LAKE: { description: 'Folder of the lake' },
  ROOT: { description: 'Folder of everything' },
  BATCH: { description: 'Rows written at once' },
  POLYGON_API_KEY: { description: 'Key of the account', secret: true, kind: 'apiKey' },
  HOST: { description: 'Host to use', pattern: /^[a-z.]+$/ },
}

export type Loaded = LoadedConfig<typeof sections>
export type Options = Partial<LoadConfigOptions<typeof sections>>

/** Files of a configuration folder: name → contents. */
export type Files = Readonly<Record<string, string | Uint8Array>>

/** Writes files into a folder of their own, hands it to some work, and removes it. */
export async function withFolder<Result>(files: Files, work: (directory: string) => Promise<Result>) {
  const directory = mkdtempSync(join(tmpdir(), 'varve-config-'))
  try {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(directory, name)), { recursive: true })
      writeFileSync(join(directory, name), content)
    }
    return await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

export function load(files: Files, options: Options = {}): Promise<Loaded> {
  return withFolder(files, (directory) =>
    loadConfig({ directory, sections, env: {}, envPrefix: 'VARVE_', variables, ...options }),
  )
}

/** The problems of a configuration; throws when it loads, or fails with anything else. */
export async function problemsOf(files: Files, options: Options = {}): Promise<readonly ConfigProblem[]> {
  const error = await load(files, options).then(
    () => undefined,
    (found: unknown) => found,
  )
  if (error === undefined) throw new Error('the configuration was taken as valid')
  if ((error as ConfigError).code !== 'CONFIG_INVALID') throw error
  return (error as ConfigError).problems
}
