import { inspect } from 'node:util'
import { Secret, type KeyValue } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  alpacaCheck,
  alpacaNewsCheck,
  checkCredentials,
  credentialError,
  polygonCheck,
  polygonNewsCheck,
  type AlpacaEnvironment,
  type CheckCredentialsOptions,
  type CredentialCheck,
} from '../src/credentials/index.ts'
import { startStandInAccounts, type StandInAccounts } from '../src/standin/StandInAccounts.ts'

const canary = (prefix: string, length: number) => `${prefix}CANARY`.padEnd(length, '7')
const SECRET = canary('s', 40)
const PAPER = canary('PKPAPER', 20)
const LIVE = canary('AKLIVE', 26)
/** Key ids without a telling prefix: only asking shows whose they are. */
const PLAIN_PAPER = canary('ZZPAPER', 20)
const PLAIN_LIVE = canary('ZZLIVE', 20)
const DATA = canary('data_', 32)
const NO_NEWS = canary('nonews_', 32)

let standIn: StandInAccounts
beforeAll(async () => {
  standIn = await startStandInAccounts({
    accounts: [
      { keyId: PAPER, secret: SECRET, environment: 'paper' },
      { keyId: LIVE, secret: SECRET, environment: 'live' },
      { keyId: PLAIN_PAPER, secret: SECRET, environment: 'paper' },
      { keyId: PLAIN_LIVE, secret: SECRET, environment: 'live' },
    ],
    dataKeys: [{ apiKey: DATA }, { apiKey: NO_NEWS, state: 'noNews' }],
  })
})
afterAll(() => standIn.close())
beforeEach(() => {
  standIn.setFault()
  for (const key of [PAPER, LIVE, PLAIN_PAPER, PLAIN_LIVE]) standIn.setState(key, 'valid')
})

const account = (keyId: string, environment: AlpacaEnvironment, secret = SECRET) =>
  alpacaCheck({ keyId: new Secret(keyId), secret: new Secret(secret), environment, hosts: standIn.hosts })
const bars = (apiKey = DATA) => polygonCheck({ apiKey: new Secret(apiKey), baseUrl: standIn.polygonUrl })

/** An address where somebody listened a moment ago. */
async function closedAddress() {
  const server = await startStandInAccounts({ accounts: [], dataKeys: [] })
  await server.close()
  return server.polygonUrl
}

async function checkOne(check: CredentialCheck, options: CheckCredentialsOptions = {}) {
  const requestsBefore = standIn.log().length
  const report = await checkCredentials([check], { cacheMs: 0, timeoutMs: 2000, ...options })
  return { ...report.results[0]!, ok: report.ok, requests: standIn.log().length - requestsBefore }
}

