import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { z } from 'zod'
import {
  allowedOf,
  describeSettings,
  duplicateSettings,
  type JsonSchema,
  type SettingDescription,
} from '../src/describe.ts'
import { jsonSchema } from '../src/jsonSchema.ts'
import { variableNameOf } from '../src/keys.ts'
import { loadConfig } from '../src/loadConfig.ts'
import { template } from '../src/template.ts'
import type { OriginKind } from '../src/types.ts'
import { type Files, folderOf, load, sections, type TestOptions } from './support.ts'

const RUNS = { numRuns: 60 }

describe('precedence', () => {
  /** Settings that any layer may set, with values that tell who did. */
  const settings = {
    'storage.hot.batchSize': (layer: number) => 200 + layer,
    'storage.name': (layer: number) => `name-${layer}`,
    'storage.limits.AAPL': (layer: number) => layer,
    'storage.hosts': (layer: number) => [`host-${layer}`],
    'storage.ceiling': (layer: number) => layer,
  } as const
  const KINDS: readonly OriginKind[] = ['default', 'file', 'profile', 'environment', 'override']
  const nested = (key: string, value: unknown): Record<string, unknown> =>
    key
      .split('.')
      .slice(1)
      .reduceRight<unknown>((below, part) => ({ [part]: below }), value) as Record<string, unknown>

  const sourcesOf = (key: string, kinds: readonly OriginKind[]): [Files, TestOptions] => {
    const valueOf = settings[key as keyof typeof settings]
    const value = (kind: OriginKind) => valueOf(KINDS.indexOf(kind))
    const has = (kind: OriginKind) => kinds.includes(kind)
    const text = (kind: OriginKind) => JSON.stringify(value(kind)).replaceAll(/^"|"$/g, '')
    return [
      {
        ...(has('file') ? { 'storage.yaml': stringify(nested(key, value('file'))) } : {}),
        ...(has('profile')
          ? { 'profiles/test/storage.json': JSON.stringify(nested(key, value('profile'))) }
          : {}),
      },
      {
        profile: 'test',
        ...(has('default') ? { defaults: { storage: nested(key, value('default')) } } : {}),
        env: has('environment') ? { [variableNameOf('VARVE_', key)]: text('environment') } : {},
        overrides: has('override') ? { [key]: text('override') } : {},
      },
    ]
  }

  it('the highest layer that names a key wins, and the others are told from the top', async () => {
    await fc.assert(
      fc.asyncProperty(
        // A free name of a map is written in lower case where the environment sets it.
        fc.constantFrom(...Object.keys(settings)).filter((key) => !key.endsWith('AAPL')),
        fc.subarray([...KINDS], { minLength: 1 }),
        async (key, kinds) => {
          const config = await load(...sourcesOf(key, kinds))
          const told = config.explain(key)
          const fromTop = KINDS.filter((kind) => kinds.includes(kind)).reverse()
          const [winner, ...rest] = fromTop
          const valueOf = settings[key as keyof typeof settings]
          expect(told.value).toEqual(valueOf(KINDS.indexOf(winner!)))
          expect(config.flatten()[key]).toEqual(told.value)
          expect(told.origin.kind).toBe(winner)
          expect(config.origins().get(key)).toEqual(told.origin)
          expect(told.overrode.map(({ origin }) => origin.kind)).toEqual(rest)
          expect(told.overrode.map(({ value }) => value)).toEqual(
            rest.map((kind) => valueOf(KINDS.indexOf(kind))),
          )
        },
      ),
      RUNS,
    )
  })

  it('each layer sets its own keys of one map, and all are there', async () => {
    const { values } = await load(
      { 'storage.yaml': 'limits: { b: 1 }\n', 'profiles/test/storage.yaml': 'limits: { c: 2 }\n' },
      {
        profile: 'test',
        defaults: { storage: { limits: { a: 0 } } },
        env: { VARVE_STORAGE__LIMITS__D: '3' },
        overrides: { 'storage.limits.E.F': '4' },
      },
    )
    expect(values.storage.limits).toEqual({ a: 0, b: 1, c: 2, d: 3, 'E.F': 4 })
  })
})

