import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { REDACTED, Secret } from '@varve/core'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { folderOf, load, problemsOf, sections } from '../test/support.ts'
import { loadConfig } from './loadConfig.ts'

const TOKEN = 'tok-1234-abcd'
const URL_OF_DATABASE = 'postgres://ann:s3cretword@db.example.org/varve'

describe('precedence', () => {
  it('takes every default without a folder and with an empty one', async () => {
    const none = await loadConfig({ directory: null, sections, env: {} })
    const empty = await load({})
    expect(none.values).toEqual(empty.values)
    expect(none.values.storage.hot.batchSize).toBe(1000)
    expect(none.files).toEqual([])
    expect(none.profile).toBeUndefined()
  })

  it('lays files over defaults, key by key', async () => {
    const { values } = await load(
      { 'storage.yaml': 'hot:\n  batchSize: 200\nlimits:\n  MSFT: 2\n' },
      { defaults: { storage: { hot: { port: 6000 }, limits: { AAPL: 1 } } } },
    )
    expect(values.storage.hot).toEqual({ batchSize: 200, port: 6000, ratio: 0.5, verify: true })
    expect(values.storage.limits).toEqual({ AAPL: 1, MSFT: 2 })
  })

  it('reads YAML and JSON alike', async () => {
    const yaml = await load({ 'storage.yml': 'hot: { batchSize: 300 }\n' })
    const json = await load({ 'storage.json': '{\n\t"hot": {\n\t\t"batchSize": 300\n\t}\n}\n' })
    expect(json.values).toEqual(yaml.values)
  })

  it('replaces lists, and maps that say so, as a whole', async () => {
    const { values } = await load(
      {
        'storage.yaml': 'hosts: [c]\npalette: { green: 3 }\n',
        'profiles/test/storage.yaml': 'hosts: [d, e]\n',
      },
      { profile: 'test' },
    )
    expect(values.storage.hosts).toEqual(['d', 'e'])
    expect(values.storage.palette).toEqual({ green: 3 })
    const profile = await load(
      {
        'storage.yaml': 'palette: { green: 3 }\n',
        'profiles/test/storage.yaml': 'palette: { white: 4 }\n',
      },
      { profile: 'test' },
    )
    expect(profile.values.storage.palette).toEqual({ white: 4 })
    expect(profile.explain('storage.palette').overrode).toHaveLength(1)
    expect(profile.explain('storage.palette.white').overrode).toEqual([])
    // What was replaced with its whole map gave nothing.
    expect(profile.explain('storage.palette.green')).toMatchObject({
      value: undefined,
      origin: { kind: 'default' },
    })
  })

  it('reads the files of the profile only, and lists what it read', async () => {
    const files = {
      'storage.yaml': 'hot: { batchSize: 200 }\n',
      'access.yaml': 'user: ann\n',
      'profiles/production/storage.yaml': 'hot: { batchSize: 300 }\n',
      'profiles/test/storage.yaml': 'hot: { batchSize: broken }\n',
    }
    const production = await load(files, { profile: 'production' })
    expect(production.values.storage.hot.batchSize).toBe(300)
    expect(production.profile).toBe('production')
    expect(production.files).toEqual(['access.yaml', 'storage.yaml', 'profiles/production/storage.yaml'])
    const none = await load(files)
    expect(none.values.storage.hot.batchSize).toBe(200)
    const absent = await load(files, { profile: 'staging' })
    expect(absent.values.storage.hot.batchSize).toBe(200)
  })

  it('tells the winner with its place, and what it overrode from the top', async () => {
    const config = await load(
      {
        'storage.yaml': '# rows\nhot:\n  batchSize: 200\n',
        'profiles/test/storage.yaml': 'hot: { batchSize: 300 }\n',
      },
      {
        profile: 'test',
        defaults: { storage: { hot: { batchSize: 150 } } },
        env: { VARVE_STORAGE__HOT__BATCH_SIZE: '400' },
        overrides: { 'storage.hot.batchSize': '500' },
      },
    )
    expect(config.values.storage.hot.batchSize).toBe(500)
    expect(config.explain('storage.hot.batchSize')).toEqual({
      key: 'storage.hot.batchSize',
      value: 500,
      origin: { kind: 'override', source: '--set' },
      overrode: [
        { value: 400, origin: { kind: 'environment', variable: 'VARVE_STORAGE__HOT__BATCH_SIZE' } },
        { value: 300, origin: { kind: 'profile', file: 'profiles/test/storage.yaml', line: 1, column: 19 } },
        { value: 200, origin: { kind: 'file', file: 'storage.yaml', line: 3, column: 14 } },
        { value: 150, origin: { kind: 'default' } },
      ],
      type: 'whole number',
      range: '100 to 10000',
      default: 1000,
      description: 'Rows of one statement',
      secret: false,
    })
  })

  it('does not let a group whose settings are all commented out say anything', async () => {
    const config = await load({
      'storage.yaml': 'hot:\n  # batchSize: 200\n  # port: 1\n',
      'access.yaml': '# user: ann\n',
    })
    expect(config.values.storage.hot.batchSize).toBe(1000)
    expect(config.explain('storage.hot').origin).toEqual({ kind: 'default' })
    const over = await load(
      { 'storage.yaml': 'hot:\n  batchSize: 200\n', 'profiles/test/storage.yaml': 'hot:\nlimits:\n' },
      { profile: 'test' },
    )
    expect(over.values.storage.hot.batchSize).toBe(200)
  })

  it('takes null where null is a value, and an optional group where it is written', async () => {
    const config = await load({ 'storage.yaml': 'ceiling: null\nretention: { days: 7 }\n' })
    expect(config.values.storage.ceiling).toBeNull()
    expect(config.values.storage.retention).toEqual({ days: 7, mode: 'drop' })
    expect(config.explain('storage.ceiling')).toMatchObject({ value: null, default: 500 })
  })
})

