import { sha256Hex } from '@varve/core'
import { type LatencyHistogram, createLatencyHistogram } from './LatencyHistogram.ts'
import type { QueryTrackingSettings } from './options.ts'
import type { QueryFigures, QueryStats } from './queryReport.ts'
import { type StatementType, labelOf, shapeOf, tableOf, typeOf } from './statementShape.ts'

/** What is counted of one name. */
export interface QueryEntry {
  readonly name: string
  readonly type: StatementType
  readonly priority: string
  readonly shape: string
  readonly times: LatencyHistogram
  readonly errors: Map<string, number>
  rows: number
  slow: number
}

/** Entries by name, and the name of every text seen lately. */
export interface QueryLog {
  /** The entry of a statement; the same text is looked at once only. */
  entryOf(text: string): QueryEntry
  /** The entry of whole transactions. */
  readonly transactions: QueryEntry
  /** Every entry that has counted something. */
  entries(): readonly QueryEntry[]
  clear(): void
}

const OTHERS = '(others)'

/** An empty log. Its memory is bounded by `maxNames` and `textsKept`. */
export function createQueryLog(settings: QueryTrackingSettings): QueryLog {
  const { maxNames, textsKept, relativeError, shapeLength } = settings
  const byName = new Map<string, QueryEntry>()
  const byText = new Map<string, QueryEntry>()

  const create = (name: string, type: StatementType, priority: string, shape: string): QueryEntry => ({
    name,
    type,
    priority,
    shape: shape.slice(0, shapeLength),
    times: createLatencyHistogram(relativeError),
    errors: new Map(),
    rows: 0,
    slow: 0,
  })
  const newTransactions = (): QueryEntry =>
    create('transaction', 'transaction', 'normal', 'BEGIN … COMMIT or ROLLBACK')
  let transactions = newTransactions()

  const find = (text: string): QueryEntry => {
    const label = labelOf(text)
    const shape = shapeOf(text)
    const type = typeOf(shape)
    const name =
      label?.name ?? [type, tableOf(shape), `#${sha256Hex(shape).slice(0, 8)}`].filter(Boolean).join(' ')
    const known = byName.get(name)
    if (known !== undefined) return known
    if (byName.size >= maxNames) {
      const others = byName.get(OTHERS) ?? create(OTHERS, 'other', 'normal', '')
      byName.set(OTHERS, others)
      return others
    }
    const entry = create(name, type, label?.priority ?? 'normal', shape)
    byName.set(name, entry)
    return entry
  }

  return {
    entryOf(text) {
      const known = byText.get(text)
      if (known !== undefined) return known
      const entry = find(text)
      if (byText.size >= textsKept) {
        for (const oldest of byText.keys()) {
          byText.delete(oldest)
          break
        }
      }
      byText.set(text, entry)
      return entry
    },
    get transactions() {
      return transactions
    },
    entries: () => [...byName.values(), transactions].filter((entry) => entry.times.count > 0),
    clear() {
      byName.clear()
      byText.clear()
      transactions = newTransactions()
    },
  }
}

/** Figures of some entries together. */
export function figuresOf(entries: readonly QueryEntry[], relativeError: number): QueryFigures {
  const times = createLatencyHistogram(relativeError)
  for (const entry of entries) times.merge(entry.times)
  const round = (ms: number): number => Math.round(ms * 1000) / 1000
  const sum = (part: (entry: QueryEntry) => number): number =>
    entries.reduce((total, entry) => total + part(entry), 0)
  return {
    count: times.count,
    totalMs: round(times.totalMs),
    meanMs: times.count === 0 ? 0 : round(times.totalMs / times.count),
    p50Ms: round(times.percentileMs(0.5)),
    p95Ms: round(times.percentileMs(0.95)),
    p99Ms: round(times.percentileMs(0.99)),
    maxMs: round(times.maxMs),
    rows: sum((entry) => entry.rows),
    errors: sum((entry) => [...entry.errors.values()].reduce((total, count) => total + count, 0)),
    slow: sum((entry) => entry.slow),
  }
}

/** What a report says of one entry. */
export function statsOf(entry: QueryEntry, relativeError: number): QueryStats {
  const { name, type, priority, shape, errors } = entry
  return {
    name,
    type,
    priority,
    shape,
    ...figuresOf([entry], relativeError),
    errorsByCode: Object.fromEntries(errors),
  }
}

/** What the figures suggest, one sentence each, worst first. */
export function recommendationsOf(
  queries: readonly QueryStats[],
  settings: QueryTrackingSettings,
): readonly string[] {
  const { slowMs, chattyCalls, failingShare } = settings
  const sentences: string[] = []
  for (const { name, count, slow, p99Ms, errors, rows, type, totalMs, errorsByCode } of queries) {
    if (slow > 0) {
      sentences.push(
        `${name} took longer than ${slowMs} ms in ${slow} of ${count} calls (99 % within ${Math.round(p99Ms)} ms): look at its plan, or read less at once.`,
      )
    }
    if (errors > 0 && errors / count >= failingShare) {
      const codes = Object.entries(errorsByCode).map(([code, times]) => `${code} ${times}×`)
      sentences.push(`${name} failed in ${errors} of ${count} calls (${codes.join(', ')}).`)
    }
    if (count >= chattyCalls && rows <= count && (type === 'select' || type === 'insert')) {
      sentences.push(
        `${name} ran ${count} times for ${rows} rows and took ${Math.round(totalMs)} ms together: ${type === 'select' ? 'ask for many keys at once with = ANY($1)' : 'insert many rows at once, or use COPY'}.`,
      )
    }
  }
  return sentences
}
