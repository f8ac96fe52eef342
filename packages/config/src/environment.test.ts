import { Secret } from '@varve/core'
import { describe, expect, it } from 'vitest'
import {
  checkEnvironment,
  defaultSecurityLevel,
  detectEnvironment,
  type EnvironmentName,
  ENVIRONMENTS,
  environmentRules,
  isLoopback,
  parseEnvironment,
  type SecurityLevel,
  warningsOf,
} from './environment.ts'
import type { Environment } from './types.ts'

describe('the environment', () => {
  it.each<[Environment, EnvironmentName]>([
    [{}, 'development'],
    [{ VARVE_ENV: 'production' }, 'production'],
    [{ VARVE_ENV: 'prod' }, 'production'],
    [{ VARVE_ENV: ' Staging ' }, 'staging'],
    [{ VARVE_ENV: 'stage' }, 'staging'],
    [{ VARVE_ENV: 'dev', CI: 'true', NODE_ENV: 'production' }, 'development'],
    [{ VARVE_ENV: 'testing' }, 'test'],
    [{ VARVE_ENV: '', NODE_ENV: 'production' }, 'production'],
    [{ CI: 'true' }, 'test'],
    [{ CI: '1', NODE_ENV: 'production' }, 'test'],
    [{ CI: 'false', NODE_ENV: 'production' }, 'production'],
    [{ CI: '0' }, 'development'],
    [{ CI: '' }, 'development'],
    [{ NODE_ENV: 'Production' }, 'production'],
    [{ NODE_ENV: 'staging-2' }, 'staging'],
    [{ NODE_ENV: 'test' }, 'test'],
    [{ NODE_ENV: 'something' }, 'development'],
  ])('of %j is %s', (env, expected) => {
    expect(detectEnvironment(env)).toBe(expected)
  })

  it.each(['porduction', 'live', '../production'])('is never guessed from %j', (name) => {
    expect(() => detectEnvironment({ VARVE_ENV: name })).toThrow(
      `VARVE_ENV is "${name}"; expected development, test, staging, production`,
    )
    expect(parseEnvironment(name)).toBeUndefined()
  })

  it('can be named by another variable', () => {
    expect(detectEnvironment({ APP_ENV: 'prod', VARVE_ENV: 'dev' }, 'APP_ENV')).toBe('production')
  })

  it('is paranoid in production and strict elsewhere', () => {
    expect(ENVIRONMENTS.map(defaultSecurityLevel)).toEqual(['strict', 'strict', 'strict', 'paranoid'])
  })
})

describe('this machine', () => {
  it.each([
    'localhost', 'LOCALHOST', 'localhost.', 'db.localhost', '127.0.0.1', '127.1', '127.8.9.10', '::1', '[::1]', '0.0.0.0',
    '::', '::ffff:127.0.0.1', '[::ffff:7f00:1]',
  ])('is %j', (host) => {
    expect(isLoopback(host)).toBe(true)
  }) // prettier-ignore

  it.each([
    'db',
    'localhost.example.org',
    '128.0.0.1',
    '10.0.0.1',
    '127.example.org',
    '',
    '::2',
    'notlocalhost',
  ])('is not %j', (host) => {
    expect(isLoopback(host)).toBe(false)
  })
})

const PRODUCTION = ['production'] as const
const url = (text: string) => new Secret(text)

