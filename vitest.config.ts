import { existsSync, readdirSync } from 'node:fs'
import { defineConfig } from 'vitest/config'

const homes = ['packages', 'apps'].flatMap((group) =>
  existsSync(group) ? readdirSync(group).map((name) => `${group}/${name}`) : [],
)

/** Unit tests lie beside the source; integration, property and crash tests in `test/`. */
export default defineConfig({
  resolve: { conditions: ['@varve/source'] },
  ssr: { resolve: { conditions: ['@varve/source', 'node', 'default'] } },
  test: {
    globalSetup: ['tools/testing/globalSetup.ts'],
    reporters: ['default', './tools/testing/closingReporter.ts'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts', 'apps/*/src/**/*.ts'],
      exclude: ['**/*.test.ts', '**/testing/**'],
      reporter: ['text-summary', 'json-summary'],
    },
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: [...homes.map((home) => `${home}/src/**/*.test.ts`), 'tools/**/*.test.ts'],
        },
      },
      {
        extends: true,
        test: { name: 'integration', include: homes.map((home) => `${home}/test/**/*.test.ts`) },
      },
    ],
  },
})
