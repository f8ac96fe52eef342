import {
  type Clock,
  type SqlClient,
  type SqlTx,
  checkedOptions,
  isVarveError,
  publish,
  systemClock,
} from '@varve/core'
import type { z } from 'zod'
import { queryTrackingOptionsSchema } from './options.ts'
import { planAdvice } from './planAdvice.ts'
import { type QueryEntry, createQueryLog, figuresOf, recommendationsOf, statsOf } from './queryLog.ts'
import type { QueryFigures, QueryReport, SlowQuery } from './queryReport.ts'

/** Its data, with their defaults: {@link queryTrackingOptionsSchema}. */
export interface QueryTrackingOptions extends z.input<typeof queryTrackingOptionsSchema> {
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** What a tracked client has counted. */
export interface QueryTracking {
  /** Everything since the start or the last `reset`. */
  report(): QueryReport
  /**
   * Asks the database for the plans of the slow reads in the report (`EXPLAIN` without running them, without
   * parameters, in a read-only transaction of its own) and puts what they suggest into later reports.
   *
   * @returns how many statements were looked at
   */
  advise(): Promise<number>
  /** Begins again from nothing. */
  reset(): void
  /** Stops counting; calls go straight through. */
  pause(): void
  /** Counts again. */
  resume(): void
}

/** A client whose statements are counted. */
export interface TrackedSqlClient extends SqlClient {
  readonly queries: QueryTracking
}

interface SlowEntry {
  readonly entry: QueryEntry
  readonly atMs: number
  readonly durationMs: number
  /** Never leaves the process: it may hold values. */
  readonly text: string
}

/**
 * The same client, with every statement counted by name, type and priority. A statement that begins with
 * `/* name: bars.read, priority: high *\/` goes by that name, others by what they do and a hash of their shape. Of
 * its text the report holds the shape, never values or parameters. Closing it closes `sql`.
 *
 * @throws `OPTION_INVALID`
 */
export function withQueryTracking(sql: SqlClient, options: QueryTrackingOptions = {}): TrackedSqlClient {
  const { clock = systemClock } = options
  const settings = checkedOptions(queryTrackingOptionsSchema, options, 'query tracking')
  const { slowMs, slowKept, relativeError } = settings
  const log = createQueryLog(settings)
  const advice = new Map<string, readonly string[]>()
  let slow: SlowEntry[] = []
  let sinceMs = clock.now()
  let paused = false

  const count = (entry: QueryEntry, startedMs: number, rows: number, text: string): void => {
    const durationMs = clock.monotonicMs() - startedMs
    entry.times.add(durationMs)
    entry.rows += rows
    if (durationMs > slowMs) noteSlow(entry, durationMs, text)
  }
  const noteSlow = (entry: QueryEntry, durationMs: number, text: string): void => {
    entry.slow++
    slow.push({ entry, atMs: clock.now(), durationMs, text })
    if (slow.length > slowKept) slow.shift()
    publish('log', () => ({
      level: 'warn',
      component: 'storage',
      message: `slow statement ${entry.name}: ${Math.round(durationMs)} ms`,
      shape: entry.shape,
    }))
  }
  const fail = (entry: QueryEntry, startedMs: number, error: unknown, text: string): void => {
    count(entry, startedMs, 0, text)
    const code = codeOf(error)
    entry.errors.set(code, (entry.errors.get(code) ?? 0) + 1)
  }

  const measured = <T>(
    entry: QueryEntry,
    text: string,
    work: () => Promise<T>,
    rowsOf: (result: T) => number,
  ): Promise<T> => {
    const startedMs = clock.monotonicMs()
    return work().then(
      (result) => {
        count(entry, startedMs, rowsOf(result), text)
        return result
      },
      (error: unknown) => {
        fail(entry, startedMs, error, text)
        throw error
      },
    )
  }

  const tracked = (inner: SqlTx): SqlTx => ({
    query(text, params) {
      if (paused) return inner.query(text, params)
      return measured(log.entryOf(text), text, () => inner.query(text, params), rowCountOf)
    },
    exec(text) {
      if (paused) return inner.exec(text)
      return measured(log.entryOf(text), text, () => inner.exec(text), none)
    },
    copyIn(text, chunks, copyOptions) {
      if (paused) return inner.copyIn(text, chunks, copyOptions)
      return measured(log.entryOf(text), text, () => inner.copyIn(text, chunks, copyOptions), Number)
    },
    async *copyOut(text) {
      if (paused) {
        yield* inner.copyOut(text)
        return
      }
      const entry = log.entryOf(text)
      const startedMs = clock.monotonicMs()
      try {
        yield* inner.copyOut(text)
      } catch (error) {
        fail(entry, startedMs, error, text)
        throw error
      }
      count(entry, startedMs, 0, text)
    },
  })

  const report = (): QueryReport => {
    const entries = log.entries()
    const queries = entries
      .map((entry) => statsOf(entry, relativeError))
      .sort((a, b) => b.totalMs - a.totalMs || (a.name < b.name ? -1 : 1))
    // A transaction's time holds that of its statements: counted on its own, it is left out of every sum.
    const statements = entries.filter((entry) => entry !== log.transactions)
    const groups = (key: 'type' | 'priority'): Record<string, QueryFigures> =>
      Object.fromEntries(
        [...new Set(statements.map((entry) => entry[key]))].map((value) => [
          value,
          figuresOf(
            statements.filter((entry) => entry[key] === value),
            relativeError,
          ),
        ]),
      )
    return {
      engine: sql.engine,
      since: new Date(sinceMs).toISOString(),
      slowMs,
      relativeError,
      total: figuresOf(statements, relativeError),
      queries,
      byType: groups('type'),
      byPriority: groups('priority'),
      slowest: slow.toReversed().map(({ entry, atMs, durationMs, text }): SlowQuery => {
        const found = advice.get(text)
        return {
          name: entry.name,
          at: new Date(atMs).toISOString(),
          durationMs: Math.round(durationMs),
          shape: entry.shape,
          ...(found === undefined ? {} : { advice: found }),
        }
      }),
      recommendations: recommendationsOf(queries, settings),
    }
  }

  const queries: QueryTracking = {
    report,
    async advise() {
      const texts = new Set(slow.filter(({ entry }) => entry.type === 'select').map(({ text }) => text))
      for (const text of advice.keys()) if (!texts.has(text)) advice.delete(text)
      let looked = 0
      for (const text of texts) {
        if (advice.has(text)) continue
        advice.set(text, await planAdvice(sql, text, settings))
        looked++
      }
      return looked
    },
    reset() {
      log.clear()
      advice.clear()
      slow = []
      sinceMs = clock.now()
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
    },
  }

  return {
    ...tracked(sql),
    engine: sql.engine,
    queries,
    tx(work) {
      if (paused) return sql.tx(work)
      const { transactions } = log
      return measured(transactions, transactions.shape, () => sql.tx((inner) => work(tracked(inner))), none)
    },
    listen: (channel, handler) => sql.listen(channel, handler),
    close: () => sql.close(),
    [Symbol.asyncDispose]: () => sql[Symbol.asyncDispose](),
  }
}

function rowCountOf(result: { readonly rowCount: number }): number {
  return result.rowCount
}

function none(): number {
  return 0
}

function codeOf(error: unknown): string {
  if (isVarveError(error)) {
    const { sqlState } = error.details
    return typeof sqlState === 'string' ? `${error.code} ${sqlState}` : error.code
  }
  return error instanceof Error ? error.name : 'unknown'
}
