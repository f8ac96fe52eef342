import { DAY_MS } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { isDeepStrictEqual } from 'node:util'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, WIRE, createMemoryLake, openRecordTest } from './recordsSupport.ts'
import type { Engine, TestStore } from './support.ts'

const T0 = Date.UTC(2024, 0, 20)
const DAYS = 50
const SYMBOLS = ['A', 'AA', 'B', 'BRK.B', 'Z']
/** Keys that sort differently by UTF-16 unit and by code point, or end in one another. */
const KEYS = ['', 'k', 'k1', '\u{1f600}', '\uffee', 'é']
const SOURCES = [FEED, WIRE]
const DATASET = 'ratings'

type Bounds = readonly (number | null)[]
interface Row {
  readonly symbol: number
  readonly day: number
  readonly key: number
  readonly recorded: number | undefined
  readonly deleted: boolean
  readonly target: number
}
type Action =
  | {
      readonly kind: 'load'
      readonly source: number
      readonly recorded: number | undefined
      readonly rows: readonly Row[]
    }
  | { readonly kind: 'archive' | 'expire'; readonly bounds: Bounds }
  | { readonly kind: 'compact' | 'sweep' }
interface Question {
  readonly symbols: readonly number[] | undefined
  readonly from: number | undefined
  readonly to: number | undefined
  readonly knownAt: number | undefined
  readonly versions: 'current' | 'all'
  readonly batchRows: number
}

const days = fc.integer({ min: 0, max: DAYS })
const recorded = fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined })
const bounds = fc.array(fc.option(days, { freq: 3 }), {
  minLength: SYMBOLS.length,
  maxLength: SYMBOLS.length,
})
const row: fc.Arbitrary<Row> = fc.record({
  symbol: fc.nat(SYMBOLS.length - 1),
  day: fc.oneof(fc.integer({ min: 0, max: 6 }), days),
  key: fc.nat(KEYS.length - 1),
  recorded: fc.option(fc.integer({ min: 0, max: 8 }), { nil: undefined, freq: 2 }),
  deleted: fc.boolean().map((flag) => flag),
  target: fc.oneof(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 999_999_999 })),
})
const action: fc.Arbitrary<Action> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant('load' as const),
      source: fc.nat(1),
      recorded,
      rows: fc.array(row, { minLength: 1, maxLength: 12 }),
    }),
  },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant('archive' as const), bounds }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('expire' as const), bounds }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom('compact' as const, 'sweep' as const) }) },
)
const question: fc.Arbitrary<Question> = fc.record({
  symbols: fc.option(fc.uniqueArray(fc.nat(SYMBOLS.length - 1)), { nil: undefined, freq: 1 }),
  from: fc.option(days, { nil: undefined }),
  to: fc.option(days, { nil: undefined }),
  knownAt: fc.option(fc.integer({ min: 0, max: 10 }), { nil: undefined }),
  versions: fc.constantFrom('current' as const, 'all' as const),
  batchRows: fc.constantFrom(1, 2, 3, 7, 100),
})

interface Version {
  readonly recordedAt: number
  readonly content: string
  readonly deleted: boolean
  isCold: boolean
}

/** What the store should hold, in the plainest terms: every version in one map. */
class Model {
  readonly records = new Map<
    string,
    { source: number; symbol: number; time: number; key: string; versions: Version[] }
  >()
  readonly bounds = new Map<string, number>()

  load(
    source: number,
    rows: readonly { readonly row: Row; readonly recordedAt: number; readonly isLive: boolean }[],
  ) {
    const counts = { inserted: 0, updated: 0, unchanged: 0 }
    for (const { row, recordedAt: given, isLive } of rows) {
      const time = T0 + row.day * DAY_MS
      const id = JSON.stringify([source, row.symbol, time, row.key])
      let record = this.records.get(id)
      record ??= { source, symbol: row.symbol, time, key: KEYS[row.key]!, versions: [] }
      this.records.set(id, record)
      const { versions } = record
      const content = row.deleted ? 'gone' : String(row.target)
      let recordedAt = given
      const newest = Math.max(-Infinity, ...versions.map((version) => version.recordedAt))
      if (isLive && recordedAt <= newest) recordedAt = newest + 1
      const before = () =>
        versions
          .filter((version) => version.recordedAt <= recordedAt)
          .sort((a, b) => b.recordedAt - a.recordedAt)[0]
      const until = versions
        .filter((version) => version.recordedAt < recordedAt)
        .sort((a, b) => b.recordedAt - a.recordedAt)[0]
      const isOld = !isLive && until?.content === content
      while (!isOld && before()?.recordedAt === recordedAt && before()?.content !== content) recordedAt++
      if (isOld || before()?.content === content) counts.unchanged++
      else {
        if (versions.length === 0) counts.inserted++
        else counts.updated++
        versions.push({ recordedAt, content, deleted: row.deleted, isCold: false })
      }
      const group = `${source} ${row.symbol}`
      const bound = this.bounds.get(group)
      if (bound !== undefined && time < bound) this.bounds.set(group, time)
    }
    return counts
  }

