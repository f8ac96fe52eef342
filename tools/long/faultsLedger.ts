// What was handed to the store, in memory: the truth that a long run under faults is compared with.

/** What became of a batch as its caller was told. */
export type Standing = 'under way' | 'acknowledged' | 'kept' | 'lost'

/** A batch handed in whole, as one transaction. */
export interface HandedIn {
  readonly id: number
  /** Milliseconds UTC since when its values are known. */
  readonly recordedAt: number
  /** Value by key of the row. */
  readonly values: ReadonlyMap<string, string>
  standing: Standing
}

/** Rows as they are stored: every value found under a key, so that a row that is there twice shows. */
export type Stored = ReadonlyMap<string, readonly string[]>

/** All batches of one kind of rows. */
export interface Ledger {
  readonly batches: readonly HandedIn[]
  /** Notes a batch before it is handed in; its `recordedAt` is above all before. */
  open(values: ReadonlyMap<string, string>): HandedIn
  /** Keys acknowledged so far and the batch that did it last. */
  acknowledged(): Map<string, HandedIn>
  /** Keys whose latest batch is acknowledged, for a correction. */
  settledKeys(): string[]
  /** Every acknowledged value is there once, or a later one; nothing is there that nobody handed in. */
  faults(stored: Stored, acknowledged: ReadonlyMap<string, HandedIn>): string[]
  /** Batches of which a part is there and a part is not. */
  halves(stored: Stored): string[]
  /** What differs from each key's latest value, of batches that are not lost. */
  differences(stored: Stored, knownAt?: number): string[]
}

export function createLedger(now: () => number): Ledger {
  const batches: HandedIn[] = []
  /** By key, in the order handed in. */
  const versions = new Map<string, HandedIn[]>()
  let lastRecordedAt = 0

  const acknowledged = (): Map<string, HandedIn> => {
    const latest = new Map<string, HandedIn>()
    for (const [key, all] of versions) {
      const last = all.findLast(({ standing }) => standing === 'acknowledged')
      if (last !== undefined) latest.set(key, last)
    }
    return latest
  }
  return {
    batches,
    open(values) {
      lastRecordedAt = Math.max(lastRecordedAt + 1, now())
      const batch: HandedIn = {
        id: batches.length,
        recordedAt: lastRecordedAt,
        values,
        standing: 'under way',
      }
      batches.push(batch)
      for (const key of values.keys()) {
        const all = versions.get(key)
        if (all === undefined) versions.set(key, [batch])
        else all.push(batch)
      }
      return batch
    },
    acknowledged,
    settledKeys: () =>
      [...versions].filter(([, all]) => all.at(-1)!.standing === 'acknowledged').map(([key]) => key),
    faults(stored, known) {
      const found: string[] = []
      for (const [key, values] of stored) {
        if (values.length > 1) found.push(`${key} is there ${values.length} times`)
        if (!(versions.get(key) ?? []).some((batch) => batch.values.get(key) === values[0]))
          found.push(`${key} has the value ${values[0]}, which nobody handed in`)
      }
      for (const [key, batch] of known) {
        const value = stored.get(key)?.[0]
        const later = versions.get(key)!.filter((other) => other.recordedAt >= batch.recordedAt)
        if (value === undefined) found.push(`${key} of batch ${batch.id} was acknowledged and is not there`)
        else if (!later.some((other) => other.values.get(key) === value))
          found.push(`${key} has the value ${value}, older than that of batch ${batch.id}`)
      }
      return found
    },
    halves(stored) {
      return batches.flatMap((batch) => {
        // Only keys that no other batch wrote tell whether this one is there.
        const own = [...batch.values].filter(([key]) => versions.get(key)!.at(-1) === batch)
        const there = own.filter(([key, value]) => stored.get(key)?.[0] === value).length
        return there === 0 || there === own.length
          ? []
          : [`batch ${batch.id} (${batch.standing}): ${there} of ${own.length} rows are there`]
      })
    },
    differences(stored, knownAt = Infinity) {
      const found: string[] = []
      for (const [key, all] of versions) {
        const last = all.findLast((batch) => batch.recordedAt <= knownAt && batch.standing !== 'lost')
        const expected = last?.values.get(key)
        const values = stored.get(key) ?? []
        if (values.length !== (expected === undefined ? 0 : 1) || values[0] !== expected)
          found.push(`${key}: expected ${expected ?? 'nothing'}, found ${values.join(' and ') || 'nothing'}`)
      }
      for (const key of stored.keys()) if (!versions.has(key)) found.push(`${key} was never handed in`)
      return found
    },
  }
}

/** Faults found once what is stored was tampered with, in each of several ways: the control of the comparison. */
export function taintedFaults(ledger: Ledger, stored: Stored): number[] {
  const known = ledger.acknowledged()
  // A row that was corrected, where there is one.
  const before = (key: string, batch: HandedIn) =>
    ledger.batches.find((other) => other.recordedAt < batch.recordedAt && other.values.has(key))
  const entries = [...known]
  const [key, batch] = entries.find((entry) => before(...entry) !== undefined) ?? entries[0]!
  const value = batch.values.get(key)!
  const older = before(key, batch)
  const faults = (change: (tainted: Map<string, readonly string[]>) => void): number => {
    const tainted = new Map(stored)
    change(tainted)
    return ledger.faults(tainted, known).length + ledger.halves(tainted).length
  }
  return [
    faults((tainted) => tainted.delete(key)),
    faults((tainted) => tainted.set(key, [value, value])),
    faults((tainted) => tainted.set(key, ['never handed in'])),
    ...(older === undefined ? [] : [faults((tainted) => tainted.set(key, [older.values.get(key)!]))]),
  ]
}
