import fc from 'fast-check'
import { type FileMetaData, parquetMetadataAsync, parquetRead } from 'hyparquet'
import { zstdDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BarBatchBuilder, MAX_SCALED, barAt, formatScaled } from '@varve/core'
import { type BarStore, createBarStore } from '../src/index.ts'
import { SIP, type TestStore, day, engines, openTestStore } from './support.ts'

const EDGES = [
  0n,
  1n,
  -1n,
  99n,
  100n,
  9_999n,
  10_000n,
  999_999n,
  1_000_000n,
  -1_000_001n,
  9_999_999_999n,
  10_000_000_000n,
  2n ** 31n,
  2n ** 32n,
  2n ** 32n - 1n,
  -(2n ** 32n),
  2n ** 52n,
  2n ** 52n + 1n,
  -(2n ** 52n) - 1n,
  2n ** 53n + 1n,
  -(2n ** 53n) - 1n,
  4_503_599_627_000_000n,
  100_000_000_000_000_000n,
  MAX_SCALED,
  -MAX_SCALED,
  MAX_SCALED - 1n,
]

const scaled = fc.oneof(
  fc.constantFrom(...EDGES),
  fc.bigInt({ min: -MAX_SCALED, max: MAX_SCALED }),
  fc.bigInt({ min: -(10n ** 10n), max: 10n ** 10n }),
  // Decimals of every length.
  fc
    .tuple(fc.bigInt({ min: 0n, max: 10n ** 12n - 1n }), fc.integer({ min: 0, max: 6 }))
    .map(([v, p]) => v * 10n ** BigInt(p)),
)

describe.each(engines)('every scaled value survives on %s', (engine) => {
  let test: TestStore
  let store: BarStore

  beforeAll(async () => {
    test = await openTestStore(engine)
    store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1, rowGroupRows: 500 })
  })
  afterAll(() => test.close())

  it('from a batch through Postgres and Parquet and back, where a double-based reader fails', async () => {
    const rows = [...fc.sample(fc.array(scaled, { minLength: 5, maxLength: 5 }), { numRuns: 3000, seed: 7 })]
    EDGES.forEach((edge, index) =>
      rows.push([edge, EDGES[(index + 1) % EDGES.length]!, EDGES[(index + 2) % EDGES.length]!, -edge, edge]),
    )
    const builder = new BarBatchBuilder('1d', SIP)
    rows.forEach(([o, h, l, c, v], index) => builder.add('X', day(index), o!, h!, l!, c!, v!))
    const batch = builder.build()
    const half = day(Math.floor(rows.length / 2))
    const staged = await store.stage(batch, { hotFrom: () => half, initialWatermark: half })
    expect(await test.sql.tx((tx) => store.commit(tx, staged))).toMatchObject({ inserted: rows.length })

    const readBack = async () => {
      const found: bigint[][] = []
      for await (const part of store.read({ interval: '1d', from: -Infinity, to: Infinity })) {
        for (let row = 0; row < part.length; row++) {
          const bar = barAt(part, row)
          found.push([bar.open, bar.high, bar.low, bar.close, bar.volume])
        }
      }
      return found
    }
    expect(await readBack()).toEqual(rows)
    const { rows: text } = await test.sql.query<{ open: string; volume: string }>(
      'SELECT open::text, volume::text FROM bars ORDER BY ts',
    )
    const hot = rows.slice(Math.floor(rows.length / 2))
    expect(text.map((row) => [Number(row.open), Number(row.volume)])).toEqual(
      hot.map((row) => [Number(formatScaled(row[0]!)), Number(formatScaled(row[4]!))]),
    )
    expect(text.map((row) => BigInt(row.open.replace('.', '')))).toEqual(hot.map((row) => row[0]))

    // The rest goes to the lake as well, and everything is read from there.
    await store.retain({
      interval: '1d',
      asOf: 0,
      archiveTo: day(rows.length),
      hotFrom: () => day(rows.length),
      coldFrom: () => null,
    })
    expect(await readBack()).toEqual(rows)
    await store.compact('1d', { force: true })
    expect(await readBack()).toEqual(rows)
    expect(await naiveOpens()).not.toEqual(rows.map((row) => formatScaled(row[0]!)))
  })

  /** The control: the same files through the library's own DECIMAL decoding. */
  async function naiveOpens(): Promise<string[]> {
    const opens: string[] = []
    const { rows } = await test.sql.query<{ path: string; bytes: bigint }>(
      'SELECT path, bytes FROM lake_files WHERE removed_at IS NULL',
    )
    for (const { path, bytes } of rows) {
      const file = {
        byteLength: Number(bytes),
        slice: async (start: number, end = Number(bytes)) => (await test.lake.read(path, start, end)).buffer,
      }
      const metadata: FileMetaData = await parquetMetadataAsync(file)
      await parquetRead({
        file,
        metadata,
        columns: ['open'],
        compressors: { ZSTD: (input) => zstdDecompressSync(input) },
        onChunk: ({ columnData, rowStart }) => {
          for (let index = 0; index < columnData.length; index++)
            opens[rowStart + index] = String(columnData[index])
        },
      })
    }
    return opens
  }
})