describe('what is shown', () => {
  it('never holds a secret: values, explain, flatten, redacted', async () => {
    const config = await load(
      { 'access.yaml': `token: ${TOKEN}\nkeys: { polygon: ${TOKEN} }\n` },
      { env: { VARVE_ACCESS__TOKEN: `${TOKEN}-2`, DATABASE_URL: URL_OF_DATABASE } },
    )
    const token: Secret = config.values.access.token!
    expect(token.reveal()).toBe(`${TOKEN}-2`)
    const told = config.explain('access.token')
    expect(told).toMatchObject({ value: REDACTED, secret: true, overrode: [{ value: REDACTED }] })
    expect(config.flatten()['access.keys.polygon']).toBe(REDACTED)
    const seen = [
      config.values,
      config.flatten(),
      config.redacted(),
      config.explain('access'),
      config.explain('access.keys'),
      config.explain('access.database'),
      told,
      config.warnings,
    ]
    for (const item of seen) {
      const text = `${JSON.stringify(item)} ${inspect(item, { depth: 9 })}`
      expect(text).not.toContain(TOKEN)
      expect(text).not.toContain('s3cretword')
    }
  })

  it('covers what only its schema calls secret, in lists, unions and as a default too', async () => {
    const marked = {
      plain: z
        .strictObject({
          word: z.string().meta({ secret: true }).default('fallback-word'),
          either: z.union([z.string().meta({ secret: true }), z.null()]).default(null),
          many: z.array(z.string().meta({ secret: true })).default([]),
          made: z
            .string()
            .transform((text) => new Secret(text))
            .optional(),
        })
        .prefault({}),
    }
    using folder = folderOf({ 'plain.yaml': 'either: seen-once\nmany: [seen-twice]\nmade: seen-thrice\n' })
    const config = await loadConfig({ directory: folder.path, sections: marked, env: {} })
    expect(config.values.plain.either).toBe('seen-once')
    expect(config.redacted()).toMatchObject({ plain: { made: REDACTED } })
    const text = JSON.stringify([
      config.flatten(),
      config.redacted(),
      ...['plain', 'plain.word', 'plain.either', 'plain.many'].map((key) => config.explain(key)),
    ])
    expect(text).not.toMatch(/fallback-word|seen-/)
  })

  it('flattens to dotted keys with lists as values, and says who gave each', async () => {
    const config = await load({ 'storage.yaml': 'hot: { batchSize: 200 }\nlimits: { BRK.B: 5 }\n' })
    const flat = config.flatten()
    expect(flat).toMatchObject({
      'storage.hot.batchSize': 200,
      'storage.hosts': ['a', 'b'],
      'storage.limits.BRK.B': 5,
      'access.user': 'reader',
    })
    const origins = config.origins()
    expect([...origins.keys()]).toEqual(Object.keys(flat))
    expect(origins.get('storage.hot.batchSize')).toEqual({
      kind: 'file',
      file: 'storage.yaml',
      line: 1,
      column: 19,
    })
    expect(origins.get('storage.limits.BRK.B')).toMatchObject({ kind: 'file', line: 2 })
    expect(origins.get('access.user')).toEqual({ kind: 'default' })
    expect(config.explain('storage.limits.BRK.B').value).toBe(5)
  })

  it('explains entries of lists and maps, and refuses what is no setting with the nearest', async () => {
    const config = await load({ 'storage.yaml': 'hosts:\n  - x\n  - y\n' })
    expect(config.explain('storage.hosts.1')).toMatchObject({ value: 'y', origin: { line: 3, column: 5 } })
    for (const [key, near] of [
      ['storage.hot.batchsize', 'storage.hot.batchSize'],
      ['batchSize', 'storage.hot.batchSize'],
      ['storrage.name', 'storage.name'],
    ] as const)
      expect(() => config.explain(key)).toThrow(`did you mean "${near}"`)
    for (const key of [
      '',
      '.',
      'storage.hosts.length',
      'storage.__proto__',
      'storage.limits.__proto__',
      'storage.hot.toString',
    ])
      expect(() => config.explain(key), key).toThrow(expect.objectContaining({ code: 'CONFIG_KEY_UNKNOWN' }))
  })

  it('writes a literal ${ so that a file with it loads again', async () => {
    const { redacted, flatten } = await load({ 'storage.yaml': 'name: $${PORT}\n' })
    expect(flatten()['storage.name']).toBe('${PORT}')
    expect(redacted()).toMatchObject({ storage: { name: '$${PORT}' } })
  })

  it('is frozen through and through', async () => {
    const { values, warnings, files } = await load({ 'storage.yaml': 'hosts: [x]\n' })
    const hosts = values.storage.hosts as string[]
    expect(() => hosts.push('y')).toThrow(TypeError)
    expect(() => Object.assign(values.storage.hot, { batchSize: 1 })).toThrow(TypeError)
    expect(() => Object.assign(values, { other: 1 })).toThrow(TypeError)
    expect(Object.isFrozen(warnings)).toBe(true)
    expect(Object.isFrozen(files)).toBe(true)
  })
})

