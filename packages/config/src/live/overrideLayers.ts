import { differences, isBelow, type PathChange } from './changes.ts'
import { pathOf, valueAt, withValues } from './compose.ts'

/** One override in force. */
export interface OverrideLayer {
  readonly overrides: Readonly<Record<string, string>>
  /** What it does to the values below it. */
  changes: readonly PathChange[]
}

/**
 * What an override does: its own settings, also those that say what was in force already (another layer below may
 * end first), and settings the schema derives from them.
 */
export function changesOf(
  overrides: Readonly<Record<string, string>>,
  below: object,
  top: object,
): readonly PathChange[] {
  const keys = Object.keys(overrides)
  const named = keys.map((key) => {
    const path = pathOf(top, key)
    return { path, from: valueAt(below, path), to: valueAt(top, path) }
  })
  const derived = differences(below, top).filter(
    ({ path }) => !keys.some((key) => isBelow(path.join('.'), key) || isBelow(key, path.join('.'))),
  )
  return [...named, ...derived]
}

/** The overrides of several layers as one, the last first in rank. */
export function merged(layers: readonly OverrideLayer[]): Readonly<Record<string, string>> {
  return Object.fromEntries(layers.flatMap(({ overrides }) => Object.entries(overrides)))
}

export function composed<Values extends object>(base: Values, layers: readonly OverrideLayer[]): Values {
  return withValues(
    base,
    layers.flatMap(({ changes }) => changes),
  )
}
