import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { type AddressInfo } from 'node:net'
import { sha256Hex } from '@varve/core'

/** How an account stands with its broker. */
export type StandInAccountState = 'valid' | 'revoked' | 'blocked' | 'pending' | 'noCrypto' | 'noNews'

/** A key pair of the stand-in broker. */
export interface StandInAccount {
  readonly keyId: string
  readonly secret: string
  readonly environment: 'paper' | 'live'
  /** @defaultValue `valid` */
  readonly state?: StandInAccountState
}

/** A key of the stand-in market data vendor. */
export interface StandInDataKey {
  readonly apiKey: string
  /** @defaultValue `valid` */
  readonly state?: 'valid' | 'revoked' | 'noNews'
}

/** Ways an answer goes wrong, whatever the key. */
export type StandInAccountFault =
  'hang' | 'hangInBody' | 'status500' | 'status429' | 'reset' | 'html' | 'redirect' | 'errorInside'

export interface StandInAccountsOptions {
  readonly accounts: readonly StandInAccount[]
  readonly dataKeys: readonly StandInDataKey[]
  /** @defaultValue 0, any free one */
  readonly port?: number
}

/** One request as the server saw it; keys appear only as hashes. */
export interface StandInAccountsLogEntry {
  readonly path: string
  readonly status: number | undefined
  /** SHA-256 of the key or key id sent, the first 16 digits. */
  readonly keyHash: string
  /** A key or secret stood in the URL. */
  readonly keyInUrl: boolean
}

export interface StandInAccounts extends AsyncDisposable {
  /** Base URLs by environment, as the broker has a host for each. */
  readonly hosts: Readonly<Record<'paper' | 'live', string>>
  /** Base URL of the broker's market data host. */
  readonly dataUrl: string
  /** Base URL of the market data vendor. */
  readonly polygonUrl: string
  log(): readonly StandInAccountsLogEntry[]
  /** Every answer goes wrong that way until the next call; without a fault they are right again. */
  setFault(fault?: StandInAccountFault): void
  /** Changes what becomes of a broker's key from now on. */
  setState(keyId: string, state: StandInAccountState): void
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: Readonly<Record<string, unknown>>
}

