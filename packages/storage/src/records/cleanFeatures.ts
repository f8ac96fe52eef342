import { type Clock, DAY_MS, checkedOptions, systemClock } from '@varve/core'
import { z } from 'zod'
import type { RecordStore } from './RecordStore.ts'

/** The part of `cleanFeatures`' options that is data. */
export const cleanFeaturesOptionsSchema = z.object({
  maxAgeDays: z
    .number()
    .positive()
    .default(30)
    .describe('Features about an instant older than this are removed'),
})
export type CleanFeaturesSettings = z.input<typeof cleanFeaturesOptionsSchema>

/** Its data, with their defaults: {@link cleanFeaturesOptionsSchema}. */
export interface CleanFeaturesOptions extends CleanFeaturesSettings {
  readonly records: Pick<RecordStore, 'purge'>
  /** Features in use; they are left alone whatever their age. */
  readonly isActive: (name: string, version: string) => boolean
  readonly signal?: AbortSignal | undefined
  /** @defaultValue `systemClock` */
  readonly clock?: Clock | undefined
}

/**
 * Removes old features that nobody uses, from Postgres and the lake, for good.
 *
 * @returns versions removed
 * @throws `OPTION_INVALID`
 */
export async function cleanFeatures(
  options: CleanFeaturesOptions,
): Promise<{ readonly hotRows: number; readonly coldRows: number }> {
  const { maxAgeDays } = checkedOptions(cleanFeaturesOptionsSchema, options, 'the cleaning of features')
  const { records, isActive, signal, clock = systemClock } = options
  return records.purge('features', {
    before: clock.now() - maxAgeDays * DAY_MS,
    // A withdrawn version may have no values left; its record is judged by its other versions' names, so it stays.
    matches: ({ values, deleted }) => !deleted && !isActive(values.name, values.version),
    signal,
  })
}
