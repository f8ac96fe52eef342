import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type Files, folderOf, load, problemsOf, variables } from '../test/support.ts'
import type { SecretSource } from './types.ts'

const TOKEN = 'tok-1234-abcd'
const URL_OF_DATABASE = 'postgres://ann:s3cretword@db.example.org/varve'

describe('the environment', () => {
  it('sets numbers, booleans, lists and texts by the name of the key', async () => {
    const { values } = await load(
      {},
      {
        env: {
          VARVE_STORAGE__HOT__BATCH_SIZE: '200',
          VARVE_STORAGE__HOT__VERIFY: 'false',
          VARVE_STORAGE__HOSTS: '[x, y]',
          VARVE_STORAGE__NAME: '007',
          VARVE_STORAGE__LIMITS__AAPL: '5',
          VARVE_ENV: 'test', // no two underscores: not a setting
          OTHER__THING: '1',
        },
      },
    )
    expect(values.storage.hot).toMatchObject({ batchSize: 200, verify: false })
    expect(values.storage.hosts).toEqual(['x', 'y'])
    expect(values.storage.name).toBe('007')
    expect(values.storage.limits).toEqual({ aapl: 5 })
  })

  it('sets a bound key from the variable, or from the file that NAME_FILE names', async () => {
    using folder = folderOf({ secret: `${URL_OF_DATABASE}\n` })
    const direct = await load({}, { env: { DATABASE_URL: URL_OF_DATABASE } })
    const file = await load({}, { env: { DATABASE_URL_FILE: join(folder.path, 'secret') } })
    for (const config of [direct, file])
      expect(config.values.access.database!.url.reveal()).toBe(URL_OF_DATABASE)
    expect(direct.explain('access.database.url').origin).toEqual({
      kind: 'environment',
      variable: 'DATABASE_URL',
    })
    expect(file.explain('access.database.url').origin).toEqual({
      kind: 'environment',
      variable: 'DATABASE_URL',
      source: 'DATABASE_URL_FILE',
    })
  })

  it('puts allowed variables into files, as numbers where a number is wanted', async () => {
    const config = await load(
      {
        'storage.yaml': 'name: db-${REGION}-${ZONE}\nhot:\n  port: ${PORT}\n',
      },
      { env: { PORT: '6543', REGION: 'east', ZONE: '${REGION}-1' } },
    )
    expect(config.values.storage.hot.port).toBe(6543)
    expect(config.values.storage.name).toBe('db-east-east-1')
    expect(config.explain('storage.hot.port').origin).toMatchObject({ kind: 'file', variable: 'PORT' })
  })

  it('takes quotes around a reference to a number, which JSON cannot do without', async () => {
    const env = { PORT: '6543' }
    const files: readonly Files[] = [
      { 'storage.yaml': 'hot: { port: "${PORT}" }\n' },
      { 'storage.json': '{"hot":{"port":"${PORT}"}}' },
    ]
    for (const file of files) expect((await load(file, { env })).values.storage.hot.port).toBe(6543)
  })

  it('leaves a digit in a text a text, and $${ a literal ${', async () => {
    const config = await load(
      { 'storage.yaml': 'name: ${PORT}\nhosts: ["$${PORT}", a$$b, $1]\n' },
      { env: { PORT: '6543' } },
    )
    expect(config.values.storage.name).toBe('6543')
    expect(config.values.storage.hosts).toEqual(['${PORT}', 'a$$b', '$1'])
  })

  it('does not expand what came from a file of a secret', async () => {
    using folder = folderOf({ token: 'abc${REGION}def\n' })
    const config = await load(
      { 'access.yaml': 'token: ${ACCESS_TOKEN}\n' },
      { env: { ACCESS_TOKEN_FILE: join(folder.path, 'token'), REGION: 'east' } },
    )
    expect(config.values.access.token!.reveal()).toBe('abc${REGION}def')
  })

  it('needs required variables, everywhere or in one profile', async () => {
    const rules = {
      ...variables,
      REGION: { description: 'where the machines stand', required: true },
      ZONE: { description: 'part of the region', required: ['production'] },
    } as const
    expect((await problemsOf({}, { variables: rules })).map(({ message }) => message)).toEqual([
      expect.stringContaining('REGION is not set (where the machines stand)'),
    ])
    expect(await problemsOf({}, { variables: rules, profile: 'production' })).toHaveLength(2)
    await load({}, { variables: rules, env: { REGION: 'east' } })
  })
})

describe('sources of secrets', () => {
  const source = (
    name: string,
    held: Readonly<Record<string, string>>,
    asked: string[] = [],
  ): SecretSource => ({
    name,
    get(wanted) {
      asked.push(wanted)
      return held[wanted]
    },
  })

  it('are asked in order for secret variables that are used and not in the environment', async () => {
    const asked: string[] = []
    const config = await load(
      { 'access.yaml': 'token: ${ACCESS_TOKEN}\nuser: ${REGION}\n# keys: ${UNUSED}\n' },
      {
        env: { REGION: 'east' },
        variables: { ...variables, UNUSED: { description: 'not used', secret: true } },
        secretSources: [source('first', {}, asked), source('vault', { ACCESS_TOKEN: TOKEN }, asked)],
      },
    )
    expect(config.values.access.token!.reveal()).toBe(TOKEN)
    // DATABASE_URL sets a key by itself, so it is looked for too.
    expect(asked.sort()).toEqual(['ACCESS_TOKEN', 'ACCESS_TOKEN', 'DATABASE_URL', 'DATABASE_URL'])
  })

  it('name themselves where they set a key', async () => {
    const config = await load({}, { secretSources: [source('vault', { DATABASE_URL: URL_OF_DATABASE })] })
    expect(config.explain('access.database.url').origin).toMatchObject({ source: 'vault' })
  })

  it('that fail stop the load, without what they said', async () => {
    const failing: SecretSource = {
      name: 'vault',
      get: () => Promise.reject(new Error(`denied for ${TOKEN}`)),
    }
    const [found] = await problemsOf(
      { 'access.yaml': 'token: ${ACCESS_TOKEN}\n' },
      { secretSources: [failing], variables: { ACCESS_TOKEN: variables.ACCESS_TOKEN! } },
    )
    expect(found).toMatchObject({ code: 'CONFIG_SECRET_MISSING', file: 'access.yaml', line: 1 })
    expect(found!.message).toContain('"vault" failed')
    expect(found!.message).not.toContain(TOKEN)
  })

  it('give up with the reason of the signal', async () => {
    const controller = new AbortController()
    const stuck: SecretSource = {
      name: 'vault',
      get: async (_name, { signal } = {}) => {
        controller.abort(new Error('enough'))
        signal!.throwIfAborted()
        return await Promise.resolve('never')
      },
    }
    await expect(load({}, { secretSources: [stuck], signal: controller.signal })).rejects.toThrow('enough')
  })
})
