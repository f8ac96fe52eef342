import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parse, stringify } from 'yaml'
import { configHistory } from '../src/live/configHistory.ts'
import { editSetting } from '../src/live/editSetting.ts'
import { setInText } from '../src/live/yamlEdit.ts'
import { loadFolder, scratchFolder } from './liveSupport.ts'

const STORAGE = `# how much stays hot
engine:   embedded   # or postgres

hot:
    # rows of one batch
    batchSize: 1000    # tuned in March
    days: 30
`

const edit = (path: string, key: string, value: string, more: { profile?: string } = {}) =>
  editSetting({
    directory: path,
    key,
    value,
    load: (directory) => loadFolder(directory),
    history: configHistory({ directory: path }),
    ...more,
  })

describe('editing one setting', () => {
  it('changes that value and not one byte more, and keeps the state before', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    const done = await edit(folder.path, 'storage.hot.batchSize', '2000')
    expect(done).toEqual({ file: 'storage.yaml', changed: true, savedAs: 1, shadowedBy: undefined })
    expect(folder.read('storage.yaml')).toBe(STORAGE.replace('1000', '2000'))
    await configHistory({ directory: folder.path }).restore(1)
    expect(folder.read('storage.yaml')).toBe(STORAGE)
  })

  it('adds a missing setting beside its neighbours, a missing group, and a missing file', async () => {
    using folder = scratchFolder({ 'storage.yaml': 'hot:\n    days: 30 # a month\n\n# end\n' })
    await edit(folder.path, 'storage.hot.batchSize', '2000')
    await edit(folder.path, 'storage.name', 'on')
    await edit(folder.path, 'network.limits.AAPL', '7')
    expect(folder.contents()).toEqual({
      'network.yaml': 'limits:\n  AAPL: 7\n',
      'storage.yaml': 'hot:\n    days: 30 # a month\n    batchSize: 2000\nname: on\n\n# end\n',
    })
  })

  it('takes a text that looks like something else for the text where only that is valid', async () => {
    using folder = scratchFolder({ 'storage.yaml': 'name: "a"\n' })
    await edit(folder.path, 'storage.name', '0777')
    expect(folder.read('storage.yaml')).toBe('name: "0777"\n')
  })

  it('edits lists, JSON files and profiles', async () => {
    using folder = scratchFolder({ 'network.json': '{ "timeoutMs": 1, "hosts": ["a"] }' })
    await edit(folder.path, 'network.timeoutMs', '5')
    await edit(folder.path, 'network.hosts', '[b, c]')
    await edit(folder.path, 'network.limits.AAPL', '5')
    await edit(folder.path, 'storage.hot.days', '9', { profile: 'prod' })
    expect(JSON.parse(folder.read('network.json'))).toEqual({
      timeoutMs: 5,
      hosts: ['b', 'c'],
      limits: { AAPL: 5 },
    })
    expect(folder.read('profiles/prod/storage.yaml')).toBe('hot:\n  days: 9\n')
  })

  it.each([
    ['a value the schema refuses', 'storage.hot.batchSize', '1', /batchSize/],
    ['a key the schema does not know', 'storage.hott', '1', /hott/],
    ['a file no section knows', 'storrage.engine', 'embedded', /storrage/],
    ['a key without a file', 'engine', 'embedded', /CONFIG_EDIT_FAILED|FILE\.KEY/],
    ['a place inside a single value', 'storage.engine.name', 'x', /inside a single value/],
    ['text that is not YAML', 'storage.name', '{', /put quotes/],
    ['a path out of the folder', '../../evil.name', 'x', /./],
  ])('refuses %s and leaves everything as it was', async (_name, key, value, message) => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    await expect(edit(folder.path, key, value)).rejects.toThrow(message)
    expect(folder.contents()).toEqual({ 'storage.yaml': STORAGE })
    const versions = join(folder.path, '.versions')
    expect(existsSync(versions) ? readdirSync(versions) : []).toEqual([])
  })

  it('refuses to write a secret, says where it belongs, shows it nowhere, and takes a reference to it', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    const refusal: unknown = await edit(folder.path, 'storage.password', 'canary-5').catch(
      (error: unknown) => error,
    )
    expect(refusal).toMatchObject({
      code: 'CONFIG_SECRET_ON_COMMAND_LINE',
      message: expect.stringContaining('environment variable') as unknown,
    })
    expect(JSON.stringify([String(refusal), refusal])).not.toContain('canary-5')
    expect(folder.read('storage.yaml')).toBe(STORAGE)
    await edit(folder.path, 'storage.password', '${DATABASE_PASSWORD}')
    expect(parse(folder.read('storage.yaml'))).toMatchObject({ password: '${DATABASE_PASSWORD}' })
  })

  it('writes nothing when the file says so already', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    expect(await edit(folder.path, 'storage.hot.days', '30')).toMatchObject({
      changed: false,
      savedAs: undefined,
    })
  })

  it('says what keeps the new value from having an effect', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    const done = await editSetting({
      directory: folder.path,
      key: 'storage.hot.days',
      value: '31',
      load: async (directory) => ({
        ...(await loadFolder(directory)),
        explain: () => ({
          secret: false,
          origin: { kind: 'environment', variable: 'VARVE_STORAGE__HOT__DAYS' },
        }),
      }),
      history: configHistory({ directory: folder.path }),
    })
    expect(done).toMatchObject({ changed: true, shadowedBy: { variable: 'VARVE_STORAGE__HOT__DAYS' } })
  })

  it('does not overwrite what somebody else wrote meanwhile', async () => {
    using folder = scratchFolder({ 'storage.yaml': STORAGE })
    let loads = 0
    const editing = editSetting({
      directory: folder.path,
      key: 'storage.hot.days',
      value: '31',
      load: (directory) => {
        if (++loads === 2) folder.write('storage.yaml', 'name: theirs\n')
        return loadFolder(directory)
      },
      history: configHistory({ directory: folder.path }),
    })
    await expect(editing).rejects.toMatchObject({ code: 'CONFIG_CHANGED_MEANWHILE', retryable: true })
    expect(folder.read('storage.yaml')).toBe('name: theirs\n')
  })
})

describe('an edited text', () => {
  const name = fc.stringMatching(/^[a-z]{1,4}$/)
  const leaf = fc.oneof(
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.string({ maxLength: 12 }),
    fc.array(fc.nat(9), { maxLength: 3 }),
  )
  const tree = fc.letrec<{ group: Record<string, unknown> }>((tie) => ({
    group: fc.dictionary(name, fc.oneof({ depthSize: 'small' }, leaf, tie('group')), { maxKeys: 4 }),
  })).group

  it('says what it said before, with that value, and keeps every comment', () => {
    fc.assert(
      fc.property(tree, fc.array(name, { minLength: 1, maxLength: 3 }), leaf, (before, path, value) => {
        const plain = stringify(before, { lineWidth: 0 })
        const text = Object.keys(before).length === 0 ? '# head\n' : `# head\n${plain}# foot\n`
        let edited: string
        try {
          edited = setInText(text, path, value, 'yaml')
        } catch (error) {
          expect(String(error)).toMatch(/inside a single value or a list/)
          return
        }
        const expected = structuredClone(before)
        let at: Record<string, unknown> = expected
        for (const key of path.slice(0, -1)) at = (at[key] ??= {}) as Record<string, unknown>
        at[path.at(-1)!] = value
        expect(parse(edited) ?? {}).toEqual(expected)
        for (const comment of text.match(/^# \w+$/gm) ?? []) expect(edited).toContain(comment)
      }),
      { numRuns: 400, seed: 3 },
    )
  })
})
