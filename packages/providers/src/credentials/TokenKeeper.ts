import {
  checkedOptions,
  errorMessage,
  isVarveError,
  publish,
  type Secret,
  systemClock,
  VarveError,
  type Clock,
} from '@varve/core'
import { type z } from 'zod'
import { readJwtTimes } from './jwt.ts'
import { tokenKeeperSchema } from './schema.ts'

/** A token as a provider gave it. */
export interface FreshToken {
  readonly token: Secret
  /** Milliseconds since 1970-01-01T00:00Z. @defaultValue `exp` of a JSON Web Token, else `opaqueLifeMs` from now */
  readonly expiresAt?: number
}

export interface TokenKeeperOptions extends z.input<typeof tokenKeeperSchema> {
  /** For messages. One keeper per provider: it is what makes refreshes one at a time. */
  readonly provider: string
  /** Gets a new token. `previous` is the one in use, if any. It should stop when the signal is aborted. */
  readonly refresh: (context: {
    readonly previous: Secret | undefined
    readonly signal: AbortSignal
  }) => Promise<FreshToken>
  /** A token from an earlier run. */
  readonly initial?: FreshToken
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
  /** Called after each refresh that failed in all its attempts. */
  readonly onFailure?: (error: VarveError) => void
}

export interface TokenStatus {
  /** Milliseconds since 1970-01-01T00:00Z; `undefined` without a token. */
  readonly expiresAt: number | undefined
  readonly refreshAt: number | undefined
  /** Refreshes that gave a token. */
  readonly refreshes: number
  /** Refreshes that failed in all their attempts. */
  readonly failures: number
  readonly refreshing: boolean
}

/** Keeps one provider's access token valid. */
export interface TokenKeeper extends AsyncDisposable {
  /**
   * A token that has not expired. From 80 % of its life on a refresh begins in the background; only an expired one is
   * waited for, and everybody waits for the same refresh. Aborting ends this wait, not the refresh.
   *
   * @throws `TOKEN_REFRESH_FAILED`, `TOKEN_KEEPER_CLOSED`, the signal's reason
   */
  get(options?: { readonly signal?: AbortSignal }): Promise<Secret>
  /** Looks at the token every `monitorMs` (`monitorAfterErrorMs` after a failure), and when its refresh is due. */
  start(): void
  status(): TokenStatus
  /** Ends the monitor and a refresh in progress. */
  close(): Promise<void>
}

interface Held {
  readonly token: Secret
  readonly expiresAt: number
  readonly refreshAt: number
}

