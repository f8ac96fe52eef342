import { type Layer, systemClock } from '@varve/core'
import { hotDaysOf, type PipelineContext } from '@varve/pipeline'
import { CircuitBreaker, resilienceSchema } from '@varve/resilience'
import { type BarRouter, type TierBreaker, createBarRouter, createHeldBounds } from '@varve/storage'
import type { Settings } from './settings/sections.ts'

/** Reads of bars that say what they are for, sent to the tier that fits; a failing tier is left alone for a while. */
export function openBarRouter(
  context: Pick<PipelineContext, 'bars' | 'sql' | 'companies' | 'clock' | 'retention'>,
  settings: Settings,
): BarRouter {
  const breaker = resilienceSchema.parse({}).breaker
  return createBarRouter({
    ...settings.storage.routing,
    reader: context.bars,
    heldBounds: createHeldBounds(context.sql),
    breakers:
      breaker === null
        ? {}
        : {
            hot: onRealTime(new CircuitBreaker('hot', breaker)),
            cold: onRealTime(new CircuitBreaker('cold', breaker)),
          },
    clock: context.clock,
    async layerOf(symbols) {
      const companies = await context.companies.load(context.sql, symbols)
      const layers = new Map<string, Layer | null>(companies.map(({ symbol, layer }) => [symbol, layer]))
      return symbols.map((symbol) => layers.get(symbol) ?? undefined)
    },
    hotDays: (layer, dataType, interval) =>
      dataType === 'bars' && interval !== null ? hotDaysOf(context, layer ?? null, interval) : undefined,
  })
}

/** "Now" of the application may stand still at a session; an outage does not. */
function onRealTime(breaker: TierBreaker): TierBreaker {
  return {
    enter: () => breaker.enter(systemClock.now()),
    settle: (permit, outcome) => breaker.settle(permit, outcome, systemClock.now()),
    retryAfterMs: () => breaker.retryAfterMs(systemClock.now()),
  }
}
