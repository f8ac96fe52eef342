import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Clock } from '@varve/core'
import { systemClock } from '@varve/core'
import type { FaultRates, Faults } from './faults.ts'
import { FaultPlan } from './faults.ts'
import { hash32 } from './noise.ts'
import type { RouteAnswer } from './polygonRoutes.ts'
import { answerPolygon, failure, pageOf, unpackCursor } from './polygonRoutes.ts'
import type { StandInMarket } from './StandInMarket.ts'

export interface StandInServerOptions {
  readonly market: StandInMarket
  /** @defaultValue 0, any free one */
  readonly port?: number
  readonly apiKey: string
  /** Strict sliding windows per key; beyond them 429. */
  readonly quotas: readonly { readonly limit: number; readonly windowMs: number }[]
  /** Of the faults. */
  readonly seed: number
  readonly faultRates?: FaultRates
  /** How long a `timeout` fault holds the answer back. @defaultValue 60,000 ms */
  readonly timeoutMs?: number
  /** `Retry-After` of a 429 in seconds; `null` sends none, as the vendor does. @defaultValue null */
  readonly retryAfterSeconds?: number | null
  /** Requests kept in the log. @defaultValue 100,000 */
  readonly logLimit?: number
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** One request as the server saw it; keys appear only as hashes. */
export interface StandInLogEntry {
  /** Counted from 1. */
  readonly ordinal: number
  /** Monotonic milliseconds. */
  readonly at: number
  readonly method: string
  /** Path and query, with an `apiKey` replaced. */
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly status: number
  readonly fault: string | null
  /** A key stood in the URL. */
  readonly keyInUrl: boolean
}

export interface StandInServer extends AsyncDisposable {
  /** `http://127.0.0.1:PORT`; the Polygon API lies under `/polygon`. */
  readonly url: string
  close(): Promise<void>
  log(): readonly StandInLogEntry[]
  /** Requests beyond a quota. Injected 429s are none. */
  violations(): number
  /** Requests to the API; those under `/_control` are not counted. */
  requests(): number
  /** Replaces the rates or the rules that are given. */
  setFaults(faults: Faults): void
}

const PREFIX = '/polygon'

type Answer = RouteAnswer & { readonly headers?: Readonly<Record<string, string>> }

/** Serves a stand-in market over HTTP on the loopback interface, with the vendor's wire format and its bad days. */
export async function startStandInServer(options: StandInServerOptions): Promise<StandInServer> {
  const { market, apiKey, quotas, seed, clock = systemClock } = options
  const timeoutMs = options.timeoutMs ?? 60_000
  const logLimit = options.logLimit ?? 100_000
  const plan = new FaultPlan(seed, options.faultRates ?? {})
  const log: StandInLogEntry[] = []
  const accepted = new Map<string, number[]>()
  const looked = new Set<string>()
  const held = new Set<AbortController>()
  const faultCounts = new Map<string, number>()
  let requests = 0
  let violations = 0

  /** Left out at the first look only. */
  const withhold = (symbol: string, date: string): boolean => {
    if (!market.isTransient(symbol, date)) return false
    const key = `${symbol}|${date}`
    if (looked.has(key)) return false
    looked.add(key)
    return true
  }

  /** True when the request fits every window; then it is counted. */
  const admit = (key: string, now: number): boolean => {
    const times = accepted.get(key) ?? []
    accepted.set(key, times)
    const full = quotas.some(({ limit, windowMs }) => {
      const oldest = times[times.length - limit]
      return oldest !== undefined && now - oldest < windowMs
    })
    if (full) return false
    times.push(now)
    const longest = Math.max(0, ...quotas.map(({ limit }) => limit))
    if (times.length > 2 * longest + 16) times.splice(0, times.length - longest)
    return true
  }

  const handleApi = async (request: IncomingMessage, response: ServerResponse, url: URL): Promise<void> => {
    const ordinal = ++requests
    const now = clock.monotonicMs()
    const requestId = hash32(seed, ordinal, 92).toString(16).padStart(8, '0').repeat(4)
    const inUrl = url.searchParams.get('apiKey')
    const key = inUrl ?? /^Bearer (.+)$/.exec(request.headers.authorization ?? '')?.[1] ?? ''
    let fault: string | null = null
    const finish = (answer: Answer, cut: 'truncated' | 'reset' | null = null) => {
      if (log.length >= logLimit) log.shift()
      log.push({
        ordinal,
        at: now,
        method: request.method ?? '',
        url: request.url!.replace(/apiKey=[^&]*/, 'apiKey=[key]'),
        headers: hashedHeaders(request),
        status: answer.status,
        fault,
        keyInUrl: inUrl !== null || request.url!.includes(apiKey),
      })
      if (fault !== null) faultCounts.set(fault, (faultCounts.get(fault) ?? 0) + 1)
      send(response, answer, cut)
    }
    if (key !== apiKey) return finish(failure(401, 'ERROR', requestId, 'error', 'Unknown API Key'))
    const tooMany = (): Answer => ({
      ...failure(
        429,
        'ERROR',
        requestId,
        'error',
        "You've exceeded the maximum requests per minute, please wait or upgrade your subscription to continue.",
      ),
      headers:
        typeof options.retryAfterSeconds === 'number'
          ? { 'retry-after': String(options.retryAfterSeconds) }
          : {},
    })
    if (!admit(key, now)) {
      violations++
      fault = 'quota'
      return finish(tooMany())
    }
    const path = url.pathname.slice(PREFIX.length)
    const query = unpackCursor(url.searchParams)
    const fate = plan.decide(ordinal, path, pageOf(query))
    fault = fate.fault ?? (fate.answer === undefined ? null : 'answer')
    if (fate.answer !== undefined) return finish(fate.answer)
    if (fate.fault === 'status429') return finish(tooMany())
    if (fate.fault === 'status500') return finish(serverError(ordinal, requestId))
    if (fate.fault === 'empty200') return finish({ status: 200, body: emptyBody(ordinal, requestId) })
    if (fate.fault === 'timeout') {
      const stop = new AbortController()
      held.add(stop)
      response.on('close', () => stop.abort())
      await clock.sleep(timeoutMs, { signal: stop.signal }).catch(() => undefined)
      held.delete(stop)
    }
    const origin = `http://${request.headers.host ?? '127.0.0.1'}${PREFIX}`
    const answer = answerPolygon(market, { path, query, origin, requestId, fault: fate.fault }, withhold)
    finish(answer, fate.fault === 'truncated' || fate.fault === 'reset' ? fate.fault : null)
  }

  const handleControl = async (
    request: IncomingMessage,
    response: ServerResponse,
    path: string,
  ): Promise<void> => {
    if (request.method === 'POST' && path === '/_control/faults') {
      plan.set(JSON.parse(await readBody(request)) as Faults)
      send(response, { status: 200, body: '{"status":"OK"}' })
    } else if (path === '/_control/log') send(response, { status: 200, body: JSON.stringify(log) })
    else if (path === '/_control/stats') {
      const body = JSON.stringify({ requests, violations, faults: Object.fromEntries(faultCounts) })
      send(response, { status: 200, body })
    } else send(response, { status: 404, body: '{"status":"NOT_FOUND"}' })
  }

  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://127.0.0.1')
    const handled = url.pathname.startsWith('/_control/')
      ? handleControl(request, response, url.pathname)
      : handleApi(request, response, url)
    handled.catch((error: unknown) =>
      send(response, { status: 500, body: JSON.stringify({ status: 'ERROR', error: String(error) }) }),
    )
  })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(options.port ?? 0, '127.0.0.1', resolve)
  })
  let closing: Promise<void> | undefined
  const standIn: StandInServer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    log: () => [...log],
    violations: () => violations,
    requests: () => requests,
    setFaults: (faults) => plan.set(faults),
    close() {
      closing ??= new Promise((resolve) => {
        for (const stop of held) stop.abort()
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
  { status, body, headers }: Answer,
  cut: 'truncated' | 'reset' | null = null,
): void {
  if (response.destroyed || response.headersSent) return
  const type = body.startsWith('<') ? 'text/html' : 'application/json'
  if (cut === 'reset') {
    // Promises the whole body and hangs up in the middle of it.
    response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(body) })
    response.write(body.slice(0, Math.floor(body.length / 2)), () => response.destroy())
    return
  }
  const sent = cut === 'truncated' ? body.slice(0, Math.floor(body.length * 0.7)) : body
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(sent), ...headers })
  response.end(sent)
}

