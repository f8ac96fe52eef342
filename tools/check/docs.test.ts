import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { eventSchemas } from '@varve/events'
import { BAR_RULES } from '@varve/pipeline'
import { describe, expect, it } from 'vitest'
import { CLI_REFERENCE, cliReference } from './cliReference.ts'
import { CONFIG_REFERENCE, configReference } from './configReference.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))
const SKIPPED = new Set(['node_modules', 'dist', '.nx', '.git', 'coverage', '.varve'])

function* filesUnder(folder: string, wanted: (path: string) => boolean): Generator<string> {
  for (const name of readdirSync(folder)) {
    if (SKIPPED.has(name)) continue
    const path = join(folder, name)
    if (statSync(path).isDirectory()) yield* filesUnder(path, wanted)
    else if (wanted(path)) yield path
  }
}

const page = (name: string) => readFileSync(join(ROOT, 'docs', name), 'utf8')
const source = (path: string) => readFileSync(join(ROOT, path), 'utf8')

/** Sources of the product: no tests, no suites for tests. */
const sources = ['packages', 'apps'].flatMap((group) => [
  ...filesUnder(
    join(ROOT, group),
    (path) =>
      /[\\/]src[\\/].*\.ts$/.test(path) && !path.endsWith('.test.ts') && !/[\\/]testing[\\/]/.test(path),
  ),
])

/** Error codes in a source: `code: 'X'` and the codes of unions and maps that end up there. */
function codesIn(text: string): string[] {
  const direct = [...text.matchAll(/\bcode: '([A-Z][A-Z0-9_]+)'/g)].map((match) => match[1]!)
  const named = [
    ...text.matchAll(
      /'((?:CONFIG|PROVIDER|FILE|DATABASE|DIRECTORY|LAKE|STORAGE|QUOTA|JOB|SCAN|LISTING)_[A-Z0-9_]+)'/g,
    ),
  ]
  return [...direct, ...named.map((match) => match[1]!)]
}

/** Names that look like codes and are none: environment variables. */
const NO_CODES = new Set(['DATABASE_URL'])

/** First cells of the tables of a page, without their backticks. */
function rowsOf(markdown: string): string[] {
  return [...markdown.matchAll(/^\| `([^`]+)`/gm)].map((match) => match[1]!)
}

describe('reference', () => {
  it('configuration.md says what the schemas say (node --conditions=@varve/source tools/check/configReference.ts writes it)', () => {
    expect(readFileSync(CONFIG_REFERENCE, 'utf8')).toBe(configReference())
  })

  it('cli.md says what --help says (node tools/check/cliReference.ts writes it)', () => {
    expect(readFileSync(CLI_REFERENCE, 'utf8')).toBe(cliReference())
  })

  it('errors.md has a row for every code of the sources, and no other', () => {
    const found = new Set(
      sources.flatMap((path) => codesIn(readFileSync(path, 'utf8'))).filter((code) => !NO_CODES.has(code)),
    )
    expect(found.size).toBeGreaterThan(60)
    expect(rowsOf(page('reference/errors.md')).sort()).toEqual([...found, 'UNEXPECTED'].sort())
  })

  it('finds a code that has no row (control)', () => {
    expect(codesIn("throw new VarveError('x', { code: 'NOWHERE_DESCRIBED' })")).toEqual(['NOWHERE_DESCRIBED'])
    expect(rowsOf(page('reference/errors.md'))).not.toContain('NOWHERE_DESCRIBED')
  })

  it('validation-rules.md has a row for every rule, and no other', () => {
    const inPipeline = [...source('packages/pipeline/src/validate.ts').matchAll(/'(price_[a-z]+)'/g)].map(
      (match) => match[1]!,
    )
    const inProviders = sources
      .filter((path) => /packages[\\/]providers[\\/]src[\\/](?!credentials)/.test(path))
      .flatMap((path) => [
        ...readFileSync(path, 'utf8').matchAll(
          /'((?:[a-z]+_)+(?:missing|invalid|price|volume|number|decimals|range)|unreadable)'/g,
        ),
      ])
      .map((match) => match[1]!)
    const rules = new Set([...BAR_RULES.map((rule) => rule.rule), ...inPipeline, ...inProviders])
    expect(rowsOf(page('reference/validation-rules.md')).sort()).toEqual([...rules].sort())
  })

  it('events.md has every event with every field', () => {
    const text = page('reference/events.md')
    for (const [type, schema] of Object.entries(eventSchemas)) {
      const section = text.split(`## ${type}\n`)[1]?.split('\n## ')[0]
      expect(section, type).toBeDefined()
      expect(rowsOf(section!).sort(), type).toEqual(Object.keys(schema.shape).sort())
    }
  })

  it('run-report.md has every field of the report', () => {
    const text = page('reference/run-report.md')
    const report = source('packages/pipeline/src/report.ts')
      .split('export interface RunReport {')[1]!
      .split('\n}\n')[0]!
    const tally = source('packages/pipeline/src/tally.ts')
    const counters = [...tally.matchAll(/readonly (?:bars|gaps|jobs) = \{ ([^}]+) \}/g)].flatMap((match) =>
      [...match[1]!.matchAll(/(\w+): 0/g)].map((field) => field[1]!),
    )
    const fields = [...report.matchAll(/readonly (\w+):/g)].map((match) => match[1]!)
    expect(fields.length + counters.length).toBeGreaterThan(30)
    const named = new Set(rowsOf(text).flatMap((row) => row.split('.')))
    expect([...fields, ...counters].filter((field) => !named.has(field))).toEqual([])
  })
})

describe('pages', () => {
  const pages = [
    ...filesUnder(join(ROOT, 'docs'), (path) => path.endsWith('.md')),
    ...['packages', 'apps'].flatMap((group) => [
      ...filesUnder(join(ROOT, group), (path) => path.endsWith('README.md')),
    ]),
    join(ROOT, 'README.md'),
    join(ROOT, 'CONTRIBUTING.md'),
  ]

  it.each(pages.map((path) => relative(ROOT, path)))(
    '%s has no dead link and no path of one machine',
    (name) => {
      const text = readFileSync(join(ROOT, name), 'utf8')
      const links = [
        ...text
          .replaceAll(/```[\s\S]*?```/g, '')
          .matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)(?:#[^)]*)?\)/g),
      ]
      const dead = links
        .map((match) => match[1]!)
        .filter((link) => !existsSync(resolve(ROOT, dirname(name), link)))
      expect(dead).toEqual([])
      expect(text).not.toMatch(/\/(?:work|home|root|Users)\/|\/tmp\//)
    },
  )

  it('docs/README.md leads to every page', () => {
    const index = page('README.md')
    const missing = [...filesUnder(join(ROOT, 'docs'), (path) => path.endsWith('.md'))]
      .map((path) => relative(join(ROOT, 'docs'), path).replaceAll('\\', '/'))
      .filter((name) => name !== 'README.md' && !index.includes(`(${name})`))
    expect(missing).toEqual([])
  })
})
