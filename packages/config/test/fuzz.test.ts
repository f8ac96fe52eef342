import { randomInt } from 'node:crypto'
import { isVarveError } from '@varve/core'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { ConfigError } from '../src/ConfigError.ts'
import { type Files, load, type TestOptions, variables } from './support.ts'

const FIXED_SEED = 20_260_114
const RANDOM_SEED = randomInt(2 ** 31)
console.log(`fuzz: the random seed is ${RANDOM_SEED}`)

/** Longer than any of these inputs should take on a busy machine, far shorter than a hang. */
const EACH_MS = 4_000

const VALID = `# Where rows lie
name: varve
engine: postgres
hot:
  batchSize: 200 # rows
  port: \${PORT}
  ratio: 0.25
  verify: true
limits: { AAPL: 1, BRK.B: 2 }
hosts:
  - a
  - "b: c"
retention:
  days: 7
  mode: archive
ceiling: null
palette: { red: 1 }
`

/** Loads and asks everything of what was loaded. */
async function survive(files: Files, options: TestOptions = {}): Promise<'loaded' | 'refused'> {
  const env = { PORT: '6543', REGION: 'east', ACCESS_TOKEN: 'tok-1234-abcd', ...options.env }
  let result: 'loaded' | 'refused'
  try {
    const config = await load(files, { ...options, env })
    for (const key of Object.keys(config.flatten())) config.explain(key)
    config.origins()
    JSON.stringify(config.redacted())
    result = 'loaded'
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    for (const { line, column, message, file } of error.problems) {
      if (line < 1 || column < 1 || message === '' || file === '')
        throw new Error(`a problem without a place: ${JSON.stringify(error.problems)}`, { cause: error })
    }
    if (error.message.includes('tok-1234-abcd')) throw new Error('a secret is shown', { cause: error })
    result = 'refused'
  }
  expect(({} as { polluted?: unknown }).polluted).toBeUndefined()
  return result
}

const PIECES = [
  ': ', '- ', '\n', '  ', '\t', '[', ']', '{', '}', '"', "'", '#', '&a ', '*a', '!!str ', '!x ', '<<: ', '---\n', '...\n',
  '${PORT}', '${', '$${', '${A:-b}', '| ', '>\n', '? ', '__proto__', 'constructor', 'null', '~', 'yes', '0777', '1e999',
  '.nan', '-', '\ufeff', '\u2028', '\0', '%YAML 1.1\n', 'polluted: 1', 'hot', 'limits', 'token', '\ud83d',
] as const // prettier-ignore

const key = fc.oneof(
  fc.constantFrom(
    'name',
    'hot',
    'port',
    'limits',
    'hosts',
    'token',
    'keys',
    '__proto__',
    'constructor',
    'a.b',
    '',
    '<<',
    '0',
  ),
  fc.string({ maxLength: 8, unit: 'grapheme' }),
)

const { tree } = fc.letrec((tie) => ({
  tree: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    fc.oneof(
      fc.string({ maxLength: 12, unit: 'grapheme' }),
      fc.constantFrom(...PIECES),
      fc.double(),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    ),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.tuple(key, tie('tree')), { maxLength: 4 }).map(
      // An own property, also where the name is __proto__.
      (entries) =>
        entries.reduce<Record<string, unknown>>(
          (map, [name, value]) =>
            Object.defineProperty(map, name, { value, enumerable: true, configurable: true, writable: true }),
          {},
        ),
    ),
  ),
}))

/** Texts cut, doubled, and sown with pieces that mean something. */
const mutated = fc
  .array(
    fc.record({
      at: fc.nat(VALID.length),
      remove: fc.nat(6),
      insert: fc.oneof(fc.constantFrom(...PIECES), fc.string({ maxLength: 3 })),
    }),
    { minLength: 1, maxLength: 6 },
  )
  .map((changes) =>
    changes.reduce(
      (text, { at, remove, insert }) => text.slice(0, at) + insert + text.slice(at + remove),
      VALID,
    ),
  )

const fileName = fc.constantFrom(
  'storage.yaml',
  'storage.json',
  'access.yml',
  'profiles/test/storage.yaml',
  'profiles/test/access.json',
)

const overrideKey = fc.oneof(
  fc.constantFrom(
    'storage',
    'storage.name',
    'storage.hot',
    'storage.hot.batchSize',
    'storage.limits',
    'storage.limits.__proto__',
    'storage.limits.a.b',
    'storage.hosts.0',
    'storage.hosts.length',
    'access.token',
    'access.keys.x',
    '__proto__.polluted',
    'storage.__proto__.polluted',
    'storage.palette.constructor.prototype.polluted',
    'access',
  ),
  fc.string({ maxLength: 20 }),
)

