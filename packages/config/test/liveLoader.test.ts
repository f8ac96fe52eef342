import { createTestClock } from '@varve/core/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { configHistory } from '../src/live/configHistory.ts'
import { createConfigStore } from '../src/live/createConfigStore.ts'
import { editSetting } from '../src/live/editSetting.ts'
import { directoryFingerprint } from '../src/live/fingerprint.ts'
import { migrateConfig } from '../src/live/migrateConfig.ts'
import { LEGACY_VOCABULARY } from '../src/live/migrationSteps.ts'
import { loadConfig } from '../src/loadConfig.ts'
import { secret } from '../src/secret.ts'
import { scratchFolder } from './liveSupport.ts'

const sections = {
  storage: z.strictObject({
    hot: z
      .strictObject({
        batchSize: z.int().min(100).max(10_000).default(1000).describe('Rows of one batch'),
        days: z.int().min(1).default(30).describe('Days kept'),
      })
      .prefault({}),
    apiKey: secret({ minLength: 8 }).optional(),
  }),
  scanner: z.strictObject({ minLayer: z.int().min(0).max(3).default(0).describe('Lowest layer looked at') }),
}

const loadFrom =
  (env: Readonly<Record<string, string>> = {}) =>
  (directory: string, overrides: Readonly<Record<string, string>> = {}) =>
    loadConfig({
      directory,
      sections,
      env,
      envPrefix: 'VARVE_',
      overrides,
      variables: { STORE_KEY: { description: 'Key of the store', secret: true } },
    })

const STORAGE = 'hot:\n  batchSize: 2000 # tuned\napiKey: ${STORE_KEY}\n'

describe('the store, history, editor and migration with the loader', () => {
  it('reload, override and keep the good values when a file turns bad', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    const problems: string[] = []
    const load = loadFrom({ STORE_KEY: 'canary-0123' })
    await using store = createConfigStore({
      load: (overrides) => load(folder.path, overrides),
      fingerprint: () => directoryFingerprint(folder.path),
      clock: createTestClock(0, { autoAdvance: true }),
      onProblem: ({ code, message }) => problems.push(`${code} ${message}`),
    })
    await store.reload()
    await store.override({ 'storage.hot.batchSize': '500' }, (values) => {
      expect(values.storage.hot).toEqual({ batchSize: 500, days: 30 })
      expect(values.storage.apiKey?.reveal()).toBe('canary-0123')
    })
    await expect(store.override({ 'storage.hot.batchSize': '5' }, () => undefined)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    })
    folder.write('storage.yaml', 'hot:\n  batchSize: 5\n')
    await store.check()
    await store.check()
    expect(store.current.storage.hot.batchSize).toBe(2000)
    expect(problems).toEqual([
      expect.stringMatching(/^CONFIG_INVALID storage\.yaml:2:\d+ CONFIG_INVALID_VALUE/),
    ])
  })

  it('edit a setting, refuse a secret and an unknown key, and go back', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    const history = configHistory({ directory: folder.path })
    const edit = (key: string, value: string, env: Readonly<Record<string, string>> = {}) =>
      editSetting({
        directory: folder.path,
        key,
        value,
        load: loadFrom({ STORE_KEY: 'canary-0123', ...env }),
        history,
      })
    await edit('storage.hot.days', '7')
    expect(folder.read('storage.yaml')).toBe(STORAGE.replace('# tuned\n', '# tuned\n  days: 7\n'))
    expect(await edit('storage.hot.days', '8', { VARVE_STORAGE__HOT__DAYS: '9' })).toMatchObject({
      shadowedBy: { kind: 'environment' },
    })
    await expect(edit('storage.apiKey', 'canary-typed')).rejects.toMatchObject({
      code: 'CONFIG_SECRET_ON_COMMAND_LINE',
    })
    await expect(edit('storage.hot.dayz', '7')).rejects.toThrow(/days/)
    await history.restore(1)
    expect(folder.contents()).toEqual({ 'storage.yaml': STORAGE })
  })

  it('migrate old files, and name what has no place', async () => {
    using folder = scratchFolder({ 'scanner.yaml': 'minTier: STANDARD # at least\n' })
    const migrate = (dryRun = false) =>
      migrateConfig({
        directory: folder.path,
        steps: LEGACY_VOCABULARY,
        load: loadFrom(),
        history: configHistory({ directory: folder.path }),
        dryRun,
      })
    expect((await migrate()).written).toBe(true)
    expect(folder.read('scanner.yaml')).toBe('minLayer: 1 # at least\n')
    folder.write('scanner.yaml', 'minTier: STANDARD\nodd: 1\n')
    expect(await migrate(true)).toMatchObject({
      unplaced: [{ file: 'scanner.yaml', line: 2 }],
      written: false,
    })
    await expect(migrate()).rejects.toMatchObject({ code: 'CONFIG_MIGRATION_FAILED' })
    expect(folder.read('scanner.yaml')).toBe('minTier: STANDARD\nodd: 1\n')
  })
})
