import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createLatencyHistogram } from './LatencyHistogram.ts'
import { labelOf, shapeOf, tableOf, typeOf } from './statementShape.ts'

describe('the shape of a statement', () => {
  it.each([
    [
      `SELECT  a,\n b FROM bars_1 -- note\n WHERE symbol = 'O''Neil' AND n > 1.5e3`,
      'SELECT a, b FROM bars_1 WHERE symbol = ? AND n > ?',
    ],
    [
      `SELECT "odd 'name'" FROM t WHERE x = $1 AND y = E'it\\'s'`,
      `SELECT "odd 'name'" FROM t WHERE x = $1 AND y = ?`,
    ],
    ['SELECT 1 WHERE a IN ($1, $2,$3)', 'SELECT ? WHERE a IN (…)'],
    ["INSERT INTO t VALUES ($1, 2), ($3, 'x'),(5, 6)", 'INSERT INTO t VALUES (…), …'],
    ['DO $body$ BEGIN PERFORM 1; END $body$', 'DO ?'],
    ["SELECT 'never closed", 'SELECT ?'],
    ['/* name: x */ SELECT 1', 'SELECT ?'],
  ])('%s', (text, shape) => {
    expect(shapeOf(text)).toBe(shape)
  })

  it('never holds a quoted value or a number, and is the same for any of them', () => {
    const value = fc.string({ minLength: 1 }).map((text) => `'${text.replaceAll("'", "''")}'`)
    fc.assert(
      fc.property(value, fc.integer({ min: 100, max: 1e9 }), (quoted, number) => {
        const shape = shapeOf(`SELECT a FROM t WHERE b = ${quoted} AND c < ${number}`)
        expect(shape).toBe('SELECT a FROM t WHERE b = ? AND c < ?')
      }),
    )
  })

  it('does not depend on how many values a list has', () => {
    const shapes = [2, 3, 500].map((length) =>
      shapeOf(`DELETE FROM t WHERE id IN (${Array.from({ length }, (_, n) => `$${n + 1}`).join(', ')})`),
    )
    expect(new Set(shapes).size).toBe(1)
  })

  it.each([
    ['SELECT 1', 'select', undefined],
    ['(SELECT a FROM x.t) UNION SELECT 2', 'select', 'x.t'],
    ['WITH w AS (SELECT 1) SELECT * FROM w', 'select', 'w'],
    ['WITH gone AS (DELETE FROM old RETURNING *) SELECT 1', 'delete', 'old'],
    ['INSERT INTO "Odd" VALUES (1)', 'insert', 'Odd'],
    ['UPDATE series SET a = 1', 'update', 'series'],
    ['COPY bars FROM STDIN', 'copy', 'bars'],
    ['CREATE TABLE IF NOT EXISTS t (n int)', 'ddl', 't'],
    ['BEGIN', 'transaction', undefined],
    ['LISTEN x', 'other', undefined],
  ])('tells what it does: %s', (text, type, table) => {
    expect([typeOf(shapeOf(text)), tableOf(shapeOf(text))]).toEqual([type, table])
  })

  it('reads the label a statement begins with', () => {
    expect(labelOf(' /* name: bars.read, priority: high */ SELECT 1')).toEqual({
      name: 'bars.read',
      priority: 'high',
    })
    expect(labelOf('/*name: a*/SELECT 1')).toEqual({ name: 'a', priority: 'normal' })
    expect(labelOf('SELECT /* name: a */ 1')).toBeUndefined()
  })
})

describe('the latency histogram', () => {
  const exact = (values: readonly number[], share: number): number =>
    values.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * values.length)) - 1]!

  it('answers percentiles within its stated error, also when merged', () => {
    const times = fc.array(fc.double({ min: 0.001, max: 1e7, noNaN: true }), { minLength: 1, maxLength: 200 })
    fc.assert(
      fc.property(times, times, fc.constantFrom(0.01, 0.05, 0.2), (first, second, error) => {
        const one = createLatencyHistogram(error)
        const other = createLatencyHistogram(error)
        for (const ms of first) one.add(ms)
        for (const ms of second) other.add(ms)
        one.merge(other)
        const all = [...first, ...second]
        expect(one.count).toBe(all.length)
        expect(one.maxMs).toBe(Math.max(...all))
        for (const share of [0.5, 0.95, 0.99, 1]) {
          const truth = exact(all, share)
          expect(Math.abs(one.percentileMs(share) - truth)).toBeLessThanOrEqual(truth * error * 1.0001)
        }
      }),
    )
  })

  it('stays small however much it counts', () => {
    const histogram = createLatencyHistogram(0.02)
    for (let n = 0; n < 100_000; n++) histogram.add((n % 3_600_000) + 0.001)
    histogram.add(3_600_000)
    expect(histogram.buckets.length).toBeLessThan(600)
  })
})
