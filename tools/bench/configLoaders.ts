import { deepStrictEqual } from 'node:assert'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { z } from 'zod'
import { library } from './library.ts'

/** The same configuration twice: one file per section, and everything in one file. */
export interface BenchFolders {
  /** `storage.yaml`, `network.yaml`, …, each with every setting of its section. */
  readonly split: string
  /** `default.yaml`, with the sections as its first level: the name node-config, zod-config and c12 look for. */
  readonly merged: string
}

export type BenchSections = Readonly<Record<string, z.ZodType>>

/** Reads the folders once, from the disk to values, and remembers nothing for the next time. */
export type Load = () => Promise<Readonly<Record<string, unknown>>>

/** A way to load a configuration. */
export interface Loader {
  readonly name: string
  /** Whether the values are checked against the schemas. */
  readonly checks: boolean
  /** Imports the library. What it asks for once in a program's life is done here. */
  open(folders: BenchFolders, sections: BenchSections): Promise<Load>
}

/**
 * Every file read and parsed with `yaml`, checked with the schemas, and nothing else. Reading one after the other
 * without promises is the quickest way for small files that the operating system remembers.
 */
const byHand: Loader = {
  name: 'by hand (yaml and zod)',
  checks: true,
  async open({ split }, sections) {
    const { parse } = await library<{ parse(text: string): unknown }>('yaml')
    return () => {
      const values: Record<string, unknown> = {}
      for (const file of readdirSync(split).filter((name) => name.endsWith('.yaml'))) {
        const section = file.slice(0, -'.yaml'.length)
        values[section] = checked(sections[section]!, parse(readFileSync(join(split, file), 'utf8')))
      }
      return Promise.resolve(values)
    }
  },
}

const varve: Loader = {
  name: '@varve/config',
  checks: true,
  async open({ split }, sections) {
    const { loadConfig } = await import('@varve/config')
    return async () => (await loadConfig({ directory: split, sections })).values
  },
}

interface C12 {
  loadConfig(options: Readonly<Record<string, unknown>>): Promise<{ readonly config: unknown }>
}

/** c12 on one file, with everything it would look for elsewhere switched off. */
async function openC12({ merged }: BenchFolders): Promise<() => Promise<unknown>> {
  const { loadConfig } = await library<C12>('c12')
  const options = {
    cwd: merged,
    configFile: 'default',
    rcFile: false,
    globalRc: false,
    dotenv: false,
    packageJson: false,
    envName: false,
    giget: false,
    extend: false,
  }
  return async () => (await loadConfig(options)).config
}

interface NodeConfig {
  readonly Util: {
    loadFileConfigs(options: Readonly<Record<string, unknown>>): { readonly config: unknown }
  }
}

/** What `import 'config'` does with its folder, as a function that can be called more than once. */
async function openNodeConfig({ merged }: BenchFolders): Promise<() => unknown> {
  const { Util } = await library<NodeConfig>('config/lib/util.js')
  const options = { configDir: merged, nodeEnv: ['development'], hostName: 'bench' }
  return () => Util.loadFileConfigs(options).config
}

/** The object node-config hands to a whole program. It is told where to look by the environment. */
export async function nodeConfigOf({ merged }: BenchFolders): Promise<{ get(key: string): number }> {
  process.env.NODE_CONFIG_DIR = merged
  process.env.SUPPRESS_STRICTNESS_CHECK = 'true'
  return (await library<{ readonly default: { get(key: string): number } }>('config')).default
}

interface Convict {
  (schema: unknown): {
    load(values: unknown): void
    loadFile(file: string): void
    validate(options: { readonly allowed: 'strict' }): void
    getProperties(): Readonly<Record<string, unknown>>
    get(key: string): unknown
  }
  addParser(parser: { readonly extension: string; parse(text: string): unknown }): void
}

/** convict, made ready to read YAML as its manual says. */
export async function convictFor(folders: BenchFolders) {
  const { default: convict } = await library<{ readonly default: Convict }>('convict')
  const { parse } = await library<{ parse(text: string): unknown }>('yaml')
  convict.addParser({ extension: 'yaml', parse })
  const schema = convictSchema(parse(readFileSync(join(folders.merged, 'default.yaml'), 'utf8')))
  return () => {
    const config = convict(schema)
    config.loadFile(join(folders.merged, 'default.yaml'))
    config.validate({ allowed: 'strict' })
    return config
  }
}

