import { describe, expect, it } from 'vitest'
import { BarBatchBuilder } from '@varve/core'
import { BarColumns, orderOf, sameValues, setSafeInteger, sortColumns } from './BarColumns.ts'
import { distinctBars } from './distinctBars.ts'

function columnsOf(rows: readonly (readonly [series: number, time: number, value: bigint])[]): BarColumns {
  const columns = new BarColumns(0)
  for (const [series, time, value] of rows) {
    const at = columns.reserve()
    columns.series[at] = series
    columns.time[at] = time
    for (const column of columns.values) column[at] = value
  }
  return columns
}

describe('BarColumns', () => {
  it('sorts by series, then time, keeping the order of equal keys, and grows as needed', () => {
    const rows = Array.from(
      { length: 500 },
      (_, index) => [index % 7, (index * 37) % 50, BigInt(index)] as const,
    )
    const sorted = sortColumns(columnsOf(rows), 7)
    const expected = rows
      .map((row, index) => ({ row, index }))
      .sort((a, b) => a.row[0] - b.row[0] || a.row[1] - b.row[1] || a.index - b.index)
    expect(Array.from({ length: 500 }, (_, at) => sorted.values[0]![at])).toEqual(
      expected.map(({ row }) => row[2]),
    )
    expect(orderOf(sorted, 7)).toBeUndefined()
  })

  it('writes integers of either sign as 64-bit values', () => {
    const columns = columnsOf([[0, 0, 0n]])
    for (const value of [0, -1, 1, 4_294_967_296, -4_294_967_297, 2 ** 53, -(2 ** 53)]) {
      setSafeInteger(columns.words[0]!, 0, value)
      expect(columns.values[0]![0]).toBe(BigInt(value))
    }
  })

  it('tells rows apart by any half of any value', () => {
    const columns = columnsOf([
      [0, 0, 1n],
      [0, 1, 1n],
      [0, 2, 1n + 2n ** 40n],
      [0, 3, 2n],
    ])
    expect(sameValues(columns, 0, columns, 1)).toBe(true)
    expect(sameValues(columns, 0, columns, 2)).toBe(false)
    expect(sameValues(columns, 0, columns, 3)).toBe(false)
  })
})

describe('distinctBars', () => {
  const SOURCE = { provider: 'file', feed: 'test', adjustment: 'raw' } as const

  it('collapses repeated rows and lets the last of contradicting ones win', () => {
    const builder = new BarBatchBuilder('1d', SOURCE)
    builder.add('B', 5, 1n, 1n, 1n, 1n, 1n)
    builder.add('A', 7, 2n, 2n, 2n, 2n, 2n)
    builder.add('B', 5, 1n, 1n, 1n, 1n, 1n)
    builder.add('B', 5, 3n, 1n, 1n, 1n, 1n)
    builder.add('B', 4, 9n, 9n, 9n, 9n, 9n)
    const { symbols, rows, duplicates, conflicts } = distinctBars(builder.build(), 0)
    expect({ symbols, duplicates, conflicts, length: rows.length }).toEqual({
      symbols: ['A', 'B'],
      duplicates: 1,
      conflicts: 1,
      length: 3,
    })
    expect(
      [0, 1, 2].map((row) => [symbols[rows.series[row]!], rows.time[row], rows.values[0]![row]]),
    ).toEqual([
      ['A', 7, 2n],
      ['B', 4, 9n],
      ['B', 5, 3n],
    ])
  })

  it('refuses what the database could not hold', () => {
    for (const [time, value] of [
      [Number.NaN, 1n],
      [1.5, 1n],
      [Date.UTC(2300, 0, 1), 1n],
      [0, 10n ** 18n],
      [0, -(10n ** 18n)],
    ] as const) {
      const builder = new BarBatchBuilder('1d', SOURCE)
      builder.add('A', time, 1n, value, 1n, 1n, 1n)
      expect(() => distinctBars(builder.build(), 0)).toThrow(expect.objectContaining({ code: 'BAR_INVALID' }))
    }
    const builder = new BarBatchBuilder('1d', SOURCE)
    builder.add('A', 0, 10n ** 18n - 1n, -(10n ** 18n) + 1n, 1n, 1n, 1n)
    expect(distinctBars(builder.build(), 0).rows.length).toBe(1)
  })
})
