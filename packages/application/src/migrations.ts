import type { Migration } from '@varve/core'
import { eventsMigrations } from '@varve/events'
import { runtimeMigrations } from '@varve/runtime'
import { storageMigrations } from '@varve/storage'

/** The whole schema, in the order it is applied. */
export const MIGRATIONS: readonly Migration[] = [
  ...storageMigrations,
  ...eventsMigrations,
  ...runtimeMigrations,
]
