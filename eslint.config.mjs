import { readdirSync } from 'node:fs'
import nx from '@nx/eslint-plugin'
import * as jsonc from 'jsonc-eslint-parser'
import tseslint from 'typescript-eslint'
import { sqlByParameters } from './tools/lint/sqlByParameters.mjs'

/** Imports go down the floors only; neighbours on a floor do not know each other. */
const floors = [0, 1, 2, 3, 4, 5, 6].map((floor) => ({
  sourceTag: `floor:${floor}`,
  onlyDependOnLibsWithTags: floor === 0 ? [] : Array.from({ length: floor }, (_, below) => `floor:${below}`),
}))

/** A driver lives in few places. */
const drivers = {
  pg: ['storage'],
  'pg-copy-streams': ['storage'],
  '@electric-sql/pglite': ['storage'],
  'pg-boss': ['events'],
  pino: ['monitoring'],
  'prom-client': ['monitoring'],
  fastify: ['application'],
  commander: ['cli'],
  yaml: ['config'],
}

/** What money must not depend on. */
const banned = [
  {
    selector: "MemberExpression[object.name='Math'][property.name='random']",
    message: 'use secureRandom() of @varve/core, or randomUUID() of node:crypto for ids',
  },
  {
    selector:
      'CallExpression[callee.name=/^createH(ash|mac)$/] > Literal.arguments:first-child[value=/^(md|sha-?1|rsa-(md|sha1)|ripemd)/i]',
    message: 'use SHA-256 or better',
  },
  {
    selector:
      'CallExpression[callee.property.name=/^createH(ash|mac)$/] > Literal.arguments:first-child[value=/^(md|sha-?1|rsa-(md|sha1)|ripemd)/i]',
    message: 'use SHA-256 or better',
  },
  {
    selector:
      'CallExpression[callee.property.name=/^(query|exec)$/] > :matches(Literal, TemplateLiteral).arguments:first-child:matches([value=/\\bmd5\\(/i], :has(TemplateElement[value.raw=/\\bmd5\\(/i]))',
    message: 'use sha256() in SQL, not md5()',
  },
  {
    selector: 'ImportDeclaration[source.value=/^(node:)?(vm|v8)$/]',
    message: 'no code from data and no executable serialization: JSON, Parquet and SQL only',
  },
  {
    selector: 'ImportExpression > TemplateLiteral',
    message: 'what is imported is fixed in the source; use a map of what may be loaded',
  },
  {
    selector:
      'NewExpression[callee.name=/^(Async)?(Generator)?Function$/], CallExpression[callee.name=/^(Async)?(Generator)?Function$/]',
    message: 'no code from data',
  },
]

const homes = ['packages', 'apps'].flatMap((group) => readdirSync(new URL(group, import.meta.url)))

export default tseslint.config(
  { ignores: ['**/dist', '**/node_modules', '.nx', 'coverage', 'tools/bench/node_modules'] },
  { linterOptions: { reportUnusedDisableDirectives: 'error' } },
  {
    files: ['**/*.ts'],
    plugins: { varve: { rules: { 'sql-by-parameters': sqlByParameters } } },
    extends: [...tseslint.configs.strict, ...tseslint.configs.stylistic],
    rules: {
      '@typescript-eslint/no-non-null-assertion': 'off', // typed arrays are indexed everywhere
      '@typescript-eslint/consistent-type-imports': ['error', { fixStyle: 'inline-type-imports' }],
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      '@typescript-eslint/no-empty-function': 'off',
      '@typescript-eslint/no-confusing-void-expression': 'off',
      '@typescript-eslint/unified-signatures': 'off',
      'max-lines': ['error', { max: 500, skipBlankLines: false, skipComments: false }],
      'no-eval': 'error',
      'no-new-func': 'error',
      'no-script-url': 'error',
      eqeqeq: 'error',
    },
  },
  {
    files: ['packages/*/src/**/*.ts', 'packages/*/test/**/*.ts', 'apps/*/src/**/*.ts', 'apps/*/test/**/*.ts'],
    plugins: { '@nx': nx },
    rules: {
      '@nx/enforce-module-boundaries': [
        'error',
        { enforceBuildableLibDependency: true, allow: [], depConstraints: floors },
      ],
    },
  },
  {
    files: ['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
    ignores: ['**/*.test.ts'],
    rules: { 'no-console': 'error' },
  },
  {
    files: ['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
    ignores: ['**/*.test.ts', '**/testing/**'],
    rules: { 'no-restricted-syntax': ['error', ...banned], 'varve/sql-by-parameters': 'error' },
  },
  { files: ['apps/cli/src/output/errors.ts'], rules: { 'no-console': 'off' } },
  ...homes.map((home) => ({
    files: [`packages/${home}/src/**/*.ts`, `apps/${home}/src/**/*.ts`],
    rules: {
      'no-restricted-imports': [
        'error',
        {
          paths: Object.entries(drivers)
            .filter(([, allowed]) => !allowed.includes(home))
            .map(([name, allowed]) => ({ name, message: `only ${allowed.join(' and ')} may import it` })),
        },
      ],
    },
  })),
  {
    files: ['packages/*/package.json', 'apps/*/package.json'],
    languageOptions: { parser: jsonc },
    plugins: { '@nx': nx },
    rules: {
      '@nx/dependency-checks': [
        'error',
        {
          checkVersionMismatches: false,
          ignoredFiles: [
            '{projectRoot}/tsup.config.ts',
            '{projectRoot}/test/**/*',
            '{projectRoot}/src/**/*.test.ts',
          ],
          // Clients of Redis are accepted by shape: named for their versions, imported by nobody.
          ignoredDependencies: ['vitest', 'fast-check', 'ioredis'],
        },
      ],
    },
  },
)
