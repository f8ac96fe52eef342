import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { secret } from './secret.ts'
import { checkValue, isPlaceholder, type ValueKind } from './valueKinds.ts'

const RIGHT: Readonly<Record<ValueKind, readonly string[]>> = {
  apiKey: ['abcd1234', 'sk_live_51H8-xyz', '!"#$%&/()='],
  oauthToken: ['ya29.a0AfH6SM', 'Bearer ya29.a0AfH6SM', 'bearer 12345678'],
  connectionString: [
    'postgres://ann:word@db/varve',
    'amqp://broker:5672/jobs',
    'host=db port=5432 dbname=varve',
    'host=db',
  ],
  webhookUrl: ['https://hooks.example.org/T000/B000/abc', 'https://example.org:8443/'],
  databaseUrl: [
    'postgres://ann:word@db.example.org:5432/varve',
    'postgresql://db-1/varve_2',
    'postgres://ann@[::1]:5432/varve',
    'postgres://db',
    'postgres:///varve?host=/run/postgresql',
    'postgres://ann:p%40ss@db/varve?sslmode=verify-full',
  ],
  redisUrl: ['redis://cache:6379/0', 'rediss://:word@cache.example.org'],
  httpUrl: ['http://localhost:9000', 'https://api.example.org/v2'],
  databaseHost: ['db', 'db-1.example.org', '10.0.0.7', 'a'],
  databasePort: ['1', '5432', '65535'],
  databaseName: ['varve', 'Varve_2', '_', 'x'.repeat(63)],
}

const WRONG: Readonly<Record<ValueKind, readonly string[]>> = {
  apiKey: ['', 'short', 'abcd 1234', 'abcd1234\n', 'schlüssel-1234'],
  oauthToken: ['Bearer ', 'Bearer short', 'ya29 a0AfH6SM'],
  connectionString: ['', 'db', 'host=db port', 'postgres:// db/varve', '://db'],
  webhookUrl: [
    'http://hooks.example.org/x',
    'hooks.example.org',
    'https://',
    'ftp://example.org',
    'data:text/plain,x',
  ],
  databaseUrl: [
    '',
    'db/varve',
    'mysql://db/varve',
    'postgres:///varve',
    'postgres://db/var-ve',
    'postgres://db/var%2Fve',
    'postgres://db/%zz',
    'postgres://d%00b/varve',
    'postgres://db:0/varve',
    'postgres://db:99999/varve',
    'postgres://db_1/varve',
    'postgres://db;rm/varve',
  ],
  redisUrl: ['http://cache', 'cache:6379', 'redis://'],
  httpUrl: ['ftp://example.org', 'example.org', 'http://', '//example.org'],
  databaseHost: ['', 'db_1', '-db', 'db-', 'db/x', 'db x', "db';--", 'dä'],
  databasePort: ['', '0', '65536', '5432a', '-1', '1.5', '0x10', ' 5432', '100000'],
  databaseName: ['', 'var-ve', 'var ve', 'varve;', 'x'.repeat(64), 'värve'],
}

const KINDS = Object.keys(RIGHT) as readonly ValueKind[]
const pairs = (table: Readonly<Record<ValueKind, readonly string[]>>) =>
  KINDS.flatMap((kind) => table[kind].map((text) => [kind, text] as const))

describe('a value of a kind', () => {
  it.each(pairs(RIGHT))('%s takes %j', (kind, text) => {
    expect(checkValue(kind, text)).toBeUndefined()
  })

  it.each(pairs(WRONG))('%s refuses %j, and does not repeat it', (kind, text) => {
    const why = checkValue(kind, text)
    expect(why).toMatch(/expected|holds no/)
    if (text.length >= 8 && !text.endsWith('://')) expect(why).not.toContain(text)
  })
})

describe('a placeholder', () => {
  it.each([
    'REPLACE_ME', 'replace-me', 'YOUR_API_KEY', 'your-polygon-api-key', 'your_token_here', 'TODO', 'ChangeMe', 'default',
    'placeholder', ' example ', 'test_key', '<api key>', 'xxx', 'xxxxxxxx', '********', '...', '[secret]',
  ])('is %j', (text) => {
    expect(isPlaceholder(text)).toBe(true)
  }) // prettier-ignore

  it.each(['', 'pk_9f8e7d6c', 'exampleco-4711', 'todo-list-key-1', 'a<b>c', 'xylophone', 'yourself-1234'])(
    'is not %j',
    (text) => {
      expect(isPlaceholder(text)).toBe(false)
    },
  )

  it('is what a rule forbids besides, in any case', () => {
    expect(isPlaceholder('Guest', ['guest'])).toBe(true)
    expect(isPlaceholder('guests', ['guest'])).toBe(false)
  })
})

describe('a secret setting', () => {
  const schema = z.strictObject({ key: secret({ minLength: 12, kind: 'apiKey' }) })
  const messages = (key: unknown) => schema.safeParse({ key }).error?.issues.map(({ message }) => message)

  it('becomes a Secret that prints as nothing', () => {
    const { key } = schema.parse({ key: 'abcd-1234-efgh' })
    expect(key.reveal()).toBe('abcd-1234-efgh')
    expect(`${key} ${JSON.stringify({ key })}`).not.toContain('abcd')
  })

  it.each([
    ['   ', 'the secret is blank'],
    ['REPLACE_ME', 'the value of an example file'],
    ['abcd-1234', 'expected at least 12 characters'],
    ['abcd 1234 efgh', 'holds no blanks'],
  ])('refuses %j without repeating it', (text, says) => {
    expect(messages(text)).toEqual([expect.stringContaining(says)])
    expect(messages(text)![0]).not.toContain(text)
  })
})
