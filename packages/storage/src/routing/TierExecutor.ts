import {
  type Clock,
  VarveError,
  checkedOptions,
  errorMessage,
  isVarveError,
  selectBars,
  systemClock,
} from '@varve/core'
import type { BarReader } from '../adjust/index.ts'
import type { BarQuery, BarReadBatch } from '../BarStore.ts'
import { type ColdSlots, createColdSlots } from './ColdSlots.ts'
import { type RoutingSettings, routingOptionsSchema } from './options.ts'
import { type HeldBounds, type RouteDecision, type RouteRule, type Tiers, covers } from './route.ts'
import { timedRead } from './timedRead.ts'

/** One tier's failure counter, as `@varve/resilience` has it. */
export interface TierBreaker {
  /** A permit for one call, or `undefined` while the tier is left alone. */
  enter(now: number): number | undefined
  settle(permit: number, outcome: 'success' | 'failure' | 'neutral', now: number): void
  retryAfterMs(now: number): number
}

/** Where an answer came from and whether it is whole. */
export interface RouteLabel {
  readonly asked: Tiers
  readonly answered: Tiers
  /** `false` when rows of the range may be missing. */
  readonly complete: boolean
  readonly rule: RouteRule
  /** Why these tiers, and what went wrong if something did. */
  readonly why: string
}

/** Bars and the label of what was read so far. */
export interface RoutedBatch {
  readonly bars: BarReadBatch
  readonly label: RouteLabel
}

/** A read under way. `label` also tells of an answer without rows. */
export interface RoutedRead extends AsyncIterable<RoutedBatch> {
  /** What is known of the answer so far; final once all was read. */
  readonly label: RouteLabel
}

/** What {@link createTierExecutor} needs. */
export interface TierExecutorOptions extends Pick<
  RoutingSettings,
  'fallbackToCold' | 'fallbackToHot' | 'onIncomplete' | 'coldQueries' | 'coldTimeoutMs'
