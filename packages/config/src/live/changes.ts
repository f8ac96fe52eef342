import { isDeepStrictEqual } from 'node:util'
import { REDACTED, Secret } from '@varve/core'

/** One setting whose value is no longer what it was. */
export interface ConfigChange {
  /** Dotted, the section first: `storage.hot.batchSize`. A list is one setting. */
  readonly key: string
  /** `undefined` when there was none. A secret shows as `[secret]`, in both places. */
  readonly from: unknown
  /** `undefined` when there is none any more. */
  readonly to: unknown
}

/** A change with the real values: for composing snapshots, never for printing. */
export interface PathChange {
  readonly path: readonly string[]
  readonly from: unknown
  /** `undefined` removes the setting. */
  readonly to: unknown
}

/** An object that settings lie in: what a YAML map becomes, and no class of its own. */
export function isBranch(value: unknown): value is Readonly<Record<string, unknown>> {
  if (value === null || typeof value !== 'object') return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

/** Equality of settings. Secrets are compared by their text, which the standard deep comparison does not see. */
export function sameValue(a: unknown, b: unknown): boolean {
  if (a instanceof Secret || b instanceof Secret)
    return a instanceof Secret && b instanceof Secret && a.equals(b)
  if (Array.isArray(a) && Array.isArray(b))
    return a.length === b.length && a.every((item, index) => sameValue(item, b[index]))
  if (isBranch(a) && isBranch(b)) {
    const keys = Object.keys(a)
    return (
      keys.length === Object.keys(b).length &&
      keys.every((key) => Object.hasOwn(b, key) && sameValue(a[key], b[key]))
    )
  }
  return isDeepStrictEqual(a, b)
}

/** The settings that differ between two trees, in the order of the first, then what only the second has. */
export function differences(from: unknown, to: unknown, path: readonly string[] = []): readonly PathChange[] {
  if (isBranch(from) && isBranch(to)) {
    const keys = new Set([...Object.keys(from), ...Object.keys(to)])
    return [...keys].flatMap((key) => differences(own(from, key), own(to, key), [...path, key]))
  }
  // A branch that appears or goes is told as its settings, so that watchers of one of them hear of it.
  if (from === undefined && isBranch(to) && Object.keys(to).length > 0) return differences({}, to, path)
  if (to === undefined && isBranch(from) && Object.keys(from).length > 0) return differences(from, {}, path)
  return sameValue(from, to) ? [] : [{ path, from, to }]
}

/** The value as it may be shown: every secret in it, however deep, as `[secret]`. */
export function redact(value: unknown): unknown {
  if (value instanceof Secret) return REDACTED
  if (Array.isArray(value)) return value.map(redact)
  if (!isBranch(value)) return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, redact(item)]))
}

/** Changes as watchers see them. */
export function describeChanges(changes: readonly PathChange[]): readonly ConfigChange[] {
  return changes.map(({ path, from, to }) =>
    Object.freeze({ key: path.join('.'), from: redact(from), to: redact(to) }),
  )
}

/** True when the key is the prefix or lies below it; an empty prefix holds every key. */
export function isBelow(key: string, prefix: string): boolean {
  return prefix === '' || key === prefix || key.startsWith(`${prefix}.`)
}

export function own(branch: Readonly<Record<string, unknown>>, key: string): unknown {
  return Object.hasOwn(branch, key) ? branch[key] : undefined
}
