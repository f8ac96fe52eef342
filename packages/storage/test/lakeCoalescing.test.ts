import { type BarSource, Secret } from '@varve/core'
import fc from 'fast-check'
import { type AsyncBuffer, parquetMetadataAsync } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BarColumns } from '../src/bars/BarColumns.ts'
import { coalescedRanges, createCoalescingFile, rowGroupRange } from '../src/lake/coalescing.ts'
import { createBarFileReader } from '../src/lake/parquetReader.ts'
import { createBarFileWriter } from '../src/lake/parquetWriter.ts'
import { createS3Lake } from '../src/s3/index.ts'
import { type S3Double, startS3Double } from '../src/testing/s3Double.ts'
import { DAY } from './support.ts'

const SOURCE: BarSource = { provider: 'file', feed: 'test', adjustment: 'raw' }
const SYMBOLS = Array.from({ length: 500 }, (_, index) => `S${String(index).padStart(4, '0')}`)
const SESSIONS = 252
/** Rows of two of them lie in two row groups each. */
const SOME = ['S0000', 'S0100', 'S0198', 'S0300', 'S0396', 'S0499']
const MOST_BYTES = 2_000_000

/** A year of 500 symbols. */
function yearFile() {
  const writer = createBarFileWriter({
    interval: '1d',
    source: SOURCE,
    symbols: SYMBOLS,
    rowGroupRows: 50_000,
    zstdLevel: 3,
  })
  const columns = new BarColumns(SYMBOLS.length * SESSIONS)
  let state = 7
  for (let series = 0; series < SYMBOLS.length; series++) {
    let cents = 1000 + series
    for (let session = 0; session < SESSIONS; session++) {
      const at = columns.reserve()
      state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
      cents = Math.max(100, cents + (state % 101) - 50)
      columns.series[at] = series
      columns.time[at] = session * DAY
      columns.recorded[at] = 400 * DAY
      for (const [column, values] of columns.values.entries()) values[at] = BigInt(cents + column) * 10_000n
    }
  }
  writer.add(columns, 0, columns.length)
  return writer.finish()!
}

describe('reading one symbol of a year file from S3', () => {
  const content = yearFile()
  const path = 'bars/year.parquet'
  let double: S3Double
  let lake: ReturnType<typeof createS3Lake>
  beforeAll(async () => {
    double = await startS3Double()
    lake = createS3Lake({
      bucket: double.bucket,
      endpoint: double.endpoint,
      credentials: {
        accessKeyId: new Secret(double.accessKeyId),
        secretAccessKey: new Secret('x'),
      },
    })
    await lake.write(path, content.bytes)
  })
  afterAll(async () => {
    await lake.close()
    await double.close()
  })
  const measured = () => {
    const gets = double.requests.filter((request) => request.method === 'GET')
    return { requests: gets.length, bytes: gets.reduce((sum, request) => sum + request.bytesOut, 0) }
  }
  const filterOf = (symbol: string) => ({ symbols: [symbol], series: [0], from: [0], to: [SESSIONS * DAY] })
  const reference = { path, bytes: content.bytes.length, rows: content.rows }

  it('takes one range request within the budget once the footer is known', async () => {
    const reader = createBarFileReader({ lake, footerCacheFiles: 4, footerBytes: 65_536 })
    await requestsOf(reader, 'S0000')
    for (const symbol of SOME) {
      const { requests, bytes } = await requestsOf(reader, symbol)
      expect(requests).toBe(1)
      expect(bytes).toBeLessThanOrEqual(MOST_BYTES)
    }
  })

  it('needs two where a symbol lies in two row groups that are fetched apart (control)', async () => {
    const file: AsyncBuffer = {
      byteLength: content.bytes.length,
      slice: async (start, end = content.bytes.length) => (await lake.read(path, start, end)).buffer,
    }
    const { row_groups: all } = await parquetMetadataAsync(file)
    const groups = all.filter(({ columns }) => {
      const { min_value: least, max_value: most } = columns[0]!.meta_data!.statistics!
      return String(least) <= 'S0198' && 'S0198' <= String(most)
    })
    double.requests.length = 0
    for (const group of groups) {
      const { start, end } = rowGroupRange(group, ['symbol', 'time', 'close'])
      await file.slice(start, end)
    }
    expect(measured().requests).toBe(2)
  })

  async function requestsOf(reader: ReturnType<typeof createBarFileReader>, symbol: string) {
    double.requests.length = 0
    const target = new BarColumns()
    await reader.read(reference, filterOf(symbol), target)
    expect(target.length).toBe(SESSIONS)
    return measured()
  }
})

describe('coalescedRanges', () => {
  const range = fc
    .tuple(fc.nat(5000), fc.integer({ min: 1, max: 800 }))
    .map(([start, length]) => ({ start, end: start + length }))

  it('covers every range by one span, spans in order and apart, none longer than allowed unless a range is', () => {
    fc.assert(
      fc.property(
        fc.array(range, { maxLength: 20 }),
        fc.nat(300),
        fc.integer({ min: 1, max: 2000 }),
        (ranges, gapBytes, spanBytes) => {
          const spans = coalescedRanges(ranges, { gapBytes, spanBytes })
          for (const wanted of ranges)
            expect(spans.some((span) => span.start <= wanted.start && wanted.end <= span.end)).toBe(true)
          spans.forEach((span, index) => {
            if (index > 0) expect(span.start).toBeGreaterThanOrEqual(spans[index - 1]!.start)
            const longest = Math.max(...ranges.map((wanted) => wanted.end - wanted.start))
            expect(span.end - span.start).toBeLessThanOrEqual(Math.max(spanBytes, longest))
          })
        },
      ),
    )
  })
})

describe('createCoalescingFile', () => {
  it('gives the same bytes as the file, whatever is asked', async () => {
    const bytes = Uint8Array.from({ length: 5000 }, (_, at) => at % 251)
    let reads = 0
    const file: AsyncBuffer = {
      byteLength: bytes.length,
      slice: (start, end) => {
        reads++
        return Promise.resolve(bytes.slice(start, end).buffer)
      },
    }
    const together = createCoalescingFile(
      file,
      [
        { start: 100, end: 200 },
        { start: 210, end: 400 },
        { start: 4000, end: 4500 },
      ],
      { gapBytes: 10, spanBytes: 1000 },
    )
    for (const [start, end] of [
      [100, 120],
      [150, 200],
      [210, 400],
      [4000, 4500],
      [0, 50],
      [4990, 5000],
    ] as const)
      expect(new Uint8Array(await together.slice(start, end))).toEqual(bytes.slice(start, end))
    expect(reads).toBe(4)
  })
})