/** @throws `OPTION_INVALID` */
export function createTokenKeeper(options: TokenKeeperOptions): TokenKeeper {
  const { provider, refresh, initial, clock = systemClock, onFailure, ...rest } = options
  const numbers = checkedOptions(tokenKeeperSchema, rest, `createTokenKeeper (${provider})`)
  const stop = new AbortController()
  let held = initial === undefined ? undefined : hold(initial)
  let refreshing: Promise<Held> | undefined
  let failure: { readonly at: number; readonly error: VarveError } | undefined
  let refreshes = 0
  let failures = 0
  let monitor: Promise<void> | undefined

  function hold({ token, expiresAt }: FreshToken): Held {
    const now = clock.now()
    const times = readJwtTimes(token.reveal())
    const end = expiresAt ?? times?.expiresAt ?? now + numbers.opaqueLifeMs
    // A token from an earlier run has lived already; a clock that runs behind the provider's must not lengthen it.
    const start = Math.min(times?.issuedAt ?? now, now)
    return { token, expiresAt: end, refreshAt: start + (end - start) * numbers.refreshAtFraction }
  }

  /** One attempt, ended by its time-out or by closing whether or not `refresh` heeds its signal. */
  async function attempt(): Promise<Held> {
    const late = new AbortController()
    const done = new AbortController()
    const ended = AbortSignal.any([late.signal, stop.signal])
    const cut = new Promise<never>((_resolve, reject) => {
      ended.addEventListener('abort', () => reject(ended.reason as Error), { once: true })
    })
    cut.catch(() => undefined)
    clock.sleep(numbers.attemptTimeoutMs, { signal: done.signal }).then(
      () => late.abort(new Error(`no answer in ${numbers.attemptTimeoutMs} ms`)),
      () => undefined,
    )
    try {
      stop.signal.throwIfAborted()
      const next = hold(await Promise.race([refresh({ previous: held?.token, signal: ended }), cut]))
      if (next.expiresAt <= clock.now())
        throw new Error("the new token has expired already; compare this machine's clock with the time")
      return next
    } finally {
      done.abort()
    }
  }

  async function refreshNow(): Promise<Held> {
    for (let tried = 1; ; tried++) {
      try {
        const next = await attempt()
        held = next
        failure = undefined
        refreshes++
        return next
      } catch (cause) {
        if (stop.signal.aborted) throw keeperClosed(provider)
        const final = isVarveError(cause) && !cause.retryable
        if (tried < numbers.attempts && !final) {
          await clock
            .sleep(numbers.retryDelayMs * 2 ** (tried - 1), { signal: stop.signal })
            .catch(() => undefined)
          continue
        }
        throw failed(cause, tried, final)
      }
    }
  }

  function failed(cause: unknown, tried: number, final: boolean): VarveError {
    const known = [held?.token, initial?.token].filter((token) => token !== undefined)
    const error = new VarveError(
      `${provider}: the access token could not be refreshed in ${tried} ${tried === 1 ? 'attempt' : 'attempts'}: ` +
        `${withoutTokens(errorMessage(cause), known)}; ${final ? 'check the credentials' : 'it is tried again'}`,
      {
        code: 'TOKEN_REFRESH_FAILED',
        retryable: !final,
        details: { provider, attempts: tried, causeCode: isVarveError(cause) ? cause.code : undefined },
      },
    )
    failures++
    failure = { at: clock.now(), error }
    publish('log', () => ({ level: 'error', component: 'credentials', message: error.message, provider }))
    try {
      onFailure?.(error)
    } catch (thrown) {
      publish('log', () => ({ level: 'error', component: 'credentials', message: errorMessage(thrown) }))
    }
    return error
  }

  /** The refresh in progress, or a new one. */
  function shared(): Promise<Held> {
    refreshing ??= refreshNow().finally(() => (refreshing = undefined))
    refreshing.catch(() => undefined) // whoever waits hears of it; nobody may be waiting
    return refreshing
  }

  function isFailingFast(): boolean {
    return failure !== undefined && clock.now() - failure.at < numbers.failFastMs
  }

  async function watch(): Promise<void> {
    for (;;) {
      const now = clock.now()
      if (held === undefined || now >= held.refreshAt) await shared().catch(() => undefined)
      const pauseMs =
        failure !== undefined
          ? numbers.monitorAfterErrorMs
          : Math.min(numbers.monitorMs, Math.max(1, (held?.refreshAt ?? now) - clock.now()))
      try {
        await clock.sleep(pauseMs, { signal: stop.signal })
      } catch {
        return
      }
    }
  }

  const keeper: TokenKeeper = {
    async get({ signal } = {}) {
      if (stop.signal.aborted) throw keeperClosed(provider)
      signal?.throwIfAborted()
      const now = clock.now()
      if (held !== undefined && now < held.expiresAt) {
        if (now >= held.refreshAt && !isFailingFast()) void shared()
        return held.token
      }
      if (refreshing === undefined && failure !== undefined && isFailingFast()) throw failure.error
      return (await abortable(shared(), signal)).token
    },
    start() {
      if (stop.signal.aborted) throw keeperClosed(provider)
      monitor ??= watch()
    },
    status: () => ({
      expiresAt: held?.expiresAt,
      refreshAt: held?.refreshAt,
      refreshes,
      failures,
      refreshing: refreshing !== undefined,
    }),
    async close() {
      stop.abort(keeperClosed(provider))
      await refreshing?.catch(() => undefined)
      await monitor
    },
    [Symbol.asyncDispose]: () => keeper.close(),
  }
  return keeper
}

function keeperClosed(provider: string): VarveError {
  return new VarveError(`${provider}: the token keeper was closed; create another`, {
    code: 'TOKEN_KEEPER_CLOSED',
    details: { provider },
  })
}

function abortable<Result>(work: Promise<Result>, signal: AbortSignal | undefined): Promise<Result> {
  if (signal === undefined) return work
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}

/** Whatever a provider echoes, tokens do not reach a message. */
function withoutTokens(text: string, tokens: readonly Secret[]): string {
  return tokens
    .reduce((shown, token) => shown.replaceAll(token.reveal(), '[token]'), text)
    .replace(/\beyJ[\w-]+\.[\w-]+\.[\w-]*/g, '[token]')
}
