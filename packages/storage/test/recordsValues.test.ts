import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DAY_MS, dayOf } from '@varve/core'
import fc from 'fast-check'
import {
  CORPORATE_ACTION_KINDS,
  type ColumnKind,
  DATASET_NAMES,
  type RecordStore,
  createRecordStore,
  datasetDefinition,
} from '../src/records/index.ts'
import { FEED, allRows, openRecordTest } from './recordsSupport.ts'
import { type TestStore, engines } from './support.ts'

const T0 = Date.UTC(2024, 2, 1)
const MAX = 999_999_999_999_999_999n
const storable = fc
  .string({ unit: 'binary', maxLength: 12 })
  .map((text) => text.replaceAll('\0', '').toWellFormed())

/** Any value of a kind that can be held, as it reads back. */
const values: Readonly<Record<ColumnKind, fc.Arbitrary<unknown>>> = {
  text: fc.oneof(storable, fc.constantFrom('', 'null', '\\N', 'a:b-', '{"x"}', '\u{1f600}\uffee')),
  // Mostly above zero, since many rules ask for that.
  decimal: fc.oneof(
    { weight: 9, arbitrary: fc.bigInt({ min: 1n, max: MAX }) },
    { weight: 1, arbitrary: fc.bigInt({ min: -MAX, max: 0n }) },
    { weight: 3, arbitrary: fc.constantFrom(1n, MAX, 10_000n, 100_000_000n) },
  ),
  figure: fc
    .tuple(
      fc.bigInt({ min: 0n, max: 10n ** 20n - 1n }),
      fc.bigInt({ min: 0n, max: 10n ** 18n - 1n }),
      fc.boolean(),
    )
    .map(([whole, part, negative]) => {
      const fraction = part.toString().padStart(18, '0').replace(/0+$/, '')
      const text = fraction === '' ? String(whole) : `${whole}.${fraction}`
      return negative && text !== '0' ? `-${text}` : text
    }),
  integer: fc.oneof({ weight: 9, arbitrary: fc.maxSafeNat() }, { weight: 1, arbitrary: fc.integer() }),
  boolean: fc.boolean(),
  instant: fc.integer({ min: Date.UTC(1900, 0, 1), max: Date.UTC(2100, 0, 1) }),
  date: fc.integer({ min: -50_000, max: 50_000 }).map(dayOf),
  texts: fc.array(storable, { maxLength: 4 }),
  json: fc
    .jsonValue({ maxDepth: 2 })
    .map((value) => JSON.parse(JSON.stringify(value).replaceAll('\\u0000', '')) as unknown),
}

/** Columns that take certain words only. */
const NAMED: Readonly<Record<string, readonly string[]>> = {
  'corporate_actions.kind': CORPORATE_ACTION_KINDS,
  'options.type': ['call', 'put'],
}

describe.each(engines)('values of every kind on %s', (engine) => {
  let test: TestStore
  let store: RecordStore

  beforeAll(async () => {
    test = await openRecordTest(engine)
    store = createRecordStore({ sql: test.sql, lake: test.lake, rowGroupRows: 30 })
  })
  afterAll(() => test.close())

  it('read back the same from Postgres and from the lake, in every dataset', async () => {
    const numRuns = engine === 'postgres' ? 120 : 40
    for (const dataset of DATASET_NAMES) {
      const { columns } = datasetDefinition(dataset)
      const row = fc.tuple(
        ...columns.map(({ name, kind, required }) => {
          const named = NAMED[`${dataset}.${name}`]
          if (named !== undefined) return fc.constantFrom(...named)
          return required === true ? values[kind] : fc.option(values[kind], { nil: null })
        }),
      )
      const rows = fc.sample(row, { numRuns, seed: 11 }).map((list, index) => ({
        symbol: `S${index % 3}`,
        time: T0 + (index % 7) * DAY_MS,
        key: `k${index}`,
        values: Object.fromEntries(columns.map((column, at) => [column.name, list[at]])),
      }))
      const done = await store.load({ dataset, source: FEED, rows } as never)
      // Rows that break a rule of their dataset are refused for that rule, and for nothing else.
      expect(
        done.errors
          .map((error) => error.rule)
          .filter((rule) => !/_(negative|not_positive|unknown|incomplete)$/.test(rule)),
      ).toEqual([])
      expect(done.inserted).toBeGreaterThan(5)
      const refused = new Set(done.errors.map((error) => error.index))
      const expected = new Map(
        rows.filter((_, index) => !refused.has(index)).map((entry) => [entry.key, entry.values]),
      )
      const held = async () =>
        new Map((await allRows(store, { dataset })).map((entry) => [entry.key, entry.values]))
      expect(await held()).toEqual(expected)
      const { archivedRows } = await store.archive(dataset, { before: () => T0 + 100 * DAY_MS })
      expect(archivedRows).toBe(expected.size)
      expect(await held()).toEqual(expected)
      expect(await store.load({ dataset, source: FEED, rows } as never)).toMatchObject({
        unchanged: expected.size,
        inserted: 0,
        updated: 0,
      })
    }
  })
})
