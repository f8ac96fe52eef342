import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { zstdDecompressSync } from 'node:zlib'
import { BarBatchBuilder, barAt } from '@varve/core'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarStore, createBarStore } from '../src/index.ts'
import { DAY, SIP, type TestStore, engines, openTestStore } from './support.ts'

const root = process.env.VARVE_TEST_DATA ?? ''
const FILE = 'market/us_daily_restatements_2015-03_2016-03.parquet'

/** A bar as one crawl saw it: open, high, low, close in millionths of a dollar, shares in millionths. */
interface Version {
  readonly snap: number
  readonly symbol: string
  readonly date: number
  readonly values: readonly bigint[]
}

const textOf = (version: Version) => version.values.join(' ')
const keyOf = (version: { readonly symbol: string; readonly date: number }) =>
  `${version.symbol}|${version.date}`

/** All versions of the file, by crawl. Decimals are read as the integers they are stored as. */
async function readVersions(): Promise<Version[]> {
  const bytes = readFileSync(join(root, FILE))
  const file = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength)
  const metadata = parquetMetadata(file)
  for (const element of metadata.schema) {
    if (element.converted_type === 'DECIMAL') {
      delete element.converted_type
      delete element.logical_type
    }
  }
  const rows = (await parquetReadObjects({
    file,
    metadata,
    compressors: { ZSTD: (input) => zstdDecompressSync(input) },
  })) as Record<string, unknown>[]
  return rows
    .map((row) => ({
      snap: (row.snap as Date).getTime(),
      symbol: String(row.symbol),
      date: (row.date as Date).getTime(),
      values: [row.open, row.high, row.low, row.close]
        .map((value) => BigInt(value as bigint))
        .concat(BigInt(row.volume as bigint) * 1_000_000n),
    }))
    .sort((a, b) => a.snap - b.snap)
}

// The other engine takes as long again; the store's code above the client is the same.
const ENGINES = engines.filter((engine) => engine === 'postgres' || process.env.VARVE_TEST_LONG === '1')

describe.skipIf(root === '').each(ENGINES)(
  'every crawled version of restated bars on %s (needs VARVE_TEST_DATA)',
  (engine) => {
    let test: TestStore
    let store: BarStore
    let versions: Version[]
    const crawls: Version[][] = []

    beforeAll(async () => {
      test = await openTestStore(engine)
      store = createBarStore({ sql: test.sql, lake: test.lake })
      versions = await readVersions()
      for (const version of versions) {
        if (crawls.at(-1)?.[0]?.snap === version.snap) crawls.at(-1)!.push(version)
        else crawls.push([version])
      }
    })
    afterAll(() => test.close())

    const loadCrawl = async (crawl: readonly Version[]) => {
      const builder = new BarBatchBuilder('1d', SIP)
      for (const { symbol, date, values } of crawl) {
        const [open, high, low, close, volume] = values as [bigint, bigint, bigint, bigint, bigint]
        builder.add(symbol, date, open, high, low, close, volume)
      }
      // Half of the year is cold from the start, so that versions live on both sides.
      const plan = { hotFrom: () => Date.UTC(2015, 9, 1), initialWatermark: Date.UTC(2015, 9, 1) }
      const staged = await store.stage(builder.build(), plan, { recordedAt: crawl[0]!.snap })
      const counts = await test.sql.tx((tx) => store.commit(tx, staged))
      return { ...counts, repeated: staged.duplicates + staged.conflicts }
    }

    const readAt = async (knownAt: number | undefined) => {
      const found = new Map<string, string>()
      for await (const batch of store.read({ interval: '1d', from: 0, to: Date.UTC(2017, 0, 1), knownAt })) {
        for (let row = 0; row < batch.length; row++) {
          const { symbol, time, open, high, low, close, volume } = barAt(batch, row)
          found.set(keyOf({ symbol, date: time }), [open, high, low, close, volume].join(' '))
        }
      }
      return found
    }

    /** What the crawls until then say, in the plainest terms. */
    const expectedAt = (knownAt: number) => {
      const known = new Map<string, string>()
      for (const version of versions) if (version.snap <= knownAt) known.set(keyOf(version), textOf(version))
      return known
    }

    it('loads them crawl by crawl, and the latest wins', async () => {
      expect(versions).toHaveLength(68_081)
      let inserted = 0
      let updated = 0
      let unchanged = 0
      let repeated = 0
      for (const crawl of crawls) {
        const counts = await loadCrawl(crawl)
        inserted += counts.inserted
        updated += counts.updated
        unchanged += counts.unchanged
        repeated += counts.repeated
        expect(counts.versionRows).toBe(counts.updated)
      }
      // Of 34,006 keys; where only the adjusted close was restated the bar itself is unchanged.
      expect(inserted).toBe(34_006)
      expect(inserted + updated + unchanged + repeated).toBe(68_081)
      expect(repeated, 'bars a crawl delivered twice').toBe(70)
      const now = await readAt(undefined)
      expect(now.size).toBe(34_006)
      expect(now).toEqual(expectedAt(Infinity))
      expect((await store.stats()).versions).toBe(updated)
    })

    it('answers what was known on a day, before and after the lake is compacted', async () => {
      const days = crawls.filter((_, index) => index % 86 === 0).map((crawl) => crawl[0]!.snap)
      let differs = 0
      for (const day of days) {
        const known = await readAt(day)
        expect(known, new Date(day).toISOString()).toEqual(expectedAt(day))
        const now = expectedAt(Infinity)
        for (const [key, text] of known) if (now.get(key) !== text) differs++
      }
      // The control: a store that keeps no versions would show today's values on those days.
      expect(differs).toBeGreaterThan(50)
      expect((await readAt(crawls[0]![0]!.snap - DAY)).size).toBe(0)
      expect((await store.compact('1d', { force: true })).lateFolded).toBeGreaterThan(0)
      expect(await readAt(days[1])).toEqual(expectedAt(days[1]!))
    })

    it('changes nothing when they are loaded again', async () => {
      const before = await store.checksums()
      const { versions: held } = await store.stats()
      for (const crawl of crawls.filter((_, index) => index % 60 === 0)) {
        const counts = await loadCrawl(crawl)
        expect(counts).toMatchObject({ inserted: 0, updated: 0, hotRows: 0, coldRows: 0 })
      }
      expect((await store.stats()).versions).toBe(held)
      expect(await store.checksums()).toEqual(before)
      expect(await readAt(crawls[100]![0]!.snap)).toEqual(expectedAt(crawls[100]![0]!.snap))
    })
  },
)
