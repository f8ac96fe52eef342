import { describe, expect, it } from 'vitest'
import { MAX_SCALED } from '@varve/core'
import { BarColumns } from '../bars/BarColumns.ts'
import { type CopyRow, decodeCopy, int32, int64 } from './copyDecoder.ts'
import { PG_EPOCH_MS, encodeBarCopy } from './copyEncoder.ts'
import { decodeNumeric, encodeNumeric } from './numericCodec.ts'

function columnsOf(values: readonly bigint[]): BarColumns {
  const columns = new BarColumns()
  values.forEach((value, index) => {
    const row = columns.reserve()
    columns.series[row] = index % 3
    columns.time[row] = index * 86_400_000 - 10 ** 12
    for (const column of columns.values) column[row] = value
  })
  return columns
}

/** Digits as Postgres itself sends them for these values. */
const WIRE: readonly (readonly [bigint, string])[] = [
  [0n, '00000008' + '0000000000000006'],
  [1n, '0000000a' + '0001fffe00000006' + '0064'],
  [1_000_000n, '0000000a' + '0001000000000006' + '0001'],
]

describe('binary COPY', () => {
  it('encodes zero, the smallest unit and one as Postgres sends them', () => {
    for (const [value, hex] of WIRE) {
      const columns = columnsOf([value])
      const target = new Uint8Array(64)
      const end = encodeNumeric(target, 0, columns.words[0]!, 0)
      expect(Buffer.from(target.subarray(0, end)).toString('hex')).toBe(hex)
    }
  })

  it('decodes what it encodes, at every size', () => {
    const values = [0n, 1n, -1n, 10_000n, 2n ** 52n, -(2n ** 52n) - 1n, MAX_SCALED, -MAX_SCALED]
    for (let digits = 1; digits <= 18; digits++)
      values.push(10n ** BigInt(digits) - 1n, -(10n ** BigInt(digits - 1)))
    const columns = columnsOf(values)
    const back = new BarColumns()
    const target = new Uint8Array(64)
    values.forEach((_, row) => {
      encodeNumeric(target, 0, columns.words[0]!, row)
      const at = back.reserve()
      decodeNumeric(target, 4, back.words[0]!, back.values[0]!, at)
    })
    expect([...back.values[0]!.subarray(0, values.length)]).toEqual(values)
  })

  it('streams rows that any cut of the stream leaves whole', async () => {
    const columns = columnsOf([5n, 70_000_000n, MAX_SCALED, -3n])
    const stream = Buffer.concat([...encodeBarCopy(columns, { seriesIds: [11, 22, 70_000], chunkBytes: 50 })])
    for (const size of [1, 2, 3, 7, 64, 10_000]) {
      const seen: unknown[] = []
      const chunks = async function* () {
        for (let at = 0; at < stream.length; at += size) yield new Uint8Array(stream.subarray(at, at + size))
      }
      await decodeCopy(chunks(), 8, (row: CopyRow) => {
        const value = new BarColumns()
        decodeNumeric(row.data, row.starts[7]!, value.words[0]!, value.values[0]!, value.reserve())
        seen.push([
          int32(row.data, row.starts[0]!),
          int64(row.data, row.starts[1]!) / 1000 + PG_EPOCH_MS,
          value.values[0]![0],
        ])
      })
      expect(seen).toEqual([
        [11, -(10 ** 12), 5n],
        [22, 86_400_000 - 10 ** 12, 70_000_000n],
        [70_000, 2 * 86_400_000 - 10 ** 12, MAX_SCALED],
        [11, 3 * 86_400_000 - 10 ** 12, -3n],
      ])
    }
  })

  it('refuses a stream that breaks off or has other fields', async () => {
    const stream = Buffer.concat([
      ...encodeBarCopy(columnsOf([5n]), { seriesIds: [1, 2, 3], chunkBytes: 64 }),
    ])
    const once = async function* (bytes: Uint8Array) {
      yield bytes
    }
    await expect(
      decodeCopy(once(stream.subarray(0, stream.length - 2)), 8, () => undefined),
    ).rejects.toMatchObject({ code: 'STORAGE_CORRUPT' })
    await expect(decodeCopy(once(stream), 7, () => undefined)).rejects.toMatchObject({
      code: 'STORAGE_CORRUPT',
    })
  })
})