/** convict has a schema language of its own. Each leaf gets the type it has in the file: no ranges, no rules. */
function convictSchema(value: unknown): unknown {
  if (value === null) return { format: '*', default: null }
  if (Array.isArray(value)) return { format: Array, default: [] }
  if (typeof value === 'number') return { format: Number, default: 0 }
  if (typeof value === 'string') return { format: String, default: '' }
  if (typeof value === 'boolean') return { format: Boolean, default: false }
  const entries = Object.entries(value as object)
  // A map with a key of this name is a setting to convict, whatever else stands in it.
  if (entries.length === 0 || 'default' in (value as object)) return { format: Object, default: {} }
  return Object.fromEntries(entries.map(([key, item]) => [key, convictSchema(item)]))
}

interface ZodConfig {
  loadConfig(options: {
    readonly schema: z.ZodType
    readonly adapters: unknown
  }): Promise<Readonly<Record<string, unknown>>>
}

interface ZodConfigYaml {
  yamlAdapter(options: { readonly path: string }): unknown
}

/** Every way that is compared. `checks: false` hands on whatever stands in the file. */
export const LOADERS = {
  varve,
  byHand,
  zodConfig: {
    name: 'zod-config',
    checks: true,
    async open({ merged }, sections) {
      const { z } = await import('zod')
      const { loadConfig } = await library<ZodConfig>('zod-config')
      const { yamlAdapter } = await library<ZodConfigYaml>('zod-config/yaml-adapter')
      const schema = z.strictObject(sections)
      return () => loadConfig({ schema, adapters: yamlAdapter({ path: join(merged, 'default.yaml') }) })
    },
  },
  convict: {
    name: 'convict (its own schema, types only)',
    checks: true,
    async open(folders) {
      const load = await convictFor(folders)
      return () => Promise.resolve(load().getProperties())
    },
  },
  c12: {
    name: 'c12 (checks nothing)',
    checks: false,
    async open(folders) {
      const load = await openC12(folders)
      return async () => (await load()) as Readonly<Record<string, unknown>>
    },
  },
  c12Checked: {
    name: 'c12 and the same schemas',
    checks: true,
    async open(folders, sections) {
      const load = await openC12(folders)
      return async () => checkedAll(sections, await load())
    },
  },
  nodeConfig: {
    name: 'node-config (checks nothing)',
    checks: false,
    async open(folders) {
      const load = await openNodeConfig(folders)
      return () => Promise.resolve(load() as Readonly<Record<string, unknown>>)
    },
  },
  nodeConfigChecked: {
    name: 'node-config and the same schemas',
    checks: true,
    async open(folders, sections) {
      const load = await openNodeConfig(folders)
      return () => Promise.resolve(checkedAll(sections, load()))
    },
  },
} as const satisfies Readonly<Record<string, Loader>>

export type LoaderName = keyof typeof LOADERS

/** Packages that have to be installed for each loader. */
export const LIBRARY: Readonly<Record<LoaderName, string>> = {
  varve: '@varve/config',
  byHand: 'yaml',
  zodConfig: 'zod-config',
  convict: 'convict',
  c12: 'c12',
  c12Checked: 'c12',
  nodeConfig: 'config/lib/util.js',
  nodeConfigChecked: 'config/lib/util.js',
}

/** @throws when a loader came to other values than expected: it would be compared with something else */
export function assertSame(name: string, found: unknown, expected: unknown): void {
  // Prototypes are the libraries' own business.
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value)) as unknown
  try {
    deepStrictEqual(plain(found), plain(expected))
  } catch (cause) {
    throw new Error(`${name} loaded other values`, { cause })
  }
}

function checked(schema: z.ZodType, value: unknown): unknown {
  const result = schema.safeParse(value)
  if (!result.success) throw result.error
  return result.data
}

function checkedAll(sections: BenchSections, value: unknown): Readonly<Record<string, unknown>> {
  const tree = value as Readonly<Record<string, unknown>>
  return Object.fromEntries(
    Object.entries(sections).map(([section, schema]) => [section, checked(schema, tree[section])]),
  )
}
