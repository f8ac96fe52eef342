import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Secret } from '@varve/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import { configHistory } from '../src/live/configHistory.ts'
import { lineDiff } from '../src/live/lineDiff.ts'
import { migrateConfig } from '../src/live/migrateConfig.ts'
import { LEGACY_VOCABULARY, stepsFromDeprecated, type MigrationStep } from '../src/live/migrationSteps.ts'
import { readFolder } from '../src/live/trial.ts'
import { scratchFolder } from './liveSupport.ts'

const now = z.strictObject({
  database: z
    .strictObject({ connection: z.strictObject({ host: z.string() }), name: z.string().optional() })
    .optional(),
  cache: z.strictObject({ redis: z.strictObject({ connection_string: z.string() }) }).optional(),
  data_sources: z
    .strictObject({ polygon: z.strictObject({ api_key: z.string().transform((text) => new Secret(text)) }) })
    .optional(),
  scanner: z
    .strictObject({
      minLayer: z.int().min(0).max(3).optional(),
      layers: z
        .record(z.string().regex(/^[0-3]$/), z.strictObject({ days: z.int(), status: z.string().optional() }))
        .optional(),
      dataTypes: z.array(z.string()).optional(),
      watchedLayers: z.array(z.int()).optional(),
    })
    .optional(),
})

