/** One thing that older configurations have otherwise. Steps are data; they run in order, on base files and profiles alike. */
export type MigrationStep =
  /** A setting has another place: `database.host` is now `database.connection.host`, possibly in another file. */
  | {
      readonly kind: 'moveSetting'
      readonly from: string
      readonly to: string
      readonly convert?: (value: unknown) => unknown
    }
  /** A file has another name; the names are without extension. */
  | { readonly kind: 'renameFile'; readonly from: string; readonly to: string }
  /** Keys have other names, wherever they stand. */
  | { readonly kind: 'renameKeys'; readonly keys: Readonly<Record<string, string>> }
  /** A word inside the names of keys and files is now another: `tier` in `minTier`, `tier_limits` and `tiers.yaml`. */
  | { readonly kind: 'renameWords'; readonly words: Readonly<Record<string, string>> }
  /**
   * Words that were values have others now. Only where the key, or the key of the list or group around it, holds one
   * of `keyWords`: `ACTIVE` is a layer under `layer`, and something else under `status`. Keys of such a group, too.
   */
  | {
      readonly kind: 'mapValues'
      readonly keyWords: readonly string[]
      readonly values: Readonly<Record<string, string | number | boolean>>
    }

/** A place that has moved; `DeprecatedPath` of the loader is one. */
export interface MovedPath {
  readonly from: string
  readonly to: string
  readonly convert?: ((value: unknown) => unknown) | undefined
}

/** The moves of settings that the loader only warns about, as steps that make them for good. */
export function stepsFromDeprecated(paths: readonly MovedPath[]): readonly MigrationStep[] {
  return paths.map(({ from, to, convert }) => ({
    kind: 'moveSetting',
    from,
    to,
    ...(convert === undefined ? {} : { convert }),
  }))
}

/** The vocabulary before layers were called layers and numbered. */
export const LEGACY_VOCABULARY: readonly MigrationStep[] = [
  { kind: 'renameWords', words: { tier: 'layer', tiers: 'layers' } },
  {
    kind: 'renameKeys',
    keys: {
      stages: 'dataTypes',
      opportunityCreation: 'catalystDetection',
      opportunity_creation: 'catalyst_detection',
      signalCreation: 'catalystGeneration',
      signal_creation: 'catalyst_generation',
      alertCreation: 'catalystNotification',
      alert_creation: 'catalyst_notification',
    },
  },
  {
    kind: 'mapValues',
    keyWords: ['layer', 'layers'],
    values: { PRIORITY: 3, ACTIVE: 2, STANDARD: 1, ARCHIVE: 0 },
  },
]

/** The words of a name written in camelCase, snake_case or kebab-case, in lower case. */
export function wordsOf(name: string): readonly string[] {
  return [...name.matchAll(WORD)].map(([word]) => word.toLowerCase())
}

/** A name with some of its words replaced, each in the case it had. */
export function replaceWords(name: string, words: Readonly<Record<string, string>>): string {
  return name.replace(WORD, (word) => {
    const lower = word.toLowerCase()
    if (!Object.hasOwn(words, lower)) return word
    const next = words[lower]!
    if (word === lower) return next
    if (word.length > 1 && word === word.toUpperCase()) return next.toUpperCase()
    return next.charAt(0).toUpperCase() + next.slice(1)
  })
}

const WORD = /[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g