describe('a rule of production', () => {
  const rules = environmentRules
  const cases = [
    ['noLocalhost', rules.noLocalhost('k', PRODUCTION), [
      [url('postgres://ann:word@localhost/varve'), 'points at this machine'],
      [url('postgres://ann:word@127.0.0.1:5432/varve'), 'points at this machine'],
      [url('postgres://db/varve?host=localhost'), 'points at this machine'],
      [url('postgres:///varve?host=/run/postgresql'), 'points at this machine'],
      ['redis://[::1]:6379', 'points at this machine'],
      ['localhost', 'points at this machine'],
      [url('postgres://db.example.org/varve'), undefined],
      ['https://hooks.example.org/?host=localhost', undefined],
      ['cache.internal', undefined],
    ]],
    ['noDevelopmentDatabase', rules.noDevelopmentDatabase('k', PRODUCTION), [
      [url('postgres://db/varve_dev'), 'the name of the database says'],
      [url('postgres://db/test'), 'the name of the database says'],
      [url('postgres://db/TestDB2'), 'the name of the database says'],
      [url('postgres://db/varve-sandbox-1'), 'the name of the database says'],
      [url('postgres://db/varve'), undefined],
      [url('postgres://db/latest_devices'), undefined],
      [url('postgres://db'), undefined],
    ]],
    ['passwordLength', rules.passwordLength('k', 16, PRODUCTION), [
      [url('postgres://ann:short@db/varve'), 'the password has too few characters; use at least 16'],
      [url('postgres://ann@db/varve'), 'the password has no characters'],
      [url('postgres://ann:%40%40%40%40%40%40@db/varve'), 'too few'],
      [url('postgres://ann:%zz@db/varve'), 'too few'],
      [url('postgres://ann:sixteen-letters!@db/varve'), undefined],
    ]],
    ['minimumLength', rules.minimumLength('k', 32, PRODUCTION), [
      [new Secret('x'.repeat(31)), 'too short; at least 32 characters'],
      [new Secret('x'.repeat(32)), undefined],
    ]],
    ['mustNotBe', rules.mustNotBe('k', 'debug', 'writes too much', PRODUCTION), [
      ['debug', 'writes too much'],
      ['info', undefined],
      [5, undefined],
    ]],
    ['tlsOnly', rules.tlsOnly('k', PRODUCTION), [
      ['http://api.example.org', 'is not encrypted; use https://'],
      ['https://api.example.org', undefined],
      ['http://localhost:9000', undefined],
      ['not a url', undefined],
      [5, undefined],
    ]],
    ['databaseTls', rules.databaseTls('k', PRODUCTION), [
      [url('postgres://db/varve'), "the server's certificate is not verified"],
      [url('postgres://db/varve?sslmode=require'), 'add ?sslmode=verify-full'],
      [url('postgres://db/varve?sslmode=verify-full'), undefined],
      [url('postgres://db/varve?sslmode=verify-ca'), undefined],
      [url('postgres://localhost/varve'), undefined],
      [url('postgres:///varve?host=/run/postgresql'), undefined],
      [url('postgres://localhost/varve?host=db.example.org'), "the server's certificate is not verified"],
    ]],
  ] as const // prettier-ignore

  it.each(
    cases.flatMap(([name, rule, values]) =>
      values.map(([value, says]) => [name, value, says, rule] as const),
    ),
  )('%s, case %#', (_name, value, says, rule) => {
    const [finding] = checkEnvironment({
      environment: 'production',
      level: 'strict',
      rules: [rule],
      valueOf: () => value,
    })
    if (says === undefined) expect(finding).toBeUndefined()
    else expect(finding?.message).toContain(says)
    const text = value instanceof Secret ? value.reveal() : ''
    if (finding !== undefined && text !== '') expect(finding.message).not.toContain(text)
  })

  it('holds in its environments only, and not of what is not set', () => {
    const rule = environmentRules.noLocalhost('database.url', ['staging', 'production'])
    const found = (environment: EnvironmentName, value: unknown) =>
      checkEnvironment({ environment, level: 'strict', rules: [rule], valueOf: () => value }).length
    expect(ENVIRONMENTS.map((environment) => found(environment, 'localhost'))).toEqual([0, 0, 1, 1])
    expect([found('production', undefined), found('production', null)]).toEqual([0, 0])
  })
})

describe('a level of security', () => {
  const rules = [
    environmentRules.noLocalhost('database.url', PRODUCTION), // a fault
    environmentRules.mustNotBe('log.level', 'debug', 'writes too much', PRODUCTION), // a risk
  ]
  const values: Readonly<Record<string, unknown>> = { 'database.url': 'localhost', 'log.level': 'debug' }
  const check = (level: SecurityLevel) =>
    checkEnvironment({ environment: 'production', level, rules, valueOf: (key) => values[key] })

  it.each([
    ['permissive', ['warning', 'warning']],
    ['strict', ['error', 'warning']],
    ['paranoid', ['error', 'error']],
  ] as const)('%s makes of a fault and a risk: %j', (level, expected) => {
    expect(check(level).map(({ severity }) => severity)).toEqual(expected)
  })

  it('names key, environment and level in each finding, and hands warnings on', () => {
    expect(check('strict')[0]!.message).toBe(
      'database.url: points at this machine; name the host of the service (production, strict)',
    )
    expect(warningsOf(check('strict'))).toEqual([
      {
        code: 'CONFIG_ENVIRONMENT',
        key: 'log.level',
        message: 'log.level: writes too much (production, strict)',
      },
    ])
  })
})