> {
  readonly reader: BarReader
  /** Reads the lake without Postgres, for when Postgres is down. @defaultValue `reader` */
  readonly coldReader?: BarReader | undefined
  /** @defaultValue no breaker */
  readonly breakers?:
    { readonly hot?: TierBreaker | undefined; readonly cold?: TierBreaker | undefined } | undefined
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/** How one read may fall back. */
export interface ExecuteOptions {
  readonly held: HeldBounds
  /** @defaultValue the query's `onLakeFailure`, then that of the executor */
  readonly onIncomplete?: 'error' | 'partial' | undefined
  /**
   * Looks the bounds up again after an answer from Postgres alone: rows may have moved to the lake meanwhile.
   *
   * @defaultValue not looked up again
   */
  readonly heldAfterwards?: (() => Promise<HeldBounds>) | undefined
}

/** Carries out decisions of the router. */
export interface TierExecutor {
  /**
   * Reads as decided, and from the other tier when one fails. A symbol that was delivered is not delivered again.
   *
   * @throws `TIER_UNAVAILABLE` while a breaker is open, `COLD_QUERY_TIMEOUT`, or the tier's own error, unless a
   * fallback answers
   */
  read(query: BarQuery, decision: RouteDecision, options: ExecuteOptions): RoutedRead
  readonly coldSlots: Pick<ColdSlots, 'taken' | 'waiting'>
}

type Tier = 'hot' | 'cold'

/** Opens nothing; reads start with their iteration. */
export function createTierExecutor(options: TierExecutorOptions): TierExecutor {
  const { reader, coldReader = reader, breakers = {}, clock = systemClock, ...data } = options
  const settings = checkedOptions(routingOptionsSchema, data, 'the tier executor')
  const slots = createColdSlots(settings.coldQueries)

  /** One attempt on some tiers. Settles the breakers of all it needed. */
  async function* attempt(query: BarQuery, tiers: Tiers, partial: boolean): AsyncGenerator<BarReadBatch> {
    const needed: readonly Tier[] = tiers === 'both' ? ['hot', 'cold'] : [tiers]
    const permits: [Tier, number][] = []
    const settle = (outcome: (tier: Tier) => 'success' | 'failure' | 'neutral') => {
      for (const [tier, permit] of permits.splice(0))
        breakers[tier]?.settle(permit, outcome(tier), clock.now())
    }
    try {
      for (const tier of needed) {
        const breaker = breakers[tier]
        if (breaker === undefined) continue
        const permit = breaker.enter(clock.now())
        if (permit === undefined) throw unavailable(tier, breaker.retryAfterMs(clock.now()))
        permits.push([tier, permit])
      }
      const from = tiers === 'cold' ? coldReader : reader
      const open = (signal: AbortSignal | undefined) =>
        from.read({
          ...query,
          tiers,
          onLakeFailure: partial && tiers === 'both' ? 'partial' : 'error',
          ...(signal === undefined ? {} : { signal }),
        })
      let lakeFailed = false
      const batches =
        tiers === 'hot'
          ? open(query.signal)
          : timedRead(open, { timeoutMs: settings.coldTimeoutMs, clock, slots, signal: query.signal })
      for await (const batch of batches) {
        lakeFailed ||= batch.partial !== undefined
        yield batch
      }
      settle((tier) => (lakeFailed && tier === 'cold' ? 'failure' : 'success'))
    } catch (error) {
      const failed = failedTier(error, tiers, query.signal)
      settle((tier) => (tier === failed ? 'failure' : 'neutral'))
      throw error
    } finally {
      // Reached without an outcome when the consumer stopped early.
      settle(() => 'neutral')
    }
  }

  return {
    coldSlots: slots,
    read(
      query,
      decision,
      { held, onIncomplete = query.onLakeFailure ?? settings.onIncomplete, heldAfterwards },
    ) {
      let label: RouteLabel = {
        asked: decision.tiers,
        answered: decision.tiers,
        complete: decision.covers,
        rule: decision.rule,
        why: decision.covers ? decision.reason : `${decision.reason}; other tiers may hold more of the range`,
      }
      const delivered = new Set<string>()
      /** Rows not delivered before a failure; remembers them. */
      const fresh = (batch: BarReadBatch): BarReadBatch => {
        const keys = batch.symbols.map((symbol) => deliveryKey(query, batch, symbol))
        const known = keys.map((key) => delivered.has(key))
        for (const key of keys) delivered.add(key)
        if (!known.includes(true)) return batch
        const rest = selectBars(batch, (row) => !known[batch.symbolIndex[row]!])
        return batch.partial === undefined ? rest : { ...rest, partial: batch.partial }
      }
      const labelled = (batch: BarReadBatch): RoutedBatch => {
        if (batch.partial !== undefined && label.complete) {
          label = {
            ...label,
            complete: false,
            why: `${label.why}; rows of the ${batch.partial.missing} tier are missing: ${batch.partial.cause.message}`,
          }
        }
        return { bars: batch, label }
      }

      const confirm = async () => {
        if (label.answered !== 'hot' || !label.complete || heldAfterwards === undefined) return
        if (covers('hot', { from: query.from, to: query.to, held: await heldAfterwards() })) return
        label = {
          ...label,
          complete: false,
          why: `${label.why}; rows moved to the lake meanwhile, read again`,
        }
      }

      async function* run(): AsyncGenerator<RoutedBatch> {
        const mayFallBackTo = { hot: settings.fallbackToHot, cold: settings.fallbackToCold }
        const partial = onIncomplete === 'partial' && settings.fallbackToHot
        try {
          for await (const batch of attempt(query, decision.tiers, partial)) yield labelled(fresh(batch))
          await confirm()
          return
        } catch (error) {
          const failed = failedTier(error, decision.tiers, query.signal)
          if (failed === undefined) throw error
          const other: Tier = failed === 'hot' ? 'cold' : 'hot'
          const complete = covers(other, { from: query.from, to: query.to, held })
          if (other === decision.tiers || !mayFallBackTo[other] || (!complete && onIncomplete === 'error'))
            throw error
          label = {
            ...label,
            answered: other,
            complete,
            why: `${decision.reason}; ${failed} failed (${errorMessage(error)}), so ${other} answers${complete ? ' in full' : ' what it holds'}`,
          }
        }
        for await (const batch of attempt(query, label.answered, false)) {
          const rest = fresh(batch)
          if (rest.length > 0 || batch.length === 0) yield labelled(rest)
        }
        await confirm()
      }
      return {
        get label() {
          return label
        },
        [Symbol.asyncIterator]: run,
      }
    },
  }
}

/** What one batch holds all rows of: a symbol, or one of its series when all are asked for. */
function deliveryKey(query: BarQuery, { source }: BarReadBatch, symbol: string): string {
  if (query.asSeries !== 'all') return symbol
  return [symbol, source.provider, source.feed, source.adjustment].join('\0')
}

/** Which tier an error is a failure of; `undefined` when it is none's, but the caller's or a fault of the program. */
function failedTier(error: unknown, tiers: Tiers, signal: AbortSignal | undefined): Tier | undefined {
  if (signal?.aborted === true || !isVarveError(error)) return undefined
  if (error.code === 'TIER_UNAVAILABLE') return error.details.tier === 'cold' ? 'cold' : 'hot'
  if (error.code.startsWith('LAKE_') || error.code === 'COLD_QUERY_TIMEOUT') return 'cold'
  // The catalog of the lake is in Postgres: its failure is not the lake's, even when only the lake is read.
  if (error.code.startsWith('DATABASE_') || error.code === 'POOL_EXHAUSTED') return 'hot'
  if (!error.retryable) return undefined
  return tiers === 'cold' ? 'cold' : 'hot'
}

function unavailable(tier: Tier, retryAfterMs: number): VarveError {
  return new VarveError(
    `the ${tier} tier failed repeatedly and is left alone for another ${Math.ceil(retryAfterMs)} ms; look for its first errors`,
    { code: 'TIER_UNAVAILABLE', retryable: true, details: { tier, retryAfterMs } },
  )
}
