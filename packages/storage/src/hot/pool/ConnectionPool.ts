import { type Clock, VarveError, errorMessage, isVarveError, publish } from '@varve/core'
import { closedError } from '../sqlErrors.ts'
import { type Holder, type PoolHolder, createHolder, toPoolHolder } from './holders.ts'
import type { PoolOptions } from './options.ts'
import { exhaustedError } from './poolErrors.ts'
import { publishStatus, reportHeld } from './poolReports.ts'
import { type PoolStatus, judgePool } from './PoolStatus.ts'

/** What a pool asks of the things it keeps. */
export interface PoolDriver<Connection> {
  /** A connection ready for use. Rejects with a `VarveError`; `retryable` says whether the server may come back. */
  open(): Promise<Connection>
  /** Resolves when the connection answers. */
  ping(connection: Connection): Promise<void>
  /** Says goodbye to the server. */
  close(connection: Connection): Promise<void>
  /** Cuts the connection at once. */
  destroy(connection: Connection): void
  /** Calls `handler` once when the connection breaks by itself. */
  onLost(connection: Connection, handler: (error: unknown) => void): void
}

/** A connection handed out. */
export interface Lease<Connection> {
  readonly connection: Connection
  readonly holder: Holder
  /** Gives the connection back: fit for others, to be closed, or found dead. Only the first call counts. */
  release(condition: 'fit' | 'unfit' | 'dead'): void
}

/** What became of the connections when a pool was closed. */
export interface DrainResult {
  /** How long the connections in use were waited for, milliseconds. */
  readonly waitedMs: number
  /** Callers that were still waiting for a connection and were refused. */
  readonly refused: number
  /** Connections that were still in use at the end of the wait and were cut. */
  readonly forced: readonly PoolHolder[]
}

/** Connections that are kept open and lent, one holder at a time. */
export interface ConnectionPool<Connection> {
  /**
   * A connection, at once or when one is free; first come, first served.
   *
   * @throws `POOL_EXHAUSTED` or `DATABASE_UNREACHABLE` after `waitTimeoutMs`; `DATABASE_UNREACHABLE` at once when
   * the server never answered or refuses the login; `DATABASE_CLOSED`; the signal's reason
   */
  acquire(label: string, signal?: AbortSignal): Promise<Lease<Connection>>
  status(): PoolStatus
  /** Refuses new work, waits for what is in use, cuts what is left. A second call gives the result of the first. */
  drain(timeoutMs?: number): Promise<DrainResult>
}

interface Entry<Connection> {
  readonly connection: Connection
  readonly openedMs: number
  idleSinceMs: number
  holder: Holder | undefined
  /** It broke while it was held. */
  lost: boolean
  /** Another connection broke since this one was last used. */
  suspect: boolean
}

interface Waiter<Connection> {
  readonly holder: Holder
  readonly askedMs: number
  resolve(lease: Lease<Connection>): void
  reject(error: unknown): void
}

/**
 * A pool over `driver`. Opens on demand, at most `maxConnections`, and lends the connection used last, so that
 * the ones a quiet time does not need grow old and are closed.
 *
 * A server that was reached once and is lost is tried again every `outageRetryMs` while callers wait.
 *
 * @param target - what it connects to, for messages, without credentials
 */