describe('warnings', () => {
  const deprecated = [
    { from: 'database.host', to: 'storage.name', guide: 'docs/migration.md' },
    { from: 'database.port', to: 'storage.hot.port', guide: 'docs/migration.md' },
    {
      from: 'storage.batchRowsThousands',
      to: 'storage.hot.batchSize',
      guide: 'docs/migration.md',
      convert: (value: unknown) => Number(value) * 1000,
    },
  ]

  it('take older paths where they were, with one warning for each', async () => {
    const config = await load(
      {
        'database.yaml': 'host: old-name\nport: ${PORT}\n',
        'storage.yaml': 'engine: postgres\nbatchRowsThousands: 2\n',
        'profiles/test/database.yaml': 'host: profile-name\n',
      },
      { deprecated, profile: 'test', env: { PORT: '6543' } },
    )
    expect(config.values.storage).toMatchObject({
      name: 'profile-name',
      engine: 'postgres',
      hot: { port: 6543, batchSize: 2000 },
    })
    expect(config.warnings.map(({ code, key, file, line }) => [code, key, file, line])).toEqual([
      ['CONFIG_DEPRECATED', 'storage.name', 'database.yaml', 1],
      ['CONFIG_DEPRECATED', 'storage.hot.port', 'database.yaml', 2],
      ['CONFIG_DEPRECATED', 'storage.hot.batchSize', 'storage.yaml', 2],
    ])
    expect(config.warnings[0]!.message).toContain('database.host is now storage.name')
    expect(config.warnings[0]!.message).toContain('docs/migration.md')
    expect(config.explain('storage.name')).toMatchObject({
      origin: { kind: 'profile', file: 'profiles/test/database.yaml', line: 1 },
      overrode: [{ value: 'old-name' }],
    })
    expect(config.explain('storage.hot.port').origin).toMatchObject({ line: 2, variable: 'PORT' })
  })

  it('let the new name in a profile win over the old one in a file', async () => {
    const config = await load(
      { 'database.yaml': 'host: old-name\n', 'profiles/test/storage.yaml': 'name: profile-name\n' },
      { deprecated, profile: 'test' },
    )
    expect(config.values.storage.name).toBe('profile-name')
    expect(config.explain('storage.name').overrode).toMatchObject([{ value: 'old-name' }])
  })

  it('tell of values that are legal and risky, at their place', async () => {
    const risks = [
      {
        key: 'storage.hot.ratio',
        when: (value: unknown) => Number(value) > 0.9,
        message: 'leaves no memory to others',
      },
      { key: 'storage.retention.days', when: (value: unknown) => value === 0, message: 'keeps nothing' },
    ]
    const { warnings } = await load({ 'storage.yaml': 'hot:\n  ratio: 0.95\n' }, { risks })
    expect(warnings).toEqual([
      {
        code: 'CONFIG_RISKY',
        key: 'storage.hot.ratio',
        file: 'storage.yaml',
        line: 2,
        column: 10,
        message: 'storage.hot.ratio = 0.95: leaves no memory to others',
      },
    ])
    expect((await load({}, { risks })).warnings).toEqual([])
  })
})

