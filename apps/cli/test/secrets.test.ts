import { randomBytes, randomUUID } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SECTIONS } from '@varve/application'
import { createExchangeCalendar } from '@varve/calendar'
import { describeSettings } from '@varve/config'
import { sqlName } from '@varve/core'
import {
  createStandInMarket,
  type StandInAccounts,
  type StandInServer,
  startStandInAccounts,
  startStandInServer,
} from '@varve/providers/testing'
import { createPostgresClient } from '@varve/storage'
import { type S3Double, startS3Double } from '@varve/storage/testing'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { start, until, varve } from './support.ts'

const SESSION = '2025-11-14'
const canary = (length: number) => randomBytes(length).toString('hex').slice(0, length)

/** One secret for every setting that takes one. */
const PLANTED: Readonly<Record<string, string>> = {
  'connections.databaseUrl': `canary${canary(18)}`,
  'providers.polygon.apiKey': canary(32),
  'providers.alpaca.keyId': `PK${canary(18).toUpperCase()}`,
  'providers.alpaca.secretKey': canary(40),
  'alerting.webhookUrl': `hook${canary(24)}`,
  'connections.s3.accessKeyId': `AKIA${canary(16).toUpperCase()}`,
  'connections.s3.secretAccessKey': canary(40),
  'storage.lake.encryptionKey': canary(64),
  'backup.encryptionKey': canary(64),
}
/** In a list, so no setting of its own. */
const PREVIOUS = canary(64)
/** Never accepted by anybody, typed where no secret belongs. */
const MISPLACED = `oops${canary(28)}`
const secrets = [...Object.values(PLANTED), PREVIOUS, MISPLACED]

const database = `secrets_${randomUUID().replaceAll('-', '')}`
const server = process.env.VARVE_TEST_DATABASE_URL!
let folder: string
let market: StandInServer
let accounts: StandInAccounts
let bucket: S3Double
let env: Record<string, string>
/** Everything that was ever printed, served or written. */
const seen: { readonly where: string; readonly text: string }[] = []

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'varve-secrets-'))
  await using admin = createPostgresClient({ connectionString: server, maxConnections: 1 })
  await admin.exec(`CREATE DATABASE ${sqlName(database)}`)
  const calendar = createExchangeCalendar('XNYS')
  market = await startStandInServer({
    market: createStandInMarket({
      seed: 3,
      symbols: 30,
      asOf: SESSION,
      historyYears: 1,
      calendar,
      transientRate: 0,
    }),
    apiKey: PLANTED['providers.polygon.apiKey']!,
    quotas: [{ limit: 1000, windowMs: 100 }],
    seed: 1,
  })
  accounts = await startStandInAccounts({
    accounts: [
      {
        keyId: PLANTED['providers.alpaca.keyId']!,
        secret: PLANTED['providers.alpaca.secretKey']!,
        environment: 'paper',
      },
    ],
    dataKeys: [],
  })
  bucket = await startS3Double({ accessKeyId: PLANTED['connections.s3.accessKeyId']! })
  const url = new URL(server)
  url.pathname = `/${database}`
  url.password = PLANTED['connections.databaseUrl']!
  writeFileSync(join(folder, 'alpaca-secret'), `${PLANTED['providers.alpaca.secretKey']}\n`)
  env = {
    DATABASE_URL: url.href,
    POLYGON_API_KEY: PLANTED['providers.polygon.apiKey']!,
    APCA_API_KEY_ID: PLANTED['providers.alpaca.keyId']!,
    APCA_API_SECRET_KEY_FILE: join(folder, 'alpaca-secret'),
    AWS_ACCESS_KEY_ID: PLANTED['connections.s3.accessKeyId']!,
    AWS_SECRET_ACCESS_KEY: PLANTED['connections.s3.secretAccessKey']!,
    VARVE_LAKE_KEY: PLANTED['storage.lake.encryptionKey']!,
    VARVE_BACKUP_KEY: PLANTED['backup.encryptionKey']!,
    VARVE_PREVIOUS_BACKUP_KEY: PREVIOUS,
    VARVE_ALERT_WEBHOOK_URL: `https://127.0.0.1:9/${PLANTED['alerting.webhookUrl']}`,
  }
  write('providers.yaml', providers(market.url))
  write(
    'connections.yaml',
    `s3:\n  bucket: ${bucket.bucket}\n  endpoint: ${bucket.endpoint}\n  accessKeyId: \${AWS_ACCESS_KEY_ID}\n  secretAccessKey: \${AWS_SECRET_ACCESS_KEY}\n`,
  )
  write('storage.yaml', 'lake:\n  encryptionKey: ${VARVE_LAKE_KEY}\n')
  write(
    'backup.yaml',
    'backupPrefix: kept\nencryptionKey: ${VARVE_BACKUP_KEY}\npreviousKeys: ["${VARVE_PREVIOUS_BACKUP_KEY}"]\n',
  )
  write('alerting.yaml', 'webhookUrl: ${VARVE_ALERT_WEBHOOK_URL}\ntimeoutMs: 500\n')
  write('rate-limits.yaml', 'profiles:\n  test: [{ limit: 900, windowMs: 100 }]\n')
  write('daemon.yaml', 'port: 0\nreload: { pollMs: 100, settleMs: 0 }\n')
  write('monitoring.yaml', 'logLevel: debug\n')
})

