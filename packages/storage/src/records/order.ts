/** Where a version stands in the order of tables and lake files: symbol, time, key, then when it was recorded. */
export interface VersionKey {
  readonly symbol: string
  /** Instant the record is about, milliseconds UTC. */
  readonly time: number
  readonly key: string
  /** Instant it became known, milliseconds UTC. */
  readonly recordedAt: number
}

/**
 * Order of two texts by code point, which is the order of their UTF-8 bytes and so that of Postgres' "C" collation.
 * JavaScript's own `<` sorts characters outside the basic plane before U+E000.
 */
export function compareText(a: string, b: string): number {
  if (a === b) return 0
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const left = a.charCodeAt(at)
    const right = b.charCodeAt(at)
    if (left !== right) return codePointRank(left) - codePointRank(right)
  }
  return a.length - b.length
}

/** A surrogate stands for a character above every single unit. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit
}

/** Order of two records, whichever their version. */
export function compareRecords(a: Omit<VersionKey, 'recordedAt'>, b: Omit<VersionKey, 'recordedAt'>): number {
  return compareText(a.symbol, b.symbol) || a.time - b.time || compareText(a.key, b.key)
}

/** Order of two versions. */
export function compareVersions(a: VersionKey, b: VersionKey): number {
  return compareRecords(a, b) || a.recordedAt - b.recordedAt
}
