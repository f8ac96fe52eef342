import { describe, expect, it } from 'vitest'
import { BarColumns, setSafeInteger } from '../bars/BarColumns.ts'
import type { LakeFiles } from './LakeFiles.ts'
import { createBarFileReader } from './parquetReader.ts'
import { createBarFileWriter } from './parquetWriter.ts'

const SYMBOLS = ['A', 'BRK.B', 'Z']
const DAYS = 40
const DAY_MS = 86_400_000

function writeFile(): Uint8Array {
  const writer = createBarFileWriter({
    interval: '1d',
    source: { provider: 'test', feed: 'file', adjustment: 'raw' },
    symbols: SYMBOLS,
    rowGroupRows: 50,
    zstdLevel: 3,
  })
  const rows = new BarColumns()
  for (let series = 0; series < SYMBOLS.length; series++) {
    for (let day = 0; day < DAYS; day++) {
      const at = rows.reserve()
      rows.series[at] = series
      rows.time[at] = day * DAY_MS
      for (const words of rows.words)
        setSafeInteger(words, at, ((series * DAYS + day) * 7_919_000_003) % 1e12)
    }
  }
  writer.add(rows, 0, rows.length)
  return writer.finish()!.bytes
}

/** A lake of one file in memory. */
function lakeOf(bytes: Uint8Array): LakeFiles {
  return {
    location: 'memory',
    size: () => Promise.resolve(bytes.length),
    read: (_path: string, start: number, end: number) =>
      Promise.resolve(new Uint8Array(bytes.slice(start, end))),
  } as unknown as LakeFiles
}

async function read(bytes: Uint8Array): Promise<string> {
  const reader = createBarFileReader({ lake: lakeOf(bytes), footerCacheFiles: 1, footerBytes: 65_536 })
  const rows = new BarColumns()
  const filter = { symbols: SYMBOLS, series: [0, 1, 2], from: [0, 0, 0], to: [1e12, 1e12, 1e12] }
  await reader.read({ path: 'f', bytes: bytes.length, rows: SYMBOLS.length * DAYS }, filter, rows, 'all')
  return [rows.series, rows.time, ...rows.values]
    .map((column) => [...column.subarray(0, rows.length)].join(','))
    .join(';')
}

describe('a lake file with one bit changed', () => {
  it('reads as it was written or is refused, wherever the bit lies; it never hangs or shows other rows', async () => {
    const whole = writeFile()
    const expected = await read(whole)
    let refused = 0
    let same = 0
    for (let byte = 0; byte < whole.length; byte++) {
      const changed = whole.slice()
      changed[byte]! ^= 1 << (byte % 8)
      const outcome = await read(changed).catch((error: unknown) => error as { code: string })
      if (typeof outcome === 'string') {
        expect(outcome === expected, `other rows after a change of byte ${byte}`).toBe(true)
        same++
      } else {
        expect(outcome.code, `bit of byte ${byte}`).toBe('LAKE_UNREADABLE')
        refused++
      }
    }
    // What may change unnoticed are parts of the footer nobody reads.
    expect(refused).toBeGreaterThan(same)
  })
})