afterAll(async () => {
  await market.close()
  await accounts[Symbol.asyncDispose]()
  await bucket.close()
  await using admin = createPostgresClient({ connectionString: server, maxConnections: 1 })
  await admin.exec(`DROP DATABASE ${sqlName(database)} WITH (FORCE)`)
  rmSync(folder, { recursive: true, force: true })
})

const providers = (url: string) => `polygon:
  apiKey: \${POLYGON_API_KEY}
  baseUrl: ${url}/polygon
  plan: test
alpaca:
  keyId: \${APCA_API_KEY_ID}
  secretKey: \${APCA_API_SECRET_KEY}
  baseUrl: ${accounts.hosts.paper}
`

function write(name: string, text: string): void {
  mkdirSync(join(folder, 'config'), { recursive: true })
  writeFileSync(join(folder, 'config', name), text)
}

async function take(
  args: readonly string[],
  more: Readonly<Record<string, string>> = {},
): Promise<number | null> {
  const { code, stdout, stderr } = await varve(args, folder, { ...env, ...more })
  seen.push({ where: `varve ${args.join(' ')}`, text: `${stdout}\n${stderr}` })
  return code
}

/** Where any of some texts stands, whole or in the middle. */
function leaks(needles: readonly string[]): string[] {
  return seen.filter(({ text }) => needles.some((secret) => text.includes(secret))).map(({ where }) => where)
}

function filesBelow(path: string): string[] {
  return readdirSync(path).flatMap((name) => {
    const inner = join(path, name)
    return statSync(inner).isDirectory() ? filesBelow(inner) : [inner]
  })
}

it('plants a secret in every setting that takes one', () => {
  const settings = describeSettings(SECTIONS)
    .filter((item) => item.secret)
    .map((item) => item.key)
  expect(Object.keys(PLANTED).sort()).toEqual(settings.sort())
})

