export { createBarRepository } from './BarRepository.ts'
export type { BarRepository } from './BarRepository.ts'
export {
  REPOSITORY_READ_CHANNEL,
  createRoutedRepository,
  repositoryOptionsSchema,
} from './RoutedRepository.ts'
export type {
  Answer,
  LabelledRead,
  RepositoryCache,
  RepositoryOptions,
  RepositorySettings,
  RoutedRepository,
} from './RoutedRepository.ts'