async function load(directory: string) {
  const input: Record<string, unknown> = {}
  for (const [file, content] of readFolder(directory)) {
    const section = file.replace(/^.*\//, '').replace(/\.\w+$/, '')
    input[section] = { ...(input[section] as object), ...(parse(content.toString('utf8')) as object) }
  }
  const result = now.safeParse(input)
  await Promise.resolve()
  if (result.success) return { values: result.data }
  const problems = result.error.issues.flatMap((issue) =>
    issue.code === 'unrecognized_keys'
      ? issue.keys.map((key) => ({
          file: `${String(issue.path[0] ?? key)}.yaml`,
          line: 1,
          code: issue.path.length === 0 ? 'CONFIG_UNKNOWN_FILE' : 'CONFIG_UNKNOWN_KEY',
          path: [...issue.path.slice(1), key].join('.'),
          message: `unknown ${key}`,
        }))
      : [],
  )
  throw Object.assign(new Error(result.error.issues.map(({ message }) => message).join('\n')), { problems })
}

const MOVES = stepsFromDeprecated([
  { from: 'database.host', to: 'database.connection.host' },
  { from: 'redis.url', to: 'cache.redis.connection_string' },
  { from: 'api.polygon.key', to: 'data_sources.polygon.api_key' },
])
const STEPS: readonly MigrationStep[] = [...MOVES, ...LEGACY_VOCABULARY]

const OLD = {
  'api.yaml': '# vendors\npolygon:\n  key: canary-0123456789\n',
  'database.yaml': '# where the rows are\nname: varve # the database\n\n# its machine\nhost: db.internal\n',
  'redis.yaml': 'url: redis://user:canary-pass@cache:6379\n',
  'scanner.yaml': `# who is looked at
minTier: STANDARD
stages: [bars, news]
watched_tiers: ignored
tiers:
  PRIORITY: { days: 5, status: ACTIVE } # the best
  archive: { days: 1 }
`.replace('watched_tiers: ignored\n', 'watchedTiers: [active, PRIORITY]\n'),
}

const migrate = (path: string, options: { dryRun?: boolean; steps?: readonly MigrationStep[] } = {}) =>
  migrateConfig({
    directory: path,
    steps: STEPS,
    load,
    history: configHistory({ directory: path }),
    ...options,
  })

const versionsOf = (path: string) =>
  existsSync(join(path, '.versions')) ? readdirSync(join(path, '.versions')) : []

describe('migrating an older configuration', () => {
  it('moves settings, renames words and values, keeps comments, and saves what was there', async () => {
    using folder = scratchFolder(OLD)
    const report = await migrate(folder.path)
    expect(report).toMatchObject({
      changed: true,
      written: true,
      unplaced: [],
      problem: undefined,
      savedAs: 1,
    })
    expect(folder.contents()).toEqual({
      'cache.yaml': 'redis:\n  connection_string: redis://user:canary-pass@cache:6379\n',
      'data_sources.yaml': 'polygon:\n  api_key: canary-0123456789\n',
      'database.yaml':
        '# where the rows are\nname: varve # the database\nconnection:\n  # its machine\n  host: db.internal\n',
      'scanner.yaml': `# who is looked at
minLayer: 1
dataTypes: [ bars, news ]
watchedLayers: [ 2, 3 ]
layers:
  3: { days: 5, status: ACTIVE } # the best
  0: { days: 1 }
`,
    })
    await configHistory({ directory: folder.path }).restore(1)
    expect(folder.contents()).toEqual(OLD)
  })

  it('changes nothing when done again', async () => {
    using folder = scratchFolder(OLD)
    await migrate(folder.path)
    const after = folder.contents()
    expect(await migrate(folder.path)).toMatchObject({
      changed: false,
      written: false,
      diff: '',
      actions: [],
    })
    expect(folder.contents()).toEqual(after)
    expect(versionsOf(folder.path)).toEqual(['000001'])
  })

  it('shows in a dry run what it would do, without secrets, and writes nothing', async () => {
    using folder = scratchFolder(OLD)
    const report = await migrate(folder.path, { dryRun: true })
    expect(folder.contents()).toEqual(OLD)
    expect(versionsOf(folder.path)).toEqual([])
    expect(report).toMatchObject({ changed: true, written: false, savedAs: undefined })
    expect(report.diff).toContain('scanner.yaml (changed)\n')
    expect(report.diff).toContain('-minTier: STANDARD\n')
    expect(report.diff).toContain('+minLayer: 1\n')
    expect(report.diff).toContain('api.yaml (removed)\n')
    expect(report.diff).toContain('+  api_key: [secret]')
    expect(JSON.stringify(report)).not.toContain('canary')
  })

  it('drops nothing: what has no place is named, and no file is changed', async () => {
    using folder = scratchFolder({
      ...OLD,
      'redis.yaml': 'url: redis://c\nsentinels: 3\n',
      'odd.yaml': 'x: 1\n',
    })
    const before = folder.contents()
    const failure: unknown = await migrate(folder.path).catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'CONFIG_MIGRATION_FAILED',
      details: {
        unplaced: [
          { file: 'odd.yaml', why: 'unknown odd' },
          { file: 'redis.yaml', why: 'unknown redis' },
        ],
      },
    })
    expect(folder.contents()).toEqual(before)
    expect((await migrate(folder.path, { dryRun: true })).unplaced).toHaveLength(2)
  })

  it('does not choose between an old and a new setting that disagree; equal ones become one', async () => {
    using folder = scratchFolder({ 'database.yaml': 'host: a\nconnection: { host: b }\n' })
    await expect(migrate(folder.path)).rejects.toThrow(
      /database\.yaml:1 database\.host: database\.connection\.host is set already, to something else/,
    )
    folder.write('database.yaml', 'host: b\nconnection: { host: b }\n')
    await migrate(folder.path)
    expect(parse(folder.read('database.yaml'))).toEqual({ connection: { host: 'b' } })
  })

  it('writes nothing when the result does not load', async () => {
    using folder = scratchFolder({ 'scanner.yaml': 'minTier: URGENT\n' })
    await expect(migrate(folder.path)).rejects.toMatchObject({ code: 'CONFIG_MIGRATION_FAILED' })
    expect(folder.read('scanner.yaml')).toBe('minTier: URGENT\n')
    expect(versionsOf(folder.path)).toEqual([])
  })

  it('does the same in profiles, renames files, and converts values', async () => {
    using folder = scratchFolder({
      'profiles/prod/database.yaml': 'host: prod.internal\n',
      'tierScanner.yaml': 'minTier: 1\n',
    })
    await migrate(folder.path, {
      steps: [
        ...STEPS,
        { kind: 'renameFile', from: 'layerScanner', to: 'scanner' },
        {
          kind: 'moveSetting',
          from: 'scanner.minLayer',
          to: 'scanner.minLayer',
          convert: (value) => Math.max(2, Number(value)),
        },
      ],
    })
    expect(folder.contents()).toEqual({
      'profiles/prod/database.yaml': 'connection:\n  host: prod.internal\n',
      'scanner.yaml': 'minLayer: 2\n',
    })
  })

  it('turns a single value into a group of the same name once', async () => {
    const steps: MigrationStep[] = [
      { kind: 'moveSetting', from: 'database.connection', to: 'database.connection.host', convert: String },
    ]
    using folder = scratchFolder({ 'database.yaml': 'connection: db # here\n' })
    await migrate(folder.path, { steps })
    expect(parse(folder.read('database.yaml'))).toEqual({ connection: { host: 'db' } })
    expect((await migrate(folder.path, { steps })).changed).toBe(false)
  })

  it('is idempotent and loses no value for any old scanner file', async () => {
    const word = fc.constantFrom('PRIORITY', 'ACTIVE', 'STANDARD', 'ARCHIVE')
    const old = fc.record(
      {
        minTier: word,
        stages: fc.array(fc.constantFrom('bars', 'news')),
        watchedTiers: fc.array(word),
        tiers: fc.dictionary(word, fc.record({ days: fc.nat(99), status: word })),
      },
      { requiredKeys: [] },
    )
    const layerOf = { PRIORITY: 3, ACTIVE: 2, STANDARD: 1, ARCHIVE: 0 }
    await fc.assert(
      fc.asyncProperty(old, async (scanner) => {
        using folder = scratchFolder({ 'scanner.yaml': stringify(scanner) })
        await migrate(folder.path)
        const after: unknown = parse(folder.read('scanner.yaml'))
        expect(after).toEqual({
          ...(scanner.minTier && { minLayer: layerOf[scanner.minTier] }),
          ...(scanner.stages && { dataTypes: scanner.stages }),
          ...(scanner.watchedTiers && { watchedLayers: scanner.watchedTiers.map((name) => layerOf[name]) }),
          ...(scanner.tiers && {
            layers: Object.fromEntries(
              Object.entries(scanner.tiers).map(([name, value]) => [
                layerOf[name as keyof typeof layerOf],
                value,
              ]),
            ),
          }),
        })
        expect((await migrate(folder.path)).changed).toBe(false)
      }),
      { numRuns: 60, seed: 9 },
    )
  })
})

describe('a difference of two texts', () => {
  it('shows what goes and what comes, and little of what stays', () => {
    const before = ['a', 'b', 'c', 'd', 'e', 'f', 'g'].join('\n')
    expect(lineDiff(before, before.replace('f', 'F'))).toBe('…\n d\n e\n-f\n+F\n g')
    expect(lineDiff(before, before)).toBe('')
  })

  it('turns the first into the second for any two texts', () => {
    const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 4 }).map((lines) => lines.join('\n'))
    fc.assert(
      fc.property(text, text, (before, after) => {
        const lines = lineDiff(before, after).split('\n')
        if (before === after || lines.includes('…')) return
        const side = (mark: string) =>
          lines.filter((line) => line.startsWith(' ') || line.startsWith(mark)).map((line) => line.slice(1))
        expect([side('-').join('\n'), side('+').join('\n')]).toEqual([before, after])
      }),
      { seed: 2 },
    )
  })
})