/** The shapes a server error comes in: JSON, HTML from a proxy, nothing. */
function serverError(ordinal: number, requestId: string): RouteAnswer {
  const status = [500, 502, 503, 504][ordinal % 4]!
  if (ordinal % 3 === 0) return { status, body: '<html><body><h1>Bad Gateway</h1></body></html>' }
  return ordinal % 3 === 1
    ? failure(status, 'ERROR', requestId, 'error', 'Internal error.')
    : { status, body: '' }
}

/** The shapes an empty answer comes in; all of them have been seen. */
function emptyBody(ordinal: number, requestId: string): string {
  const head = `"status":"OK","request_id":"${requestId}"`
  return [
    `{"queryCount":0,"resultsCount":0,"adjusted":false,${head}}`,
    `{"queryCount":0,"resultsCount":0,"adjusted":false,"results":null,${head}}`,
    `{"queryCount":0,"resultsCount":0,"adjusted":false,"results":[],${head}}`,
    '{}',
  ][ordinal % 4]!
}

function hashedHeaders(request: IncomingMessage): Record<string, string> {
  return Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => {
      const plain = Array.isArray(value) ? value.join(', ') : (value ?? '')
      const secret = name === 'authorization'
      return [
        name,
        secret ? `sha256:${createHash('sha256').update(plain).digest('hex').slice(0, 16)}` : plain,
      ]
    }),
  )
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).toString()
}