const variableName = fc.oneof(
  fc.constantFrom(
    'VARVE_STORAGE__NAME',
    'VARVE_STORAGE__HOT__PORT',
    'VARVE_STORAGE__HOT',
    'VARVE_STORAGE__LIMITS',
    'VARVE_STORAGE__LIMITS____PROTO__',
    'VARVE_STORAGE__LIMITS__CONSTRUCTOR',
    'VARVE_STORAGE__HOSTS',
    'VARVE___PROTO____POLLUTED',
    'VARVE_ACCESS__TOKEN',
    'VARVE_ACCESS__KEYS__X',
    'DATABASE_URL',
    'DATABASE_URL_FILE',
    'PORT',
    'REGION',
    'LOOP',
  ),
  fc.string({ maxLength: 12 }).map((name) => `VARVE_${name}`),
)

const text = fc.oneof(
  fc.string({ maxLength: 20, unit: 'grapheme' }),
  fc.array(fc.constantFrom(...PIECES), { maxLength: 5 }).map((parts) => parts.join('')),
  tree.map((value) => stringify(value, { collectionStyle: 'flow', lineWidth: 0 })),
  fc.constantFrom(
    '{ __proto__: { polluted: 1 } }',
    '{ constructor: { prototype: { polluted: 1 } } }',
    '${LOOP}',
    '['.repeat(3000),
  ),
)

describe.each([
  ['the fixed seed', FIXED_SEED],
  ['a random seed', RANDOM_SEED],
] as const)('loadConfig returns or rejects with a ConfigError, with %s', (_name, seed) => {
  const check = async (runs: number, property: fc.IAsyncProperty<[unknown]>) => {
    await fc.assert(property, { seed, numRuns: runs })
  }
  const each = <T>(arbitrary: fc.Arbitrary<T>, run: (value: T) => Promise<unknown>) =>
    fc.asyncProperty(arbitrary, async (value) => {
      const startedAt = performance.now()
      await run(value)
      if (performance.now() - startedAt > EACH_MS) throw new Error('took too long')
    }) as unknown as fc.IAsyncProperty<[unknown]>

  it('for random bytes', async () => {
    await check(
      40,
      each(fc.tuple(fileName, fc.uint8Array({ maxLength: 300 })), ([name, bytes]) =>
        survive({ [name]: bytes }, { profile: 'test' }),
      ),
    )
  })

  it('for valid files that somebody damaged', async () => {
    await check(
      100,
      each(mutated, (damaged) => survive({ 'storage.yaml': damaged })),
    )
  })

  it('for pieces of YAML in any order', async () => {
    await check(
      100,
      each(fc.array(fc.constantFrom(...PIECES), { maxLength: 30 }), (parts) =>
        survive({ 'storage.yaml': parts.join(''), 'access.yaml': `token: ${parts.join('')}` }),
      ),
    )
  })

  it('for random structures in several files', async () => {
    await check(
      60,
      each(fc.array(fc.tuple(fileName, tree), { maxLength: 3 }), (files) =>
        survive(
          Object.fromEntries(
            files.map(([name, value]) => [
              name,
              name.endsWith('json') ? JSON.stringify(value) : stringify(value),
            ]),
          ),
          { profile: 'test' },
        ),
      ),
    )
  })

  it('for random variables and settings of the command line', async () => {
    await check(
      90,
      each(
        fc.record({
          env: fc.array(fc.tuple(variableName, text), { maxLength: 4 }),
          overrides: fc.array(fc.tuple(overrideKey, text), { maxLength: 3 }),
          file: fc.oneof(
            mutated,
            fc.constant(VALID),
            text.map((value) => `name: ${value}`),
          ),
        }),
        ({ env, overrides, file }) =>
          survive(
            { 'storage.yaml': file },
            { env: Object.fromEntries(env), overrides: Object.fromEntries(overrides), variables },
          ),
      ),
    )
  })

  it('and explain refuses what is no key, and nothing else', async () => {
    const config = await load({ 'storage.yaml': 'name: x\n' })
    fc.assert(
      fc.property(
        fc.oneof(
          overrideKey,
          fc.array(key, { maxLength: 4 }).map((parts) => parts.join('.')),
        ),
        (wanted) => {
          try {
            expect(config.explain(wanted).key).toBe(wanted)
          } catch (error) {
            if (!isVarveError(error, 'CONFIG_KEY_UNKNOWN')) throw error
          }
        },
      ),
      { seed, numRuns: 200 },
    )
  })
})

describe('the fuzz itself', () => {
  it('starts from a file that loads (control)', async () => {
    expect(await survive({ 'storage.yaml': VALID })).toBe('loaded')
    expect(await survive({ 'storage.yaml': `${VALID}x` })).toBe('refused')
  })

  it('notices an error of another class (control)', async () => {
    const faulty: TestOptions = {
      crossChecks: [
        () => {
          throw new TypeError('not one of ours')
        },
      ],
    }
    await expect(survive({}, faulty)).rejects.toThrow('not one of ours')
  })
})