export function createConnectionPool<Connection>(
  driver: PoolDriver<Connection>,
  options: PoolOptions,
  clock: Clock,
  target: string,
): ConnectionPool<Connection> {
  const { maxConnections, overflow, waitTimeoutMs, maxAgeMs, idleTimeoutMs, pingAfterIdleMs } = options
  const entries = new Set<Entry<Connection>>()
  /** Used last at the end. */
  const idle: Entry<Connection>[] = []
  const waiters = new Set<Waiter<Connection>>()
  const ended = new AbortController()
  const farewells = new Set<Promise<unknown>>()
  let invalidAtMs: number[] = []
  let opening = 0
  let checking = 0
  let created = 0
  let closed = 0
  let timedOut = 0
  let reached = false
  let outage: unknown
  let retrying = false
  let watching = false
  let expiring = false
  let draining: Promise<DrainResult> | undefined
  let onAllReturned: (() => void) | undefined

  const held = (): Entry<Connection>[] => [...entries].filter((entry) => entry.holder !== undefined)
  const holders = (): PoolHolder[] => {
    const nowMs = clock.monotonicMs()
    return held()
      .map((entry) => toPoolHolder(entry.holder!, nowMs))
      .sort((a, b) => b.heldMs - a.heldMs)
  }

  const remove = (entry: Entry<Connection>, how: 'close' | 'destroy'): void => {
    if (!entries.delete(entry)) return
    const at = idle.indexOf(entry)
    if (at >= 0) idle.splice(at, 1)
    closed++
    if (how === 'destroy') driver.destroy(entry.connection)
    else sayFarewell(driver.close(entry.connection))
  }
  const sayFarewell = (work: Promise<unknown>): void => {
    const farewell = work
      .catch(() => undefined)
      .finally(() => {
        farewells.delete(farewell)
      })
    farewells.add(farewell)
  }
  /** One connection broke: the server may have restarted, so the others are tried before they serve again. */
  const removeDead = (entry: Entry<Connection>): void => {
    if (!entries.has(entry)) return
    invalidAtMs.push(clock.monotonicMs())
    remove(entry, 'destroy')
    for (const other of idle) other.suspect = true
  }

  const grant = (entry: Entry<Connection>, waiter: Waiter<Connection>): void => {
    waiters.delete(waiter)
    const { holder } = waiter
    holder.sinceMs = clock.monotonicMs()
    entry.holder = holder
    let released = false
    waiter.resolve({
      connection: entry.connection,
      holder,
      release(condition) {
        if (released) return
        released = true
        takeBack(entry, condition)
      },
    })
  }

  /** A connection fit for use goes to the first who waits, or rests. */
  const offer = (entry: Entry<Connection>): void => {
    for (const waiter of waiters) {
      grant(entry, waiter)
      return
    }
    if (entries.size > maxConnections - overflow) {
      remove(entry, 'close')
      return
    }
    entry.idleSinceMs = clock.monotonicMs()
    idle.push(entry)
  }

  const takeBack = (entry: Entry<Connection>, condition: 'fit' | 'unfit' | 'dead'): void => {
    entry.holder = undefined
    if (entry.lost || condition === 'dead') removeDead(entry)
    else if (condition === 'unfit' || draining !== undefined || isOld(entry)) remove(entry, 'close')
    else offer(entry)
    if (draining === undefined) serve()
    else if (held().length === 0) onAllReturned?.()
  }

  const isOld = (entry: Entry<Connection>): boolean =>
    maxAgeMs > 0 && clock.monotonicMs() - entry.openedMs >= maxAgeMs

  const check = async (entry: Entry<Connection>): Promise<void> => {
    checking++
    const limit = new AbortController()
    const answered = await Promise.race([
      driver.ping(entry.connection).then(
        () => true,
        () => false,
      ),
      clock.sleep(options.pingTimeoutMs, { signal: limit.signal }).then(
        () => false,
        () => false,
      ),
    ])
    limit.abort()
    checking--
    entry.suspect = false
    if (draining !== undefined) remove(entry, 'close')
    else if (!answered) removeDead(entry)
    else if (entries.has(entry)) offer(entry)
    serve()
  }

  const open = async (): Promise<void> => {
    opening++
    let connection: Connection
    try {
      connection = await driver.open()
    } catch (error) {
      opening--
      onOpenFailed(error)
      return
    }
    opening--
    created++
    reached = true
    outage = undefined
    if (draining !== undefined) {
      closed++
      await driver.close(connection)
      return
    }
    const nowMs = clock.monotonicMs()
    const entry: Entry<Connection> = {
      connection,
      openedMs: nowMs,
      idleSinceMs: nowMs,
      holder: undefined,
      lost: false,
      suspect: false,
    }
    entries.add(entry)
    driver.onLost(connection, (error) => {
      onLost(entry, error)
    })
    offer(entry)
    void watch()
    serve()
  }

  const onOpenFailed = (error: unknown): void => {
    if (draining !== undefined) return
    if (reached && isVarveError(error) && error.retryable) {
      outage = error
      if (retrying) return
      retrying = true
      void clock
        .sleep(options.outageRetryMs, { signal: ended.signal })
        .catch(() => undefined)
        .then(() => {
          retrying = false
          serve()
        })
      return
    }
    for (const waiter of waiters) {
      waiter.reject(error)
      break
    }
    serve()
  }

  const onLost = (entry: Entry<Connection>, error: unknown): void => {
    if (!entries.has(entry) || entry.lost) return
    entry.lost = true
    for (const other of idle) other.suspect = true
    if (entry.holder !== undefined) return // its holder is told by the statement that fails
    removeDead(entry)
    publish('log', () => ({
      level: 'warn',
      component: 'storage',
      message: `idle connection to ${target} lost: ${errorMessage(error)}`,
    }))
    serve()
  }

  const serve = (): void => {
    while (draining === undefined && waiters.size > opening + checking) {
      const entry = idle.pop()
      if (entry !== undefined) {
        if (isOld(entry)) remove(entry, 'close')
        else if (entry.suspect || clock.monotonicMs() - entry.idleSinceMs > pingAfterIdleMs) void check(entry)
        else offer(entry)
        continue
      }
      if (entries.size + opening >= maxConnections) return
      // A server that is down is asked by one connection at a time.
      if (outage !== undefined && (retrying || opening > 0)) return
      const attempt = open()
      sayFarewell(attempt)
    }
  }

  const giveUp = (waiter: Waiter<Connection>): void => {
    timedOut++
    const waitedMs = clock.monotonicMs() - waiter.askedMs
    waiter.reject(
      outage instanceof Error
        ? new VarveError(`no connection within ${Math.round(waitedMs)} ms: ${outage.message}`, {
            code: 'DATABASE_UNREACHABLE',
            retryable: true,
            cause: outage,
            details: { target, waitedMs: Math.round(waitedMs) },
          })
        : exhaustedError(waitedMs, maxConnections, waiters.size - 1, holders()),
    )
  }

  const acquire = (label: string, signal?: AbortSignal): Promise<Lease<Connection>> => {
    const holder = createHolder(label, options.holderStacks)
    if (signal?.aborted) return Promise.reject(signal.reason as Error)
    if (draining !== undefined) return Promise.reject(closedError())
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        waiter.reject(signal?.reason)
      }
      const leave = (): void => {
        waiters.delete(waiter)
        signal?.removeEventListener('abort', onAbort)
      }
      const waiter: Waiter<Connection> = {
        holder,
        askedMs: clock.monotonicMs(),
        resolve(lease) {
          leave()
          resolve(lease)
        },
        reject(error) {
          leave()
          reject(error as Error)
        },
      }
      waiters.add(waiter)
      serve()
      if (!waiters.has(waiter)) return
      signal?.addEventListener('abort', onAbort, { once: true })
      void expire()
    })
  }

  /** Ends waits at their time limit. All wait equally long, so one timer for the first of them is enough. */
  const expire = async (): Promise<void> => {
    if (expiring) return
    expiring = true
    for (const waiter of waiters) {
      const leftMs = waiter.askedMs + waitTimeoutMs - clock.monotonicMs()
      if (leftMs > 0) await clock.sleep(leftMs, { signal: ended.signal }).catch(() => undefined)
      // Those who came later are still behind this one in the set, also when it has been served meanwhile.
      if (waiters.has(waiter)) giveUp(waiter)
    }
    expiring = false
  }

  const watch = async (): Promise<void> => {
    if (watching) return
    watching = true
    while (entries.size > 0 && !ended.signal.aborted) {
      await clock.sleep(options.poolCheckMs, { signal: ended.signal }).catch(() => undefined)
      if (ended.signal.aborted) break
      const nowMs = clock.monotonicMs()
      for (const entry of [...idle]) {
        if (isOld(entry) || (idleTimeoutMs > 0 && nowMs - entry.idleSinceMs >= idleTimeoutMs)) {
          remove(entry, 'close')
        }
      }
      for (const { holder } of held()) {
        if (options.heldWarningMs === 0 || holder!.reported) continue
        if (nowMs - holder!.sinceMs <= options.heldWarningMs) continue
        holder!.reported = true
        reportHeld(toPoolHolder(holder!, nowMs), target)
      }
      publishStatus(status, target)
    }
    watching = false
  }

  const status = (): PoolStatus => {
    const since = clock.monotonicMs() - options.invalidWindowMs
    invalidAtMs = invalidAtMs.filter((atMs) => atMs > since)
    const list = holders()
    return judgePool(
      {
        size: entries.size,
        idle: idle.length,
        inUse: list.length,
        opening: opening + checking,
        waiting: waiters.size,
        invalid: invalidAtMs.length,
        created,
        closed,
        timedOut,
        serverLost: outage !== undefined,
        holders: list,
      },
      options,
    )
  }

  const drainNow = async (timeoutMs: number): Promise<DrainResult> => {
    const startedMs = clock.monotonicMs()
    const refused = waiters.size
    for (const waiter of [...waiters]) waiter.reject(closedError())
    for (const entry of [...idle]) remove(entry, 'close')
    if (held().length > 0) {
      const returned = new Promise<void>((resolve) => {
        onAllReturned = resolve
      })
      const enough = new AbortController()
      await Promise.race([returned, clock.sleep(timeoutMs, { signal: enough.signal }).catch(() => undefined)])
      enough.abort()
    }
    const waitedMs = Math.round(clock.monotonicMs() - startedMs)
    const forced = holders()
    for (const entry of held()) remove(entry, 'destroy')
    if (forced.length > 0) {
      publish('log', () => ({
        level: 'warn',
        component: 'storage',
        message: `${forced.length} connections to ${target} were cut after ${waitedMs} ms: work on them was not finished`,
        holders: forced,
      }))
    }
    ended.abort()
    // A network that swallows packets must not hold the end up.
    const patience = new AbortController()
    await Promise.race([
      Promise.all(farewells),
      clock.sleep(options.pingTimeoutMs, { signal: patience.signal }).catch(() => undefined),
    ])
    patience.abort()
    return { waitedMs, refused, forced }
  }

  return {
    acquire,
    status,
    drain(timeoutMs = options.drainTimeoutMs) {
      if (draining === undefined) {
        let finish: (result: Promise<DrainResult>) => void = () => undefined
        // Set before anything else runs: whoever is refused and asks again is refused at once.
        draining = new Promise((resolve) => {
          finish = resolve
        })
        finish(drainNow(timeoutMs))
      }
      return draining
    },
  }
}