/** Sections as somebody might fill them in, without secrets. */
const filledIn = fc.record({
  storage: fc.record(
    {
      name: fc.oneof(
        fc.string({ minLength: 1, maxLength: 12, unit: 'grapheme' }),
        fc.constantFrom(
          '${PORT}',
          '$${',
          '$$${x',
          'yes',
          '0777',
          '~',
          'null',
          '# x',
          ' a ',
          'a: b',
          '-',
          '!x',
          '*y',
          '1e3',
        ),
      ),
      engine: fc.constantFrom('embedded' as const, 'postgres' as const),
      hot: fc.record(
        {
          batchSize: fc.integer({ min: 100, max: 10_000 }),
          ratio: fc.double({ min: 0, max: 1, minExcluded: true, noNaN: true }),
          verify: fc.boolean(),
        },
        { requiredKeys: [] },
      ),
      limits: fc.dictionary(
        fc
          .oneof(
            fc.string({ minLength: 1, maxLength: 6, unit: 'grapheme' }),
            fc.constantFrom('BRK.B', '123', 'true', 'a b'),
          )
          .filter((name) => !['__proto__', 'constructor', 'prototype', '<<'].includes(name)),
        fc.integer(),
        { maxKeys: 4 },
      ),
      hosts: fc.array(fc.string({ maxLength: 8, unit: 'grapheme' }), { maxLength: 4 }),
      retention: fc.record({ days: fc.nat(), mode: fc.constantFrom('drop' as const, 'archive' as const) }),
      ceiling: fc.option(fc.nat()),
    },
    { requiredKeys: [] },
  ),
  access: fc.record({ user: fc.string({ maxLength: 8, unit: 'grapheme' }) }, { requiredKeys: [] }),
})

describe('a configuration that is written out', () => {
  it.each([
    ['YAML', 'yaml', (value: unknown) => stringify(value)],
    ['JSON', 'json', (value: unknown) => JSON.stringify(value, undefined, 2)],
  ] as const)('and loaded again, as %s, is the same', async (_name, ending, write) => {
    await fc.assert(
      fc.asyncProperty(filledIn, async (defaults) => {
        const first = await load({}, { defaults })
        const files = Object.fromEntries(
          Object.entries(first.redacted()).map(([name, tree]) => [`${name}.${ending}`, write(tree)]),
        )
        const second = await load(files)
        expect(second.values).toEqual(first.values)
        expect(second.flatten()).toEqual(first.flatten())
        expect(second.redacted()).toEqual(first.redacted())
      }),
      RUNS,
    )
  })

  it('leaves its secrets out only as [secret], which is no value (control)', async () => {
    const first = await load({ 'access.yaml': 'token: tok-1234-abcd\n' })
    const text = stringify(first.redacted().access)
    expect(text).toContain("token: '[secret]'".replaceAll("'", '"'))
    const again = await load({ 'access.yaml': text }).then(
      ({ values }) => values.access.token!.reveal(),
      (error: unknown) => String(error),
    )
    expect(again).toContain('CONFIG_PLACEHOLDER')
  })
})

/** A line of a template as it reads when somebody takes the `# ` away, where a setting stands in it. */
const uncommented = (text: string, wanted: (name: string) => boolean): string =>
  text
    .split('\n')
    .map((line, index) => {
      const found = /^(\s*)# (([A-Za-z][\w-]*): \S.*)$/.exec(line)
      return index === 0 || found === null || !wanted(found[3]!) ? line : `${found[1]}${found[2]}`
    })
    .join('\n')