  move(bound: (symbol: number) => number | null): void {
    for (const record of this.records.values()) {
      const at = bound(record.symbol)
      if (at !== null && record.time < at) for (const version of record.versions) version.isCold = true
    }
  }

  expire(bound: (symbol: number) => number | null): void {
    for (const { source, symbol, time } of this.records.values()) {
      const at = bound(symbol)
      const group = `${source} ${symbol}`
      if (at !== null && time < at) this.bounds.set(group, Math.max(at, this.bounds.get(group) ?? -Infinity))
    }
    this.#drop((version) => !version.isCold)
  }

  compact(): void {
    this.#drop((version) => version.isCold)
  }

  #drop(picks: (version: Version) => boolean): void {
    for (const [id, record] of this.records) {
      if (record.time >= (this.bounds.get(`${record.source} ${record.symbol}`) ?? -Infinity)) continue
      record.versions = record.versions.filter((version) => !picks(version))
      if (record.versions.length === 0) this.records.delete(id)
    }
  }

  /** Sources one after the other, as a read answers. */
  ask(sources: readonly number[], query: Question): string[] {
    return sources.flatMap((source) => this.#askOne(source, query))
  }

  #askOne(source: number, query: Question): string[] {
    const bytes = (text: string) => Buffer.from(text)
    const found: { at: [string, number, string, number]; text: string }[] = []
    for (const record of this.records.values()) {
      if (record.source !== source) continue
      if (query.symbols !== undefined && !query.symbols.includes(record.symbol)) continue
      if (record.time < (this.bounds.get(`${record.source} ${record.symbol}`) ?? -Infinity)) continue
      if (query.from !== undefined && record.time < T0 + query.from * DAY_MS) continue
      if (query.to !== undefined && record.time >= T0 + query.to * DAY_MS) continue
      const known = record.versions
        .filter((version) => query.knownAt === undefined || version.recordedAt <= recordedTime(query.knownAt))
        .sort((a, b) => a.recordedAt - b.recordedAt)
      const shown = query.versions === 'all' ? known : known.slice(-1).filter((version) => !version.deleted)
      for (const version of shown) {
        const symbol = SYMBOLS[record.symbol]!
        found.push({
          at: [symbol, record.time, record.key, version.recordedAt],
          text: `${symbol}@${record.time} "${record.key}" ${version.recordedAt} ${version.content}`,
        })
      }
    }
    return found
      .sort(
        (a, b) =>
          Buffer.compare(bytes(a.at[0]), bytes(b.at[0])) ||
          a.at[1] - b.at[1] ||
          Buffer.compare(bytes(a.at[2]), bytes(b.at[2])) ||
          a.at[3] - b.at[3],
      )
      .map((entry) => entry.text)
  }
}

function recordedTime(step: number): number {
  return T0 + (DAYS + 10 + step) * DAY_MS
}

/** What a run has met, so that a caller can tell that it was not an idle one. */
export interface OracleRun {
  readonly cases: number
  readonly answers: number
  readonly rows: number
  readonly archived: number
  readonly compacted: number
  readonly expired: number
  /** Histories that Postgres alone would have answered wrongly. */
  readonly blind: number
  /** Batches loaded twice. */
  readonly repeated: number
}

type Counts = { -readonly [Name in keyof OracleRun]: OracleRun[Name] }

/**
 * Any history of loads, archiving, expiry, compaction and sweeping, compared after every step with a plain map.
 *
 * @throws the smallest history found that is answered wrongly, with the seed to see it again
 */
export async function runRecordOracle(
  cases: number,
  seed: number,
  engine: Engine = 'postgres',
): Promise<OracleRun> {
  const test = await openRecordTest(engine)
  try {
    const run = {
      cases: 0,
      answers: 0,
      rows: 0,
      archived: 0,
      compacted: 0,
      expired: 0,
      blind: 0,
      repeated: 0,
    }
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(action, question), { minLength: 3, maxLength: 8 }),
        async (history) => {
          await play(test, history, run)
        },
      ),
      { numRuns: cases, seed, endOnFailure: false },
    )
    return run
  } finally {
    await test.close()
  }
}

