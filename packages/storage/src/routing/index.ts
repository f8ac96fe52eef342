export { QUERY_KINDS, route } from './route.ts'
export type {
  HeldBounds,
  QueryKind,
  RouteDecision,
  RoutePolicy,
  RouteQuery,
  RouteRule,
  Tiers,
} from './route.ts'
export { createTierExecutor } from './TierExecutor.ts'
export type {
  ExecuteOptions,
  RoutedBatch,
  RoutedRead,
  RouteLabel,
  TierBreaker,
  TierExecutor,
  TierExecutorOptions,
} from './TierExecutor.ts'
export { createHeldBounds } from './heldBounds.ts'
export type { HeldBoundsLookup } from './heldBounds.ts'
export { createBarRouter, routedReader } from './Router.ts'
export type { BarRouter, BarRouterOptions, RoutedQuery } from './Router.ts'
export { routingOptionsSchema } from './options.ts'
export type { RoutingSettings } from './options.ts'