it('no secret shows in what a full run prints, logs, serves, reports or stores', async () => {
  // What a person looks at.
  expect(await take(['config', 'check'])).toBe(0)
  expect(await take(['config', 'show'])).toBe(0)
  expect(await take(['config', 'show', '--origin', '--json'])).toBe(0)
  for (const key of ['connections.databaseUrl', 'providers.polygon.apiKey'])
    expect(await take(['config', 'explain', key])).toBe(0)
  expect(await take(['doctor', '--data-dir', 'data'])).toBe(0)
  expect(await take(['run', '--as-of', SESSION, '--data-dir', 'data', '--json'])).toBe(0)
  expect(await take(['config', 'export', 'exported.json'])).toBe(0)
  expect(await take(['db', 'backup', '--data-dir', 'data', '--json'])).toBe(0)
  expect(await take(['db', 'restore', '--verify', '--json'])).toBe(0)

  // A daemon, through a reload that fails because of a secret in the wrong place.
  const daemon = start(['daemon', '--as-of', SESSION, '--data-dir', 'data'], folder, env)
  const url = await until(() => /"url":"(http:[^"]+)"/.exec(daemon.stderr())?.[1], 'the daemon to listen')
  await until(
    async () =>
      (await (await fetch(`${url}/health`)).text()).includes('"lastCycleAt":null') ? undefined : true,
    'the first cycle',
  )
  write('providers.yaml', `polygon: ${MISPLACED}\n`)
  await until(() => (daemon.stderr().includes('was not reloaded') ? true : undefined), 'the alert')
  await until(() => (daemon.stderr().includes('could not be delivered') ? true : undefined), 'the webhook')
  for (const path of ['/health', '/metrics'])
    seen.push({ where: path, text: await (await fetch(url + path)).text() })
  daemon.child.kill('SIGTERM')
  const ended = await daemon.ended
  seen.push({ where: 'the daemon', text: ended.stdout + ended.stderr })
  expect(ended.code).toBe(0)

  // Everything that can go wrong with a secret.
  expect(await take(['config', 'check'])).toBe(1)
  write('providers.yaml', `polygon:\n  apiKey:\n    - ${MISPLACED}\n  ${MISPLACED}: 1\n`)
  expect(await take(['config', 'check'])).toBe(1)
  write('providers.yaml', providers(market.url))
  expect(await take(['config', 'check', '--set', `providers.polygon.apiKey=${MISPLACED}`])).toBe(1)
  expect(await take(['config', 'set', 'providers.polygon.apiKey', MISPLACED])).toBe(1)
  expect(await take(['run', '--data-dir', 'data'], { POLYGON_API_KEY: `${MISPLACED}-wrong` })).toBe(1)
  const nowhere = new URL(env.DATABASE_URL!)
  nowhere.port = '9'
  expect(await take(['status', '--data-dir', 'data'], { DATABASE_URL: nowhere.href })).toBe(1)
  expect(await take(['doctor', '--data-dir', 'data'], { DATABASE_URL: nowhere.href })).toBe(1)
  expect(await take(['config', 'check'], { DATABASE_URL: `mysql://u:${MISPLACED}@host/db` })).toBe(1)

  for (const name of ['VARVE_BACKUP_KEY', 'AWS_ACCESS_KEY_ID'])
    expect(await take(['db', 'restore', '--verify'], { [name]: `${MISPLACED}${MISPLACED}` })).toBe(1)

  // What stayed behind.
  for (const [path, { content }] of bucket.objects)
    seen.push({ where: `the bucket's ${path}`, text: Buffer.from(content).toString('latin1') })
  for (const path of [...filesBelow(join(folder, 'data')), join(folder, 'exported.json')])
    seen.push({ where: path, text: readFileSync(path, 'latin1') })
  const client = createPostgresClient({ connectionString: env.DATABASE_URL! })
  await using sql = client
  const { rows } = await sql.query<{ text: string }>(
    `SELECT coalesce(string_agg(e::text, E'\\n'), '') || (SELECT coalesce(string_agg(s::text, E'\\n'), '') FROM runtime_state s) AS text FROM events e`,
  )
  seen.push({ where: 'the database', text: rows[0]!.text })

  expect(leaks(secrets)).toEqual([])
  // The keys did reach those they are for, and the search does find what is there.
  expect(market.log().some(({ status }) => status === 200)).toBe(true)
  expect(accounts.log().some(({ status }) => status === 200)).toBe(true)
  expect(bucket.objects.size).toBeGreaterThan(3)
  expect(leaks(['[secret]'])).not.toEqual([])
  seen.push({ where: 'planted', text: `postgres://varve:${PLANTED['connections.databaseUrl']}@db/varve` })
  expect(leaks(secrets)).toEqual(['planted'])
})