/** Serves the parts of a broker and a market data vendor that judge keys, over HTTP on the loopback interface. */
export async function startStandInAccounts(options: StandInAccountsOptions): Promise<StandInAccounts> {
  const { accounts, dataKeys } = options
  const states = new Map(accounts.map(({ keyId, state = 'valid' }) => [keyId, state]))
  const secrets = [
    ...accounts.flatMap(({ keyId, secret }) => [keyId, secret]),
    ...dataKeys.map(({ apiKey }) => apiKey),
  ]
  const log: StandInAccountsLogEntry[] = []
  let fault: StandInAccountFault | undefined

  const accountFor = (request: IncomingMessage) =>
    accounts.find(
      ({ keyId, secret }) =>
        request.headers['apca-api-key-id'] === keyId && request.headers['apca-api-secret-key'] === secret,
    )

  /** The broker gives one answer to a wrong key, a revoked one, and one of the other environment. */
  const answerAccount = (request: IncomingMessage, environment: 'paper' | 'live'): Answer => {
    const account = accountFor(request)
    const state = account === undefined ? 'revoked' : states.get(account.keyId)
    if (account?.environment !== environment || state === 'revoked')
      return environment === 'paper'
        ? { status: 401, body: { code: 40110000, message: 'request is not authorized' } }
        : { status: 403, body: { message: 'forbidden.' } }
    return {
      status: 200,
      body: {
        id: 'e6fe16f3-0000-4000-8000-000000000001',
        account_number: environment === 'paper' ? 'PA3TEST0001' : '010203ABCD',
        status: state === 'pending' ? 'APPROVAL_PENDING' : 'ACTIVE',
        crypto_status: state === 'noCrypto' ? 'INACTIVE' : 'ACTIVE',
        currency: 'USD',
        trading_blocked: state === 'blocked',
        account_blocked: false,
        trade_suspended_by_user: false,
      },
    }
  }

  const answerNews = (request: IncomingMessage): Answer => {
    const account = accountFor(request)
    const state = account === undefined ? 'revoked' : states.get(account.keyId)
    if (state === 'revoked') return { status: 403, body: { message: 'forbidden.' } }
    return state === 'noNews'
      ? { status: 403, body: { message: 'subscription does not permit querying news' } }
      : { status: 200, body: { news: [], next_page_token: null } }
  }

  const answerPolygon = (request: IncomingMessage, path: string): Answer => {
    const sent = /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1]
    const state = dataKeys.find(({ apiKey }) => apiKey === sent)
    if (state === undefined || state.state === 'revoked')
      return { status: 401, body: { status: 'ERROR', request_id: '1', error: 'Unknown API Key' } }
    if (path.endsWith('/news') && state.state === 'noNews')
      return {
        status: 403,
        body: {
          status: 'NOT_AUTHORIZED',
          message: 'You are not entitled to this data. Please upgrade your plan',
        },
      }
    return { status: 200, body: { status: 'OK', request_id: '1', results: [] } }
  }

  const answer = (request: IncomingMessage, path: string): Answer => {
    if (fault === 'status500') return { status: 500, body: { message: 'internal server error' } }
    if (fault === 'status429') return { status: 429, body: { message: 'too many requests.' } }
    if (fault === 'errorInside') return { status: 200, body: { status: 'ERROR', error: 'Internal error.' } }
    if (path === '/paper/v2/account') return answerAccount(request, 'paper')
    if (path === '/live/v2/account') return answerAccount(request, 'live')
    if (path === '/data/v1beta1/news') return answerNews(request)
    if (/^\/polygon\/(?:v2\/aggs\/ticker\/[^/]+\/prev|v2\/reference\/news)$/.test(path))
      return answerPolygon(request, path)
    return { status: 404, body: { message: 'endpoint not found.' } }
  }

  const server = createServer((request, response) => {
    const url = request.url ?? '/'
    const path = url.split('?')[0]!
    const keySent =
      request.headers['apca-api-key-id'] ?? request.headers.authorization?.slice('Bearer '.length)
    const entry = {
      path,
      keyHash: sha256Hex(String(keySent ?? '')).slice(0, 16),
      keyInUrl: secrets.some((secret) => url.includes(secret)),
    }
    if (fault === 'hang' || fault === 'reset') {
      log.push({ ...entry, status: undefined })
      if (fault === 'reset') request.socket.destroy()
      return
    }
    const { status, body } = answer(request, path)
    log.push({ ...entry, status })
    send(response, status, JSON.stringify(body), fault)
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  const base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  let closing: Promise<void> | undefined
  const standIn: StandInAccounts = {
    hosts: { paper: `${base}/paper`, live: `${base}/live` },
    dataUrl: `${base}/data`,
    polygonUrl: `${base}/polygon`,
    log: () => [...log],
    setFault: (next) => void (fault = next),
    setState: (keyId, state) => void states.set(keyId, state),
    close() {
      closing ??= new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      })
      return closing
    },
    [Symbol.asyncDispose]: () => standIn.close(),
  }
  return standIn
}

function send(
  response: ServerResponse,
  status: number,
  body: string,
  fault: StandInAccountFault | undefined,
): void {
  if (fault === 'html') {
    response.writeHead(200, { 'content-type': 'text/html' }).end('<html><body>Please sign in</body></html>')
  } else if (fault === 'redirect') {
    response.writeHead(302, { location: 'http://127.0.0.1:9/elsewhere' }).end()
  } else if (fault === 'hangInBody') {
    response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length })
    response.write(body.slice(0, 5))
  } else response.writeHead(status, { 'content-type': 'application/json' }).end(body)
}
