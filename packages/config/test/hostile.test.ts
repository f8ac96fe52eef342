import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type ConfigError, loadConfig } from '../src/index.ts'
import { describe, expect, it } from 'vitest'
import { load, problemsOf, sections, variables, withFolder } from './hostileSupport.ts'

const asRoot = process.getuid?.() === 0

async function codesIn(directory: string): Promise<string[]> {
  const error = await loadConfig({ directory, sections, env: {}, variables }).catch((found: unknown) => found)
  return (error as ConfigError).problems.map(({ file, code }) => `${file} ${code}`)
}

describe('a folder that cannot be used', () => {
  it('is told apart from one that is not there', async () => {
    await withFolder({ 'storage.yaml': '' }, async (directory) => {
      expect((await codesIn(join(directory, 'nowhere')))[0]).toMatch(/CONFIG_NOT_FOUND$/)
      expect((await codesIn(join(directory, 'storage.yaml')))[0]).toMatch(/CONFIG_NOT_FOUND$/)
      mkdirSync(join(directory, 'providers.yaml'))
      expect(await codesIn(directory)).toEqual(['providers.yaml CONFIG_UNREADABLE'])
    })
  })

  it.skipIf(asRoot)('says that a file may not be read', async () => {
    await withFolder({ 'storage.yaml': '' }, async (directory) => {
      chmodSync(join(directory, 'storage.yaml'), 0o000)
      expect(await codesIn(directory)).toEqual(['storage.yaml CONFIG_UNREADABLE'])
    })
  })

  it('does not fall back to defaults where a link leads nowhere', async () => {
    await withFolder({}, async (directory) => {
      symlinkSync(join(directory, 'gone'), join(directory, 'storage.yaml'))
      expect(await codesIn(directory)).toEqual(['storage.yaml CONFIG_UNREADABLE'])
    })
  })

  it.runIf(process.platform === 'linux')(
    'does not wait for a pipe, nor read a device without end',
    async () => {
      await withFolder({}, async (directory) => {
        execFileSync('mkfifo', [join(directory, 'storage.yaml')])
        symlinkSync('/dev/zero', join(directory, 'providers.yaml'))
        const found = await Promise.race([
          codesIn(directory),
          new Promise<string[]>((resolve) => setTimeout(() => resolve(['waited']), 2000).unref()),
        ])
        // Lets a reader go that is stuck, so that the process can end.
        writeFileSync(join(directory, 'storage.yaml'), '', { flag: 'r+' })
        expect(found).toEqual(['providers.yaml CONFIG_UNREADABLE', 'storage.yaml CONFIG_UNREADABLE'])
      })
    },
  )

  it('takes an ending in capitals for what it is, rather than passing over the file', async () => {
    const problems = await problemsOf({ 'storage.YAML': 'nonsense: 1\n' })
    expect(problems[0]?.file).toBe('storage.YAML')
  })
})

describe('a file made to do harm', () => {
  const only = async (text: string) => {
    const problems = await problemsOf({ 'storage.yaml': text })
    return problems.map(({ code }) => code)
  }

  it('is refused by size before it is read', async () => {
    expect(await only('#'.repeat(10_000_000))).toEqual(['CONFIG_TOO_LARGE'])
  })

  it.each([
    ['lists', `hosts: ${'['.repeat(100_000)}`],
    ['closed lists', `hosts: ${'['.repeat(100_000)}${']'.repeat(100_000)}`],
    ['flow maps', `hosts: ${'{a: '.repeat(50_000)}`],
    ['indented maps', Array.from({ length: 1200 }, (_, depth) => `${' '.repeat(depth)}a:`).join('\n')],
    ['indented lists', '- '.repeat(100_000)],
    ['explicit keys', '? '.repeat(100_000)],
  ])('is refused when it nests %s without end', async (_name, text) => {
    const codes = await only(text)
    expect(codes.length).toBeGreaterThan(0)
    for (const code of codes) expect(code).toMatch(/CONFIG_(TOO_DEEP|SYNTAX|INVALID_VALUE)/)
  })

  it('does not unfold a bomb of aliases', async () => {
    const levels = 'abcdefghi'.split('')
    const bomb = levels.map((name, index) =>
      index === 0
        ? `${name}: &${name} [x, x, x, x, x, x, x, x, x]`
        : `${name}: &${name} [${`*${levels[index - 1]!},`.repeat(9)}]`,
    )
    expect(new Set(await only(`${bomb.join('\n')}\n`))).toContain('CONFIG_ALIASES')
  })

  it('does not unfold a bomb of variables', async () => {
    const names = Array.from({ length: 40 }, (_, index) => `V${index}`)
    const rules = Object.fromEntries(names.map((name) => [name, { description: 'a part' }]))
    const env = Object.fromEntries(
      names.map((name, index) => [name, index === 39 ? 'x' : `\${V${index + 1}}\${V${index + 1}}`]),
    )
    const problems = await problemsOf({ 'storage.yaml': 'directory: ${V0}\n' }, { env, variables: rules })
    expect(problems).toHaveLength(1)
  })

  it('does not make a report longer than anybody reads', async () => {
    const many = Array.from({ length: 4_000 }, (_, index) => `unknown${index}: 1`).join('\n')
    const problems = await problemsOf({ 'storage.yaml': many })
    expect(problems.length).toBeLessThanOrEqual(201)
    const values = Array.from({ length: 4_000 }, () => '- 7').join('\n')
    expect((await problemsOf({ 'storage.yaml': `hosts:\n${values}` })).length).toBeLessThanOrEqual(201)
    const dotted = Array.from({ length: 4_000 }, (_, index) => `a.b${index}: 1`).join('\n')
    expect((await problemsOf({ 'storage.yaml': dotted })).length).toBeLessThanOrEqual(201)
  })

  it('has no key so long that it fills the screen', async () => {
    const [found] = await problemsOf({ 'storage.yaml': `? ${'k'.repeat(500_000)}\n: 1\n` })
    expect(found!.message.length).toBeLessThan(1000)
  })

  it.each(['"\\e[2J"', '"a\\nstorage.yaml:1:1 CONFIG_OK all is well"', '"\\u202e"', '"\\x9b31m"'])(
    'cannot write control characters into the report with a key like %s',
    async (key) => {
      const problems = await problemsOf({ 'storage.yaml': `${key}: 1\n` })
      for (const { message } of problems) expect(message).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u)
    },
  )

  it('cannot write them with a value either', async () => {
    const problems = await problemsOf({ 'storage.yaml': 'engine: "\\e[2J\\x9b31m\\u202e\\n"\n' })
    for (const { message } of problems) expect(message).not.toMatch(/[\p{Cc}\u202a-\u202e\u2066-\u2069]/u)
  })

  it('cannot reach a prototype by any way in', async () => {
    const names = ['__proto__', 'constructor', 'prototype']
    for (const name of names) {
      await problemsOf({ 'rate-limits.yaml': `weights:\n  "${name}": { polluted: 1 }\n` })
      await problemsOf({ 'rate-limits.json': `{"weights": {"${name}": {"polluted": 1}}}` })
      await problemsOf({}, { overrides: { [`rate-limits.weights.${name}`]: '0.5' } })
      await problemsOf({}, { overrides: { 'rate-limits.weights': `{ ${name}: 0.5 }` } })
      await problemsOf({}, { env: { VARVE_RATE_LIMITS__WEIGHTS: `{ ${name}: 0.5 }` } })
    }
    expect(({} as Record<string, unknown>).polluted).toBeUndefined()
    expect(Object.prototype.toString.call({})).toBe('[object Object]')
  })
})