async function play(
  test: TestStore,
  history: readonly (readonly [Action, Question])[],
  run: Counts,
): Promise<void> {
  await test.sql.exec(
    'DELETE FROM records_ratings; DELETE FROM record_files; DELETE FROM record_bounds; DELETE FROM record_sources',
  )
  // Partitions before this instant are dropped when empty, later ones stay.
  const clock = createTestClock(T0 + 20 * DAY_MS)
  const store = createRecordStore({
    sql: test.sql,
    lake: createMemoryLake(),
    clock,
    pageRows: 3,
    rowGroupRows: 3,
    maxFileRows: 7,
    deleteRows: 4,
    partitionsAhead: 0,
  })
  const model = new Model()
  run.cases++
  for (const [action, asked] of history) {
    await act(store, model, action, run, clock.now())
    await clock.advance(1000)
    await compare(store, model, asked, run, JSON.stringify(action))
  }
  for (const versions of ['current', 'all'] as const)
    await compare(store, model, { ...EVERYTHING, versions }, run, 'all of it')
  // The control: whoever looks at Postgres alone must often be wrong, or the histories prove nothing.
  const { hotRows } = await store.stats(DATASET)
  if (hotRows < model.ask([0, 1], { ...EVERYTHING, versions: 'all' }).length) run.blind++
}

const EVERYTHING: Question = {
  symbols: undefined,
  from: undefined,
  to: undefined,
  knownAt: undefined,
  versions: 'current',
  batchRows: 5,
}

async function compare(
  store: RecordStore,
  model: Model,
  query: Question,
  run: Counts,
  after: string,
): Promise<void> {
  const expected = model.ask([0, 1], query)
  const found = await ask(store, query)
  run.answers++
  run.rows += expected.length
  if (!isDeepStrictEqual(found, expected))
    throw new Error(
      `after ${after} asked ${JSON.stringify(query)}\nfound ${found.join('\n')}\nexpected ${expected.join('\n')}`,
    )
}

async function act(
  store: RecordStore,
  model: Model,
  action: Action,
  run: Counts,
  now: number,
): Promise<void> {
  if (action.kind === 'load') {
    const batchAt = action.recorded === undefined ? undefined : recordedTime(action.recorded)
    const rows = action.rows.map((entry) => ({
      row: entry,
      recordedAt: entry.recorded === undefined ? (batchAt ?? now) : recordedTime(entry.recorded),
      isLive: entry.recorded === undefined && batchAt === undefined,
    }))
    const expected = model.load(action.source, rows)
    const batch = {
      dataset: DATASET,
      source: SOURCES[action.source]!,
      recordedAt: batchAt,
      rows: action.rows.map((entry) => ({
        symbol: SYMBOLS[entry.symbol]!,
        time: T0 + entry.day * DAY_MS,
        key: KEYS[entry.key]!,
        recordedAt: entry.recorded === undefined ? undefined : recordedTime(entry.recorded),
        deleted: entry.deleted,
        values: entry.deleted ? undefined : { firm: 'f', target_price: BigInt(entry.target) },
      })),
    } as const
    const done = await store.load(batch)
    const { inserted, updated, unchanged, failed } = done
    if (!isDeepStrictEqual({ inserted, updated, unchanged, failed }, { ...expected, failed: 0 }))
      throw new Error(
        `load said ${JSON.stringify({ inserted, updated, unchanged, failed, errors: done.errors })}, expected ${JSON.stringify(expected)}`,
      )
    // Whatever came before, a batch of one instant says nothing new the second time.
    if (batchAt !== undefined && action.rows.every((entry) => entry.recorded === undefined)) {
      const again = await store.load(batch)
      if (again.unchanged !== action.rows.length) throw new Error(`loaded again: ${JSON.stringify(again)}`)
      run.repeated++
    }
    return
  }
  if (action.kind === 'archive' || action.kind === 'expire') {
    const at = (symbol: number) => {
      const bound = action.bounds[symbol] ?? null
      return bound === null ? null : T0 + bound * DAY_MS
    }
    const before = (symbol: string) => at(SYMBOLS.indexOf(symbol))
    if (action.kind === 'archive') {
      run.archived += (await store.archive(DATASET, { before })).archivedRows
      model.move(at)
    } else {
      run.expired += (await store.expire(DATASET, { before })).expiredRows
      model.expire(at)
    }
    return
  }
  if (action.kind === 'compact') {
    run.compacted += (await store.compact(DATASET, { force: true })).filesBefore
    model.compact()
    return
  }
  await store.sweep({ graceMs: -1000 * DAY_MS })
}

async function ask(store: RecordStore, query: Question): Promise<string[]> {
  const found: string[] = []
  for await (const page of store.read({
    dataset: DATASET,
    symbols: query.symbols?.map((symbol) => SYMBOLS[symbol]!),
    from: query.from === undefined ? undefined : T0 + query.from * DAY_MS,
    to: query.to === undefined ? undefined : T0 + query.to * DAY_MS,
    knownAt: query.knownAt === undefined ? undefined : recordedTime(query.knownAt),
    versions: query.versions,
    batchRows: query.batchRows,
  })) {
    if (page.rows.length > query.batchRows) throw new Error(`a page of ${page.rows.length} rows`)
    for (const row of page.rows)
      found.push(
        `${row.symbol}@${row.time} "${row.key}" ${row.recordedAt} ${row.deleted ? 'gone' : row.values.target_price}`,
      )
  }
  return found
}
