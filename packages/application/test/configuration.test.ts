import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type ConfigError, configHistory, describeSettings, duplicateSettings, readYaml } from '@varve/config'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  configurationSchemas,
  loadConfiguration,
  type LoadConfigurationOptions,
  migrateConfiguration,
  SECTIONS,
  writeDefaultConfig,
} from '../src/index.ts'
import { RESTART_ONLY } from '../src/liveConfiguration.ts'

const KEY = 'abcdefghijklmnopqrstuvwxyz012345'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'varve-configuration-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

const write = (name: string, text: string): void => {
  mkdirSync(join(directory, name, '..'), { recursive: true })
  writeFileSync(join(directory, name), text)
}

const load = (options: Partial<LoadConfigurationOptions> = {}) =>
  loadConfiguration({ directory, env: {}, ...options })

/** `FILE:LINE CODE` of every fault. */
async function faults(options: Partial<LoadConfigurationOptions> = {}): Promise<string[]> {
  try {
    await load(options)
  } catch (error) {
    return (error as ConfigError).problems.map(({ file, line, code }) => `${file}:${line} ${code}`)
  }
  return []
}

describe('one source per setting', () => {
  it('no two files define the same setting', () => {
    expect(duplicateSettings(SECTIONS)).toEqual([])
  })

  it('finds one that two files define (control)', () => {
    const { network } = SECTIONS
    expect(duplicateSettings({ ...SECTIONS, copied: network }).length).toBeGreaterThan(5)
  })

  it('a default stands in the schema or in a default file, never in both', () => {
    const folder = fileURLToPath(new URL('../defaults', import.meta.url))
    const descriptions = describeSettings(SECTIONS)
    const both = readdirSync(folder).flatMap((name) => {
      const section = name.replace(/\.yaml$/, '')
      const tree = readYaml(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>
      return Object.keys(tree).filter((key) => {
        const found = descriptions.find((item) => item.key === `${section}.${key}`)?.default
        return found !== undefined && JSON.stringify(found) !== '{}'
      })
    })
    expect(both).toEqual([])
  })

  it('every file the product needs is there, and every setting says what it is for', () => {
    expect(Object.keys(SECTIONS)).toEqual(
      expect.arrayContaining([
        'layers',
        'retention',
        'rate-limits',
        'connections',
        'storage',
        'cache',
        'network',
        'alerting',
        'monitoring',
        'events',
        'scanner',
        'backfill',
        'risk',
        'security',
        'startup',
        'contexts',
      ]),
    )
    const silent = describeSettings(SECTIONS).filter(
      ({ group, description, key }) => !group && description === '' && !key.endsWith('.NAME'),
    )
    expect(silent.map(({ key }) => key)).toEqual([])
  })

  it('layers.yaml alone says what a layer is: no other file has its words', () => {
    const words = /^(hotDays|coldDays|criteria|backfillPriority|minimumStaySessions)$/
    const elsewhere = describeSettings(SECTIONS).filter(
      ({ key, section }) =>
        section !== 'layers' &&
        words.test(key.split('.').at(-1)!) &&
        // Imported series belong to no layer.
        !key.startsWith('retention.imported'),
    )
    expect(elsewhere.map(({ key }) => key)).toEqual([])
  })

  it('names only settings that exist where a change needs a restart', () => {
    const keys = describeSettings(SECTIONS).map(({ key }) => key)
    const unknown = RESTART_ONLY.filter(
      (prefix) => !keys.some((key) => key === prefix || key.startsWith(`${prefix}.`)),
    )
    expect(unknown).toEqual([])
  })
})

describe('what varve init writes', () => {
  it('changes nothing as it stands, warns of nothing, and names the schema of each file', async () => {
    const { written, kept } = writeDefaultConfig(directory)
    expect(written).toHaveLength(Object.keys(SECTIONS).length)
    expect(kept).toEqual([])
    const [ours, none] = await Promise.all([load(), load({ directory: null })])
    expect(ours.redacted()).toEqual(none.redacted())
    expect(ours.warnings).toEqual([])
    for (const name of written) {
      const [first] = readFileSync(join(directory, name), 'utf8').split('\n')
      const schema = /^# yaml-language-server: \$schema=\.\/(.*)$/.exec(first!)?.[1]
      const parsed = JSON.parse(readFileSync(join(directory, schema!), 'utf8')) as object
      expect(parsed).toEqual(configurationSchemas()[name.replace('.yaml', '')])
    }
    expect(writeDefaultConfig(directory).written).toEqual([])
  })
})

describe('between files', () => {
  it('a plan that no profile describes is a fault of the plan', async () => {
    write('providers.yaml', `polygon:\n  plan: polygon-pro\n  apiKey: \${POLYGON_API_KEY}\n`)
    expect(await faults({ env: { POLYGON_API_KEY: KEY } })).toEqual(['providers.yaml:2 CONFIG_CROSS_FIELD'])
  })

  it('layers and the scanner must fit', async () => {
    write('scanner.yaml', 'metrics:\n  windowSessions: 10\n  minimumSessions: 15\n')
    expect(await faults()).toEqual(['scanner.yaml:3 CONFIG_CROSS_FIELD'])
  })

  it('risky values load, with a warning each; paranoid, they stop the start', async () => {
    write('risk.yaml', 'positionPercent: 20\n')
    write('network.yaml', 'concurrency: 40\n')
    const { warnings } = await load()
    expect(warnings.map(({ code, key, file, line }) => [code, key, file, line])).toEqual([
      ['CONFIG_RISKY', 'risk.positionPercent', 'risk.yaml', 1],
      ['CONFIG_RISKY', 'network.concurrency', 'network.yaml', 1],
    ])
    expect(await faults({ overrides: { 'security.level': 'paranoid' } })).toEqual([
      'risk.yaml:1 CONFIG_ENVIRONMENT',
      'network.yaml:1 CONFIG_ENVIRONMENT',
    ])
  })
})

describe('production', () => {
  const good = 'postgres://varve:a-long-password-1@db.internal/varve?sslmode=verify-full'

  it.each([
    ['this machine', good.replace('db.internal', 'localhost'), 'points at this machine'],
    ['this machine by its address', good.replace('db.internal', '127.0.0.1'), 'points at this machine'],
    ['a database for tests', good.replace('/varve?', '/varve_test?'), 'development or tests'],
    ['a short password', good.replace('a-long-password-1', 'short'), 'at least 16'],
    ['no verified TLS', good.replace('?sslmode=verify-full', ''), 'sslmode=verify-full'],
  ])('refuses %s', async (_name, url, message) => {
    await expect(load({ env: { DATABASE_URL: url }, environment: 'prod' })).rejects.toThrow(message)
    // The same is fine where it belongs, at most with a warning, and wherever the check is switched off.
    await expect(load({ env: { DATABASE_URL: url } })).resolves.toBeDefined()
    const permissive = await load({
      env: { DATABASE_URL: url },
      environment: 'production',
      overrides: { 'security.level': 'permissive' },
    })
    expect(permissive.warnings.some(({ message: text }) => text.includes(message))).toBe(true)
  })

  it('takes a database as it should be, and shows nothing of its password', async () => {
    const configuration = await load({ env: { DATABASE_URL: good, VARVE_ENV: 'production' } })
    expect(configuration).toMatchObject({ environment: 'production', level: 'paranoid' })
    expect(
      JSON.stringify([configuration.redacted(), configuration.explain('connections.databaseUrl')]),
    ).not.toContain('a-long-password-1')
  })

  it('wants long keys, encrypted providers, and no debug lines', async () => {
    write('providers.yaml', `polygon:\n  baseUrl: http://api.example.com\n  apiKey: \${POLYGON_API_KEY}\n`)
    write('monitoring.yaml', 'logLevel: debug\n')
    const env = { POLYGON_API_KEY: 'short-key-1' }
    expect(await faults({ env, environment: 'production' })).toEqual(
      expect.arrayContaining([
        'providers.yaml:2 CONFIG_ENVIRONMENT',
        'providers.yaml:3 CONFIG_ENVIRONMENT',
        'monitoring.yaml:1 CONFIG_ENVIRONMENT',
      ]),
    )
  })

  it('takes a blank DATABASE_URL for a secret that did not arrive; elsewhere it means the embedded database', async () => {
    const env = { DATABASE_URL: ' ' }
    expect(await faults({ env, environment: 'production' })).toEqual(['environment:1 CONFIG_SECRET_BLANK'])
    expect((await load({ env })).values.connections.databaseUrl).toBeUndefined()
  })

  it('lays its profile over the files', async () => {
    write('storage.yaml', 'hot:\n  batchSize: 1000\n  chunkSymbols: 100\n')
    write('profiles/production/storage.yaml', 'hot:\n  batchSize: 9000\n')
    expect((await load()).values.storage.hot.batchSize).toBe(1000)
    const { values, explain } = await load({ environment: 'production' })
    expect(values.storage.hot).toMatchObject({ batchSize: 9000, chunkSymbols: 100 })
    expect(explain('storage.hot.batchSize')).toMatchObject({
      origin: { kind: 'profile', file: 'profiles/production/storage.yaml', line: 2 },
      overrode: [{ value: 1000, origin: { file: 'storage.yaml', line: 2 } }],
    })
    write('profiles/prodution/storage.yaml', 'hot:\n  batchSize: 9000\n')
    expect(await faults()).toEqual(['profiles/prodution:1 CONFIG_UNKNOWN_FILE'])
  })
})

describe('a change that a crash interrupted', () => {
  it('is finished or undone before any command reads the files', async () => {
    write('scanner.yaml', 'maximumStep: 1\n')
    write('network.yaml', 'concurrency: 1\n')
    const pictures = mkdtempSync(join(tmpdir(), 'varve-crash-'))
    const images: string[] = []
    // The folder as a process killed before each operation on the disk would leave it.
    const history = configHistory({
      directory,
      observer: () => {
        const image = join(pictures, String(images.length))
        cpSync(directory, image, { recursive: true })
        rmSync(join(image, '.versions', 'lock'), { force: true })
        images.push(image)
      },
    })
    const change = new Map([
      ['scanner.yaml', Buffer.from('maximumStep: 3\n')],
      ['network.yaml', Buffer.from('concurrency: 3\n')],
    ])
    await history.change(change, { reason: 'both' })
    const digit = (folder: string, name: string) => /\d/.exec(readFileSync(join(folder, name), 'utf8'))![0]
    const asLeft = images.map((image) => digit(image, 'scanner.yaml') + digit(image, 'network.yaml'))
    const asLoaded: string[] = []
    for (const image of images) {
      const { values } = await load({ directory: image })
      asLoaded.push(`${values.scanner.maximumStep}${values.network.concurrency}`)
    }
    rmSync(pictures, { recursive: true, force: true })
    expect(asLeft.some((found) => found === '13' || found === '31')).toBe(true) // control: there are mixtures
    expect(new Set(asLoaded)).toEqual(new Set(['11', '33']))
  })
})

describe('older files', () => {
  it('still load, with one warning for each path, and migrate for good', async () => {
    write('pipeline.yaml', '# how hard it works\njobBatchSize: 500\nfetchConcurrency: 5\n')
    write('daemon.yaml', 'logLevel: warn\n')
    const before = await load()
    expect(before.warnings.map(({ code, key }) => [code, key])).toEqual(
      expect.arrayContaining([
        ['CONFIG_DEPRECATED', 'events.jobs.batchSize'],
        ['CONFIG_DEPRECATED', 'network.concurrency'],
        ['CONFIG_DEPRECATED', 'monitoring.logLevel'],
      ]),
    )
    expect(before.warnings).toHaveLength(3)
    expect(before.values.network.concurrency).toBe(5)
    const report = await migrateConfiguration({ directory, env: {}, dryRun: false })
    expect(report).toMatchObject({ written: true, unplaced: [] })
    const after = await load()
    expect(after.warnings).toEqual([])
    expect(after.redacted()).toEqual(before.redacted())
    expect((await migrateConfiguration({ directory, env: {}, dryRun: false })).changed).toBe(false)
  })
})
