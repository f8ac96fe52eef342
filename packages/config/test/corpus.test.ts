import { mkdirSync, rmSync, symlinkSync, writeFileSync, chmodSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { ConfigError } from '../src/ConfigError.ts'
import { loadConfig } from '../src/loadConfig.ts'
import { BYTES } from './corpus/bytes.ts'
import { NAMES } from './corpus/names.ts'
import { OUTSIDE } from './corpus/outside.ts'
import { SYNTAX } from './corpus/syntax.ts'
import { TWICE } from './corpus/twice.ts'
import { VALUES } from './corpus/values.ts'
import { VARIABLES } from './corpus/variables.ts'
import { folderOf, load, problemsOf, sections, type TestOptions } from './support.ts'

/** Values that must never be seen in a message; the cases below use no other secrets. */
const SECRETS = ['hunter2hunter2', 's3cr3t', 'p4ssw0rd'] as const

/** None of the secrets above may be seen. */
function expectNoSecret(text: string): void {
  for (const secret of SECRETS) expect(text).not.toContain(secret)
}

describe.each([
  ['names of keys, files and profiles', NAMES],
  ['values', VALUES],
  ['settings made twice', TWICE],
  ['environment and command line', OUTSIDE],
  ['variables in files', VARIABLES],
  ['syntax', SYNTAX],
  ['bytes', BYTES],
] as const)('a broken configuration: %s', (_group, cases) => {
  it.each(cases.map((item) => [item.name, item] as const))('%s', async (_name, item) => {
    const problems = await problemsOf(item.files ?? {}, item.options)
    const [first] = problems
    expect([first!.code, first!.file, first!.line], first!.message).toEqual(item.expected)
    if (typeof item.says === 'string') expect(first!.message).toContain(item.says)
    else expect(first!.message).toMatch(item.says)
    const text = new ConfigError(problems)
    expectNoSecret(`${text.message} ${JSON.stringify(text.details)}`)
    // A message is no stack trace and no wall of text.
    for (const { message } of problems) expect(message).not.toMatch(/\n|undefined|\[object|Zod|at line/)
  })
})

describe('the corpus', () => {
  it('has at least seventy cases, each with a name of its own', () => {
    const names = [NAMES, VALUES, TWICE, OUTSIDE, VARIABLES, SYNTAX, BYTES].flat().map(({ name }) => name)
    expect(names.length).toBeGreaterThanOrEqual(70)
    expect(new Set(names).size).toBe(names.length)
  })

  it('lets the mended forms load (control)', async () => {
    const { values } = await load({
      'storage.yaml': '\ufeffname: "0777"\nhosts: [a, "12:30"]\nhot: { batchSize: 1000, verify: true }\n',
      'access.yaml': 'token: "@hunter2hunter2 p4ssw0rd"\n',
    })
    expect(values.storage.name).toBe('0777')
    await expect(load({ 'storage.yaml': 'name: ""\n' })).rejects.toThrow('CONFIG_INVALID_VALUE')
  })

  it('would notice a secret that is shown (control)', () => {
    expect(() => expectNoSecret('the token hunter2hunter2 is wrong')).toThrow()
  })
})

describe('several faults', () => {
  it('in several files are told together, in order of file and line', async () => {
    const problems = await problemsOf(
      {
        'access.yaml': 'usr: ann\ntoken: ${ACCESS_TOKEN}\n',
        'storage.yaml':
          'name: x\nname: y\nhot:\n  port: ${PROT}\n  batchSize: 5\n  verify: yes\nfoo: !bar 1\n',
        'profiles/production/storage.yaml': 'engine: oracel\n',
        'storge.yaml': 'name: z\n',
      },
      {
        profile: 'production',
        env: { VARVE_STORAGE__HOT__RATIO: '7', DATABASE_URL: '' },
        overrides: { 'storage.nope': '1' },
      },
    )
    expect(problems.map(({ file, line, code }) => `${file}:${line} ${code}`)).toEqual([
      '--set:1 CONFIG_UNKNOWN_KEY',
      'access.yaml:1 CONFIG_UNKNOWN_KEY',
      'access.yaml:2 CONFIG_SECRET_MISSING',
      'environment:1 CONFIG_SECRET_BLANK',
      'environment:1 CONFIG_INVALID_VALUE',
      'profiles/production/storage.yaml:1 CONFIG_INVALID_VALUE',
      'storage.yaml:2 CONFIG_DUPLICATE_KEY',
      'storage.yaml:4 CONFIG_VARIABLE_FORBIDDEN',
      'storage.yaml:5 CONFIG_INVALID_VALUE',
      'storage.yaml:6 CONFIG_INVALID_VALUE',
      'storage.yaml:7 CONFIG_TAG',
      'storge.yaml:1 CONFIG_UNKNOWN_FILE',
    ])
  })

  it('of one file are bounded', async () => {
    const text = Array.from({ length: 500 }, (_, index) => `key${index}: &a 1`).join('\n')
    expect((await problemsOf({ 'storage.yaml': text }, { limits: { maxProblems: 7 } })).length).toBe(7)
  })
})

describe('keys of a closed map and of a union', () => {
  const closed = {
    plan: z
      .strictObject({
        days: z.partialRecord(z.enum(['monday', 'friday']), z.int()).default({}),
        codes: z.record(z.string().regex(/^[A-Z]+$/, 'Must be capitals'), z.int()).default({}),
        when: z.union([z.literal('never'), z.strictObject({ hour: z.int().max(23) })]).default('never'),
        kind: z
          .discriminatedUnion('type', [
            z.strictObject({ type: z.literal('file'), path: z.string() }),
            z.strictObject({ type: z.literal('web'), url: z.string() }),
          ])
          .optional(),
      })
      .prefault({}),
  }

  it.each([
    ['days: { mondey: 1 }', 'CONFIG_UNKNOWN_KEY', 'did you mean "monday"?'],
    ['codes: { abc: 1 }', 'CONFIG_UNKNOWN_KEY', '"abc" is no name for an entry of codes: must be capitals'],
    ['when: { hour: 25 }', 'CONFIG_INVALID_VALUE', 'when.hour: expected whole number, 23 or less; found 25'],
    [
      'when: nevr',
      'CONFIG_INVALID_VALUE',
      'when: expected "never" or map; found "nevr"; did you mean "never"?',
    ],
    [
      'kind: { type: fil, path: x }',
      'CONFIG_INVALID_VALUE',
      'kind.type: expected "file" or "web"; found "fil"; did you mean "file"?',
    ],
    ['kind: { type: file, pth: x }', 'CONFIG_UNKNOWN_KEY', 'unknown key "kind.pth"; did you mean "path"?'],
  ] as const)('%s', async (text, code, says) => {
    using folder = folderOf({ 'plan.yaml': `${text}\n` })
    const problems = await loadConfig({ directory: folder.path, sections: closed, env: {} }).then(
      () => [],
      (error: unknown) => (error as ConfigError).problems,
    )
    expect(problems.map((item) => `${item.code} ${item.message}`)).toContainEqual(
      expect.stringMatching(new RegExp(`^${code} `)),
    )
    expect(problems.map(({ message }) => message).join('\n')).toContain(says)
  })
})

describe('a folder that cannot be used', () => {
  const options = { sections, env: {} }
  const failure = async (directory: string, more: TestOptions = {}) =>
    await loadConfig({ ...options, ...more, directory }).then(
      () => undefined,
      (error: unknown) => (error as ConfigError).problems[0],
    )

  it('is missing', async () => {
    using folder = folderOf()
    expect(await failure(join(folder.path, 'none'))).toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('there is no such folder'),
    })
  })

  it('is a file', async () => {
    using folder = folderOf({ 'storage.yaml': 'name: x\n' })
    expect(await failure(join(folder.path, 'storage.yaml'))).toMatchObject({
      code: 'CONFIG_NOT_FOUND',
      message: expect.stringContaining('this is a file; name the folder'),
    })
  })

  it('holds a folder with the name of a file', async () => {
    using folder = folderOf()
    mkdirSync(join(folder.path, 'storage.yaml'))
    expect(await failure(folder.path)).toMatchObject({ code: 'CONFIG_UNREADABLE', file: 'storage.yaml' })
  })

  it('holds a device, which would never end', async () => {
    using folder = folderOf()
    symlinkSync('/dev/zero', join(folder.path, 'storage.yaml'))
    expect(await failure(folder.path)).toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringContaining('no ordinary file'),
    })
  })

  it('holds a link to nothing, and a link in a circle', async () => {
    using folder = folderOf()
    symlinkSync('nowhere.yaml', join(folder.path, 'storage.yaml'))
    expect(await failure(folder.path)).toMatchObject({ code: 'CONFIG_UNREADABLE', file: 'storage.yaml' })
    rmSync(join(folder.path, 'storage.yaml'))
    symlinkSync('storage.yaml', join(folder.path, 'storage.yaml'))
    expect(await failure(folder.path)).toMatchObject({ code: 'CONFIG_UNREADABLE' })
  })

  it('reads through a link to a file, as a mounted volume has them (control)', async () => {
    using folder = folderOf({ 'data/storage.yaml': 'name: linked\n' })
    symlinkSync('data/storage.yaml', join(folder.path, 'storage.yaml'))
    const { values } = await loadConfig({ ...options, directory: folder.path })
    expect(values.storage.name).toBe('linked')
  })

  it.skipIf(process.getuid?.() === 0)('holds a file that may not be read (not as root)', async () => {
    using folder = folderOf({ 'storage.yaml': 'name: x\n' })
    chmodSync(join(folder.path, 'storage.yaml'), 0)
    expect(await failure(folder.path)).toMatchObject({
      code: 'CONFIG_UNREADABLE',
      message: expect.stringContaining('EACCES'),
    })
  })

  it('leaves alone what is no configuration: notes, hidden files, backups', async () => {
    using folder = folderOf({
      'README.md': '# notes\n',
      'notes.txt': 'x',
      '.storage.yaml': 'broken: [',
      '.schema/storage.json': '{}',
      'storage.yaml.bak': 'broken: [',
      'storage.yaml~': 'broken: [',
    })
    writeFileSync(join(folder.path, 'storage.yaml'), 'name: x\n')
    expect(await failure(folder.path)).toBeUndefined()
  })

  it('does not leave it by the name of a profile', async () => {
    using folder = folderOf({
      'inside/profiles/test/storage.yaml': 'name: x\n',
      'outside/storage.yaml': 'name: y\n',
    })
    const loaded = await loadConfig({
      ...options,
      directory: join(folder.path, 'inside'),
      profile: '../../outside',
    })
    expect(loaded.values.storage.name).toBe('varve')
  })
})