describe('checking an Alpaca account', () => {
  it.each([
    ['paper', PAPER],
    ['live', LIVE],
  ] as const)('accepts a %s key on its host with one request', async (environment, keyId) => {
    expect(await checkOne(account(keyId, environment))).toMatchObject({
      outcome: 'ok',
      ok: true,
      requests: 1,
      warnings: [],
    })
  })

  it.each([
    ['a live key for paper trading, by its form', LIVE, 'paper', 0],
    ['a paper key for live trading, by its form', PAPER, 'live', 0],
    ['a live key for paper trading, by asking', PLAIN_LIVE, 'paper', 2],
    ['a paper key for live trading, by asking', PLAIN_PAPER, 'live', 2],
  ] as const)('finds %s', async (_name, keyId, environment, requests) => {
    const found = await checkOne(account(keyId, environment))
    expect(found).toMatchObject({ outcome: 'wrong_environment', ok: false, blocks: true, requests })
    expect(found.message).toMatch(new RegExp(`${environment} trading is configured`))
    expect(found.remedy).toMatch(/give a (live|paper) key, or configure/)
  })

  it('finds an address that leads to the other environment', async () => {
    const keys = { keyId: new Secret(PLAIN_PAPER), secret: new Secret(SECRET), environment: 'live' as const }
    const crossed = { paper: standIn.hosts.live, live: standIn.hosts.paper }
    expect(await checkOne(alpacaCheck({ ...keys, hosts: crossed }))).toMatchObject({
      outcome: 'wrong_environment',
      message: expect.stringContaining('its account is a paper account') as unknown,
    })
    const vendorPaper = { ...crossed, live: 'https://paper-api.alpaca.markets' }
    expect(await checkOne(alpacaCheck({ ...keys, hosts: vendorPaper }))).toMatchObject({
      outcome: 'wrong_environment',
      requests: 0,
    })
  })

  it.each([
    ['revoked', 'key_rejected', false],
    ['blocked', 'permission_missing', false],
    ['pending', 'permission_missing', false],
    ['noCrypto', 'ok', true],
  ] as const)('reports an account that is %s as %s', async (state, outcome, ok) => {
    standIn.setState(PAPER, state)
    const found = await checkOne(account(PAPER, 'paper'))
    expect(found).toMatchObject({ outcome, ok })
    if (state === 'blocked') expect(found.message).toContain('trading_blocked')
    if (state === 'pending') expect(found.message).toContain('APPROVAL_PENDING')
    if (state === 'noCrypto')
      expect(found.warnings).toEqual(['the account may not trade crypto (status INACTIVE)'])
  })

  it('does not open trading on an answer that does not say it is open', async () => {
    standIn.setFault('errorInside')
    expect(await checkOne(account(PAPER, 'paper'))).toMatchObject({
      outcome: 'permission_missing',
      ok: false,
    })
  })

  it('warns about news the subscription lacks, and does not stop for it', async () => {
    const news = alpacaNewsCheck({
      keyId: new Secret(PAPER),
      secret: new Secret(SECRET),
      host: standIn.dataUrl,
    })
    expect(await checkOne(news)).toMatchObject({ outcome: 'ok' })
    standIn.setState(PAPER, 'noNews')
    expect(await checkOne(news)).toMatchObject({ outcome: 'permission_missing', ok: true, blocks: false })
    standIn.setState(PAPER, 'revoked')
    expect(await checkOne(news)).toMatchObject({ outcome: 'key_rejected', ok: true })
  })
})

describe('checking a Polygon key', () => {
  it('accepts a key, sent in a header and never in a URL', async () => {
    expect(await checkOne(bars())).toMatchObject({ outcome: 'ok', ok: true, requests: 1 })
    expect(standIn.log().filter(({ keyInUrl }) => keyInUrl)).toEqual([])
  })

  it('tells a rejected key from a plan without news', async () => {
    expect(await checkOne(bars(canary('wrong_', 32)))).toMatchObject({
      outcome: 'key_rejected',
      blocks: true,
    })
    const news = (apiKey: string) =>
      polygonNewsCheck({ apiKey: new Secret(apiKey), baseUrl: standIn.polygonUrl })
    expect(await checkOne(news(DATA))).toMatchObject({ outcome: 'ok' })
    expect(await checkOne(news(NO_NEWS))).toMatchObject({ outcome: 'permission_missing', blocks: false })
    expect(await checkOne(bars(NO_NEWS))).toMatchObject({ outcome: 'ok' })
  })

  it('says nothing of the key when the provider answers an error inside a success', async () => {
    standIn.setFault('errorInside')
    expect(await checkOne(bars())).toMatchObject({ outcome: 'unreachable', blocks: true })
  })
})

