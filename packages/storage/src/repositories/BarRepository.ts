import type { BarRouter, RoutedBatch, RoutedQuery } from '../routing/index.ts'
import { type RepositoryOptions, type RoutedRepository, createRoutedRepository } from './RoutedRepository.ts'

/** Bars by the router, cached and told of. */
export type BarRepository = RoutedRepository<RoutedQuery, RoutedBatch>

/** Bars behind a router. Opens nothing. */
export function createBarRepository(
  options: RepositoryOptions & { readonly router: BarRouter },
): BarRepository {
  const { router, ...rest } = options
  return createRoutedRepository('bars', (query: RoutedQuery) => router.read(query), rest)
}
