import { type Clock, type Layer, checkedOptions, systemClock } from '@varve/core'
import type { BarReader } from '../adjust/index.ts'
import type { BarQuery } from '../BarStore.ts'
import { type RoutingSettings, routingOptionsSchema } from './options.ts'
import type { HeldBoundsLookup } from './heldBounds.ts'
import { type QueryKind, type RouteDecision, type RoutePolicy, route } from './route.ts'
import {
  type RouteLabel,
  type RoutedRead,
  type TierExecutor,
  type TierExecutorOptions,
  createTierExecutor,
} from './TierExecutor.ts'

/** A query of bars with what it is for. */
export interface RoutedQuery extends BarQuery {
  readonly kind?: QueryKind | undefined
  /** What to do when a fallback may lack rows. @defaultValue `onLakeFailure`, then that of the router */
  readonly onIncomplete?: 'error' | 'partial' | undefined
}

/** What {@link createBarRouter} needs. */
export interface BarRouterOptions
  extends RoutingSettings, Pick<TierExecutorOptions, 'reader' | 'coldReader' | 'breakers'> {
  /** Layers of symbols, in their order; `undefined` for those in none. */
  layerOf(symbols: readonly string[]): Promise<readonly (Layer | undefined)[]>
  /** Days a layer keeps bars hot, from the retention policy. */
  readonly hotDays: RoutePolicy['hotDays']
  /** What the tiers hold of symbols: {@link createHeldBounds}. */
  readonly heldBounds: HeldBoundsLookup
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/** Every read of bars, sent to the tiers its symbols' layers, its age and its purpose ask for. */
export interface BarRouter {
  /** Where a query would be read. */
  decide(query: RoutedQuery): Promise<RouteDecision>
  /** See {@link TierExecutor.read}. */
  read(query: RoutedQuery): Promise<RoutedRead>
  readonly coldSlots: TierExecutor['coldSlots']
}

/** Looks up what the pure router asks for and hands its decision to the executor. */
export function createBarRouter(options: BarRouterOptions): BarRouter {
  const { reader, coldReader, breakers, layerOf, hotDays, heldBounds, clock = systemClock, ...data } = options
  const { repositories, kinds, ...execution } = checkedOptions(routingOptionsSchema, data, 'the bar router')
  const executor = createTierExecutor({ ...execution, reader, coldReader, breakers, clock })
  const policy: RoutePolicy = { hotDays, repositories, kinds }

  const decide = async (query: RoutedQuery) => {
    const [layers, held] = await Promise.all([
      query.symbols === undefined ? [] : layerOf(query.symbols),
      heldBounds(query.interval, query.symbols),
    ])
    const decision = route(
      {
        repository: 'bars',
        dataType: 'bars',
        interval: query.interval,
        from: query.from,
        to: query.to,
        kind: query.kind,
        tiers: query.tiers,
        layers: [...new Set(layers)],
        held,
      },
      policy,
      clock.now(),
    )
    return { decision, held }
  }
  return {
    coldSlots: executor.coldSlots,
    decide: async (query) => (await decide(query)).decision,
    async read(query) {
      const { kind, onIncomplete, ...rest } = query
      const { decision, held } = await decide({ ...rest, kind })
      return executor.read(rest, decision, {
        held,
        onIncomplete,
        heldAfterwards: () => heldBounds(query.interval, query.symbols),
      })
    },
  }
}

/**
 * A router as whatever takes a reader, such as `createAdjustedReader`.
 *
 * @param onLabel - told the label of every answer read to its end; batches carry none
 */
export function routedReader(
  router: BarRouter,
  onLabel: (label: RouteLabel, query: BarQuery) => void,
): BarReader {
  return {
    async *read(query) {
      const read = await router.read(query)
      for await (const { bars } of read) yield bars
      onLabel(read.label, query)
    },
  }
}