describe('a key of a wrong form', () => {
  it.each([
    ['blank', account.bind(null, ' '), /blank/],
    ['a placeholder', account.bind(null, 'YOUR_API_KEY'), /placeholder/],
    ['a reference that was not replaced', account.bind(null, '${ALPACA_KEY_ID}'), /placeholder/],
    ['with a line end', account.bind(null, `${PAPER}\n`), /white space/],
    ['in quotes', account.bind(null, `"${PAPER}"`), /quotes/],
    ['cut off', account.bind(null, 'PKCANARY'), /has 8 characters; .* part of it is missing/],
    ['swapped with its secret', () => account(SECRET, 'paper', PAPER), /swapped/],
    ['Polygon, cut off', () => bars('canary'), /part of it is missing/],
  ])('is refused without asking: %s', async (_name, make, message) => {
    const found = await checkOne(make('paper'))
    expect(found).toMatchObject({ outcome: 'format_invalid', blocks: true, requests: 0 })
    expect(found.message).toMatch(message)
  })

  it('is tried, with a remark, when it is merely unusual', async () => {
    standIn.setState(PLAIN_PAPER, 'valid')
    expect(await checkOne(account(PLAIN_PAPER, 'paper'))).toMatchObject({
      outcome: 'ok',
      warnings: [expect.stringContaining('unusual form') as unknown],
    })
  })
})

describe('a provider that does not answer', () => {
  it.each([
    ['hang', 100, /did not answer in 100 ms/],
    ['hangInBody', 100, /did not answer in 100 ms/],
    ['status500', 2000, /answered 500/],
    ['reset', 2000, /cannot be reached/],
    ['html', 2000, /not its API/],
    ['redirect', 2000, /answered 302/],
  ] as const)('is told from a wrong key: %s', async (fault, timeoutMs, message) => {
    standIn.setFault(fault)
    for (const check of [account(PAPER, 'paper'), bars()]) {
      const found = await checkOne(check, { timeoutMs })
      expect(found).toMatchObject({ outcome: 'unreachable', ok: false, blocks: true })
      expect(found.message).toMatch(message)
      expect(found.remedy).toContain('the key need not be changed')
    }
  })

  it.each([
    ['a refused connection', closedAddress, /ECONNREFUSED/],
    ['a name that does not resolve', () => 'http://no-such-host.invalid', /ENOTFOUND|EAI_AGAIN/],
  ])('is told from a wrong key: %s', async (_name, address, message) => {
    const found = await checkOne(polygonCheck({ apiKey: new Secret(DATA), baseUrl: await address() }))
    expect(found).toMatchObject({ outcome: 'unreachable', blocks: true })
    expect(found.message).toMatch(message)
  })

  it('lets start go on where that is configured, but never with a rejected key', async () => {
    standIn.setFault('status500')
    expect(await checkOne(bars(), { startWithoutAnswer: true })).toMatchObject({
      ok: true,
      outcome: 'unreachable',
    })
    standIn.setFault()
    expect(await checkOne(bars(canary('wrong_', 32)), { startWithoutAnswer: true })).toMatchObject({
      ok: false,
    })
  })

  it('lets start go on when it is only limiting requests', async () => {
    standIn.setFault('status429')
    for (const check of [account(PAPER, 'paper'), bars()])
      expect(await checkOne(check)).toMatchObject({ outcome: 'rate_limited', ok: true, blocks: false })
  })

  it('is not waited for when the caller gives up', async () => {
    standIn.setFault('hang')
    const stop = new AbortController()
    const checking = checkCredentials([bars()], { cacheMs: 0, signal: stop.signal })
    stop.abort(new Error('stopping'))
    await expect(checking).rejects.toThrow('stopping')
  })
})