describe('checks between settings', () => {
  it('stand at the key they report', async () => {
    const crossChecks = [
      (
        values: { storage: { engine: string; name: string } },
        report: (key: string, message: string) => void,
      ) => {
        if (values.storage.engine === 'postgres' && values.storage.name === 'varve')
          report('storage.name', 'needs a name of its own in Postgres')
      },
    ]
    const [found] = await problemsOf(
      { 'storage.yaml': 'engine: postgres\nhot: {}\nname: varve\n' },
      { crossChecks },
    )
    expect(found).toMatchObject({
      code: 'CONFIG_CROSS_FIELD',
      file: 'storage.yaml',
      line: 3,
      column: 7,
      key: 'storage.name',
      message: 'storage.name: needs a name of its own in Postgres',
    })
    // A default that breaks a rule has no line; it is named after the file it would stand in.
    expect(await problemsOf({ 'storage.yaml': 'engine: postgres\n' }, { crossChecks })).toMatchObject([
      { code: 'CONFIG_CROSS_FIELD', file: 'storage.yaml', line: 1 },
    ])
    expect(
      await problemsOf(
        {},
        { crossChecks, env: { VARVE_STORAGE__ENGINE: 'postgres', VARVE_STORAGE__NAME: 'varve' } },
      ),
    ).toMatchObject([{ file: 'environment' }])
  })
})

describe('options', () => {
  it('that contradict themselves are refused before anything is read', async () => {
    for (const options of [
      { limits: { maxDepth: 0 } },
      { variables: { PORT: { description: 'port', setting: 'storage.hot.prt' } } },
      { risks: [{ key: 'storage.nothing', when: () => true, message: 'never' }] },
      { deprecated: [{ from: 'old.name', to: 'storage.nmae', guide: 'docs' }] },
    ])
      await expect(load({}, options)).rejects.toThrow(expect.objectContaining({ code: 'OPTION_INVALID' }))
  })

  it('do not read the environment of the process when they name one', async () => {
    using folder = folderOf()
    process.env.VARVE_STORAGE__NAME = 'of-the-process'
    try {
      const own = await loadConfig({ directory: folder.path, sections, envPrefix: 'VARVE_' })
      expect(own.values.storage.name).toBe('of-the-process')
      const given = await loadConfig({ directory: folder.path, sections, envPrefix: 'VARVE_', env: {} })
      expect(given.values.storage.name).toBe('varve')
    } finally {
      delete process.env.VARVE_STORAGE__NAME
    }
  })

  it('read the folder anew each time', async () => {
    using folder = folderOf({ 'storage.yaml': 'name: first\n' })
    const options = { directory: folder.path, sections, env: {} }
    const first = await loadConfig(options)
    writeFileSync(join(folder.path, 'storage.yaml'), 'name: second\n')
    const second = await loadConfig(options)
    expect([first.values.storage.name, second.values.storage.name]).toEqual(['first', 'second'])
  })
})