describe('the template of a file', () => {
  const names = ['storage', 'access'] as const

  it.each(names)('of %s changes nothing as it stands', async (name) => {
    const none = await load({})
    const text = template(name, sections, { purpose: 'What it is for. '.repeat(12) })
    expect((await load({ [`${name}.yaml`]: text })).values).toEqual(none.values)
    expect(text.split('\n')[0]).toBe(`# yaml-language-server: $schema=./.schema/${name}.json`)
    for (const line of text.split('\n')) expect(line.length).toBeLessThanOrEqual(100)
  })

  it.each(names)('of %s still changes nothing with every default written out', async (name) => {
    const none = await load({})
    const text = uncommented(template(name, sections), () => true)
    const tree = parse(text) as object
    const loaded = await load({ [`${name}.yaml`]: text })
    expect(Object.keys(tree).length).toBeGreaterThan(0)
    expect(loaded.values).toEqual(none.values)
    for (const key of Object.keys(loaded.flatten()).filter((item) => item === `${name}.name`))
      expect(loaded.explain(key).origin.kind).toBe('file')
  })

  it('would notice a default that is another (control)', async () => {
    const text = uncommented(template('storage', sections), (name) => name === 'batchSize').replace(
      'batchSize: 1000',
      'batchSize: 1001',
    )
    expect((await load({ 'storage.yaml': text })).values).not.toEqual((await load({})).values)
  })

  it('gives an optional group whole when its lines are taken out of the comment', () => {
    const lines = template('storage', sections).split('\n')
    const start = lines.indexOf('# retention:')
    const end = lines.indexOf('', start)
    const group = lines.slice(start, end).map((line) => line.replace('# ', ''))
    expect(parse(group.join('\n'))).toEqual({ retention: { days: 0 } })
    expect(group).toContain('  # mode: drop')
  })

  it('names every setting and says what is allowed', () => {
    for (const { key, section, group, description, ...row } of describeSettings(sections)) {
      const text = template(section, sections)
      if (key.includes('NAME') || group) continue
      expect(text).toContain(`${key.split('.').at(-1)}:`)
      expect(text.replaceAll(/\n\s*(# )+/g, ' ')).toContain(allowedOf(row))
      expect(text).toContain(description.split(' ')[0])
    }
  })
})

describe('what is told of settings', () => {
  it('has no two rows of one key, and none of the key of another section', () => {
    const union = {
      ...sections,
      shape: z
        .strictObject({
          kind: z
            .union([
              z.strictObject({ type: z.literal('file'), path: z.string() }),
              z.strictObject({ type: z.literal('web'), path: z.string(), port: z.int() }),
            ])
            .optional(),
          list: z
            .array(z.strictObject({ name: z.string(), parts: z.array(z.strictObject({ of: z.int() })) }))
            .default([]),
          map: z.record(z.string(), z.strictObject({ size: z.int().describe('Bytes') })).default({}),
        })
        .prefault({}),
    }
    const rows = describeSettings(union)
    expect(new Set(rows.map(({ key }) => key)).size).toBe(rows.length)
    expect(rows.every(({ key, section }) => key.startsWith(`${section}.`))).toBe(true)
    const byKey = new Map<string, SettingDescription>(rows.map((row) => [row.key, row]))
    expect(byKey.get('shape.kind.type')?.type).toBe('"file" or "web"')
    expect(byKey.get('shape.list[].parts[].of')?.type).toBe('whole number')
    expect(byKey.get('shape.map.NAME.size')).toMatchObject({ description: 'Bytes', type: 'whole number' })
  })

  it('agrees with what is loaded: every setting in force has a row, with its default', async () => {
    const config = await load({})
    const rows = describeSettings(sections)
    for (const key of Object.keys(config.flatten())) {
      if (key.startsWith('storage.palette.')) continue
      const row = rows.find((item) => item.key === key)
      expect(row, key).toBeDefined()
      const told = config.explain(key)
      expect(told).toMatchObject({ type: row!.type, range: row!.range, description: row!.description })
      if (row!.default !== undefined) expect(told.value, key).toEqual(row!.default)
    }
  })

  it('finds a setting that two sections define, and none here (control)', () => {
    const rows = z.strictObject({ rows: z.int().default(5).describe('Rows of a batch') }).prefault({})
    expect(duplicateSettings(sections)).toEqual([])
    expect(duplicateSettings({ scan: rows, fill: rows })).toEqual([
      { name: 'rows', keys: ['scan.yaml scan.rows', 'fill.yaml fill.rows'] },
    ])
    expect(duplicateSettings({ scan: rows, fill: rows }, { common: ['rows'] })).toEqual([])
  })
})

describe('the JSON Schema for editors', () => {
  /** The few words of draft-07 that these schemas use. */
  const accepts = (schema: JsonSchema | boolean, value: unknown): boolean => {
    if (typeof schema === 'boolean') return schema
    const { anyOf, type, properties, required = [], additionalProperties = true, items } = schema
    if (anyOf !== undefined && !anyOf.some((item) => accepts(item, value))) return false
    if (schema.enum !== undefined && !schema.enum.includes(value)) return false
    if (schema.pattern !== undefined && typeof value === 'string' && !new RegExp(schema.pattern).test(value))
      return false
    if (typeof value === 'string' && value.length < (schema.minLength ?? 0)) return false
    if (typeof value === 'number') {
      const { minimum = -Infinity, maximum = Infinity, exclusiveMinimum = -Infinity } = schema
      if (value < minimum || value > maximum || value <= exclusiveMinimum) return false
    }
    if (type !== undefined && ![type].flat().some((item) => isOf(item, value))) return false
    if (Array.isArray(value)) return items === undefined || value.every((item) => accepts(items, item))
    if (value === null || typeof value !== 'object') return true
    return (
      required.every((name) => name in value) &&
      Object.entries(value).every(([name, item]) => accepts(properties?.[name] ?? additionalProperties, item))
    )
  }
  const isOf = (type: string, value: unknown): boolean => {
    if (type === 'null') return value === null
    if (type === 'integer') return Number.isInteger(value)
    if (type === 'array') return Array.isArray(value)
    if (type === 'object') return value !== null && typeof value === 'object' && !Array.isArray(value)
    return typeof value === type
  }

  it('is draft-07, with descriptions, defaults, words and ranges', () => {
    const schema = jsonSchema('storage', sections) as JsonSchema & Readonly<Record<string, unknown>>
    expect(schema.$schema).toBe('http://json-schema.org/draft-07/schema#')
    expect(schema.title).toBe('storage.yaml')
    expect(schema.properties?.engine).toMatchObject({
      description: 'Where rows lie',
      default: 'embedded',
      anyOf: [{ enum: ['embedded', 'postgres'] }, { type: 'string' }],
    })
    expect(schema.properties?.hot?.properties?.batchSize).toMatchObject({
      description: 'Rows of one statement',
      default: 1000,
      anyOf: [
        { type: 'integer', minimum: 100, maximum: 10_000 },
        { pattern: expect.stringContaining('\\$\\{') },
      ],
    })
    expect(JSON.stringify(schema)).not.toMatch(/"secret"|"merge"|undefined/)
  })

  it.each([
    ['', true],
    ['name: x', true],
    ['name: ${REGION}', true],
    ['hot: { port: "${PORT}", batchSize: 200 }', true],
    ['hot:', true],
    ['limits: { AAPL: 1, MSFT: "${PORT}" }', true],
    ['hosts: [a, "${REGION}"]', true],
    ['retention: { days: 3 }', true],
    ['ceiling: null', true],
    ['ceiling: ${PORT}', true],
    ['engine: ${ENGINE}', true],
    ['name: ""', false],
    ['name: 5', false],
    ['nmae: x', false],
    ['hot: { port: 0 }', false],
    ['hot: { port: abc }', false],
    ['hot: { prot: 1 }', false],
    ['hot: { ratio: 0 }', false],
    ['engine: oracle', false],
    ['retention: { mode: drop }', false],
    ['hosts: a', false],
    ['limits: [1]', false],
  ] as const)('and the loader judge alike: %s', async (text, valid) => {
    const options: TestOptions = {
      env: { PORT: '6543', REGION: 'east', ENGINE: 'postgres' },
      variables: Object.fromEntries(
        ['PORT', 'REGION', 'ENGINE'].map((name) => [name, { description: name }]),
      ),
    }
    const loads = await load({ 'storage.yaml': `${text}\n` }, options).then(
      () => true,
      () => false,
    )
    const tree: unknown = parse(text) ?? {}
    expect([loads, accepts(jsonSchema('storage', sections) as JsonSchema, tree)]).toEqual([valid, valid])
  })
})

describe('limits', () => {
  it('hold a big configuration to a bounded number of problems, and load a big sound one', async () => {
    const many = (count: number, value: string) =>
      `limits:\n${Array.from({ length: count }, (_, index) => `  S${index}: ${value}\n`).join('')}`
    using sound = folderOf({ 'storage.yaml': many(5_000, '1') })
    using broken = folderOf({ 'storage.yaml': many(5_000, 'x') })
    const { values } = await loadConfig({ directory: sound.path, sections, env: {} })
    expect(Object.keys(values.storage.limits)).toHaveLength(5_000)
    const failed = await loadConfig({ directory: broken.path, sections, env: {} }).then(
      () => 0,
      (error: { problems: readonly unknown[] }) => error.problems.length,
    )
    expect(failed).toBe(200)
  })
})