describe('a file that is fine though it looks odd', () => {
  it.each([
    ['empty', ''],
    ['nothing but comments', '# nothing\n\n# here\n'],
    ['a mark of UTF-8 at its beginning', '\uFEFFverify: true\n'],
    ['line ends of Windows', 'verify: true\r\nhot:\r\n  days: 30\r\n'],
    ['a document mark', '---\nverify: true\n...\n'],
    ['a group whose settings are commented out', 'hot:\n  # days: 7\nhosts: []\n'],
    ['no line end', 'verify: true'],
  ])('%s', async (_name, text) => {
    const { values } = await load({ 'storage.yaml': text })
    expect(values.storage).toEqual((await load({})).values.storage)
  })

  it('JSON indented with tabs, with escapes of its own', async () => {
    const { values } = await load({
      'storage.json':
        '{\n\t"directory": "a\\/b\\u00e9\\ud83d\\ude00",\n\t"hot": {\n\t\t"days": null\n\t}\n}\n',
    })
    expect(values.storage.directory).toBe('a/bé😀')
    expect(values.storage.hot.days).toBeNull()
  })

  it('a variable for a number in JSON, where every reference is quoted', async () => {
    const { values } = await load(
      { 'storage.json': '{"hot": {"batchSize": "${BATCH}"}}' },
      { env: { BATCH: '500' } },
    )
    expect(values.storage.hot.batchSize).toBe(500)
  })

  it('names of entries that hold dots', async () => {
    const loaded = await load({ 'rate-limits.yaml': 'weights:\n  BRK.B: 0.5\n' })
    expect(loaded.values['rate-limits'].weights).toEqual({ 'BRK.B': 0.5 })
    expect(() => loaded.origins()).not.toThrow()
    expect(loaded.origins().get('rate-limits.weights.BRK.B')).toMatchObject({ kind: 'file', line: 2 })
  })
})

describe('several faults', () => {
  it('are all reported at once, those of one file too', async () => {
    const problems = await problemsOf({
      'storage.yaml': 'directory: ${LAKE}\nverify: yes\nhot:\n  batchSize: 1\n  dayz: 3\n',
      'providers.yaml': 'polygon:\n  apiKey: TODO\n',
      'rate-limits.yaml': 'weights: { a: 2 }\nweights: { b: 2 }\n',
    })
    expect(problems.map(({ file, line, code }) => `${file}:${line} ${code}`)).toEqual([
      'providers.yaml:2 CONFIG_PLACEHOLDER',
      'rate-limits.yaml:2 CONFIG_DUPLICATE_KEY',
      'storage.yaml:1 CONFIG_VARIABLE_MISSING',
      'storage.yaml:2 CONFIG_INVALID_VALUE',
      'storage.yaml:4 CONFIG_INVALID_VALUE',
      'storage.yaml:5 CONFIG_UNKNOWN_KEY',
    ])
  })
})