describe('what is remembered', () => {
  const memory = () => {
    const entries = new Map<string, Uint8Array>()
    const cache: KeyValue = {
      get: (key) => Promise.resolve(entries.get(key)),
      set: (key, value) => Promise.resolve(void entries.set(key, value)),
      delete: (key) => Promise.resolve(entries.delete(key)),
    }
    return { entries, cache }
  }

  it('is an accepted key for an hour, by hash, with its warnings', async () => {
    const { entries, cache } = memory()
    const clock = createTestClock(1_000_000)
    const options = { cache, clock, cacheMs: 3_600_000 }
    standIn.setState(PAPER, 'noCrypto')
    expect(await checkOne(account(PAPER, 'paper'), options)).toMatchObject({ cached: false, requests: 1 })
    await clock.advance(3_599_999)
    expect(await checkOne(account(PAPER, 'paper'), options)).toMatchObject({
      outcome: 'ok',
      cached: true,
      requests: 0,
      warnings: [expect.stringContaining('crypto') as unknown],
    })
    await clock.advance(1)
    expect(await checkOne(account(PAPER, 'paper'), options)).toMatchObject({ cached: false, requests: 1 })
    expect([...entries.keys()]).toEqual([expect.stringMatching(/^credential:[0-9a-f]{64}$/)])
    expect(
      JSON.stringify([...entries].map(([key, value]) => [key, Buffer.from(value).toString()])),
    ).not.toContain('CANARY')
  })

  it('is no failure, nor another key, nor another environment, nor anything from a broken memory', async () => {
    const { cache } = memory()
    const options = { cache, cacheMs: 3_600_000 }
    standIn.setState(PLAIN_PAPER, 'blocked')
    expect(await checkOne(account(PLAIN_PAPER, 'paper'), options)).toMatchObject({
      outcome: 'permission_missing',
    })
    standIn.setState(PLAIN_PAPER, 'valid')
    expect(await checkOne(account(PLAIN_PAPER, 'paper'), options)).toMatchObject({
      outcome: 'ok',
      cached: false,
    })
    expect(await checkOne(account(PLAIN_PAPER, 'live'), options)).toMatchObject({
      outcome: 'wrong_environment',
    })
    expect(await checkOne(account(PAPER, 'paper'), options)).toMatchObject({ outcome: 'ok', cached: false })
    const broken = {
      ...cache,
      get: () => Promise.reject(new Error('down')),
      set: () => Promise.reject(new Error('down')),
    }
    expect(await checkOne(account(PAPER, 'paper'), { ...options, cache: broken })).toMatchObject({
      outcome: 'ok',
      cached: false,
    })
  })
})

describe('the report', () => {
  it('lists every check, stops for critical ones only, and holds no key anywhere', async () => {
    const checks = [
      account(PAPER, 'paper'),
      account(canary('PKWRONG', 20), 'paper'),
      account(LIVE, 'paper'),
      bars(canary('wrong_', 32)),
      bars('CANARY'),
      polygonNewsCheck({ apiKey: new Secret(NO_NEWS), baseUrl: standIn.polygonUrl }),
    ]
    const report = await checkCredentials(checks, { cacheMs: 0 })
    expect(report.results.map(({ outcome, blocks }) => [outcome, blocks])).toEqual([
      ['ok', false],
      ['key_rejected', true],
      ['wrong_environment', true],
      ['key_rejected', true],
      ['format_invalid', true],
      ['permission_missing', false],
    ])
    const error = credentialError(report)
    expect(error).toMatchObject({ code: 'CREDENTIALS_INVALID', retryable: false })
    expect(error?.message.split('\n')).toHaveLength(4)
    for (const shown of [report, error, checks, standIn.log()]) {
      expect(inspect(shown, { depth: 9, showHidden: true })).not.toContain('CANARY')
      expect(JSON.stringify(shown)).not.toContain('CANARY')
    }
  })

  it('gives no error when nothing blocks, and a retryable one when providers merely did not answer', async () => {
    expect(credentialError(await checkCredentials([], {}))).toBeUndefined()
    standIn.setFault('status500')
    const report = await checkCredentials([account(PAPER, 'paper'), bars()], { cacheMs: 0 })
    expect(credentialError(report)).toMatchObject({ retryable: true })
  })

  it('refuses options that make no sense', async () => {
    await expect(checkCredentials([], { timeoutMs: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
  })
})
