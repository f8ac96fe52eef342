import { DAY_MS, type DataType, type Interval, type Layer } from '@varve/core'

/** Where rows are read: Postgres alone, the lake alone, or both as one exact answer. */
export type Tiers = 'hot' | 'cold' | 'both'

/** What a query is for. */
export const QUERY_KINDS = ['real_time', 'analysis', 'feature_calc', 'bulk_export', 'admin'] as const
export type QueryKind = (typeof QUERY_KINDS)[number]

/** Which rule decided, strongest first. */
export type RouteRule = 'override' | 'repository' | 'kind' | 'age'

/** What is known of a query before it is routed. */
export interface RouteQuery {
  /** Name of the repository asking, such as `bars` or `news`. */
  readonly repository: string
  readonly dataType: DataType
  /** `null` for data that has none. */
  readonly interval: Interval | null
  /** First instant, milliseconds UTC, included. */
  readonly from: number
  /** Last instant, milliseconds UTC, excluded. */
  readonly to: number
  readonly kind?: QueryKind | undefined
  /** The caller's own choice; beats every rule. */
  readonly tiers?: Tiers | undefined
  /** Layers of the symbols asked for, each once; `undefined` for symbols in none. */
  readonly layers: readonly (Layer | undefined)[]
  readonly held: HeldBounds
}

/** What the tiers really hold. Both `undefined` before anything was loaded. */
export interface HeldBounds {
  /** Every row from here on is in Postgres, milliseconds UTC. */
  readonly hotFrom: number | undefined
  /** Every row before this is in the lake, milliseconds UTC. */
  readonly watermark: number | undefined
}

/** How queries are routed. */
export interface RoutePolicy {
  /** Days a layer keeps this hot; `undefined` for a layer that does not want it, or symbols in none it is not known of. */
  hotDays(layer: Layer | undefined, dataType: DataType, interval: Interval | null): number | undefined
  /** Repositories that always read one way, by name. */
  readonly repositories: Readonly<Record<string, Tiers>>
  /** Where each kind of query is read. */
  readonly kinds: Readonly<Record<QueryKind, Tiers | 'age'>>
}

/** Where to read, and why. */
export interface RouteDecision {
  readonly tiers: Tiers
  readonly rule: RouteRule
  readonly reason: string
  /** Whether those tiers hold every row of the range, by {@link HeldBounds}. */
  readonly covers: boolean
}

/**
 * Where a query is read. Total and pure: the first rule that has an opinion decides, and age always has one. Age
 * never chooses a tier that lacks rows of the range: what policy expects and what is held differ while a symbol's
 * layer changes.
 *
 * @param now - milliseconds UTC
 */
export function route(query: RouteQuery, policy: RoutePolicy, now: number): RouteDecision {
  const decide = (tiers: Tiers, rule: RouteRule, reason: string): RouteDecision => ({
    tiers,
    rule,
    reason,
    covers: covers(tiers, query),
  })
  if (query.tiers !== undefined) return decide(query.tiers, 'override', 'asked for by the caller')
  const forced = ownValue(policy.repositories, query.repository)
  if (forced !== undefined) return decide(forced, 'repository', `${query.repository} is always read so`)
  const byKind = query.kind === undefined ? 'age' : policy.kinds[query.kind]
  if (byKind !== 'age') return decide(byKind, 'kind', `queries of kind ${query.kind} are read so`)
  return byAge(query, policy, now)
}

function byAge(query: RouteQuery, policy: RoutePolicy, now: number): RouteDecision {
  const both = (reason: string): RouteDecision => ({ tiers: 'both', rule: 'age', reason, covers: true })
  const days: number[] = []
  for (const layer of query.layers) {
    const hot = policy.hotDays(layer, query.dataType, query.interval)
    if (hot === undefined) return both('the policy names no hot days for a symbol of the query')
    days.push(hot)
  }
  if (days.length === 0) return both('no symbols are named, so no layer says how long rows stay hot')
  const shortest = Math.min(...days)
  const longest = Math.max(...days)
  if (query.from >= now - shortest * DAY_MS) {
    return covers('hot', query)
      ? { tiers: 'hot', rule: 'age', reason: `within ${shortest} hot days`, covers: true }
      : both(`within ${shortest} hot days, but Postgres does not hold all of them yet`)
  }
  if (query.to <= now - longest * DAY_MS) {
    return covers('cold', query)
      ? { tiers: 'cold', rule: 'age', reason: `older than ${longest} hot days`, covers: true }
      : both(`older than ${longest} hot days, but not archived yet`)
  }
  return both(
    `reaches over the border of ${shortest === longest ? shortest : `${shortest} to ${longest}`} hot days`,
  )
}

/** Whether a tier holds every row of a range. */
export function covers(tiers: Tiers, { from, to, held }: Pick<RouteQuery, 'from' | 'to' | 'held'>): boolean {
  if (tiers === 'both' || from >= to) return true
  if (tiers === 'hot') return held.hotFrom !== undefined && from >= held.hotFrom
  return held.watermark !== undefined && to <= held.watermark
}

/** A repository could be named like a method of every object. */
function ownValue<Value>(table: Readonly<Record<string, Value>>, key: string): Value | undefined {
  return Object.hasOwn(table, key) ? table[key] : undefined
}
