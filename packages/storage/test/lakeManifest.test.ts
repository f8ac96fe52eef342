import { canonicalJson, sha256Hex } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarStore, createBarStore } from '../src/index.ts'
import { type LakeManifest, exportManifest, readManifest } from '../src/lake/index.ts'
import { DATASET_NAMES, createRecordStore, datasetDefinition } from '../src/records/index.ts'
import { recordFileSchema } from '../src/lake/manifestRecordColumns.ts'
import { createRecordFileWriter } from '../src/records/recordFile.ts'
import { FEED, WIRE } from './recordsSupport.ts'
import { type TestStore, batchOf, day, engines, openTestStore } from './support.ts'

const SYMBOLS = ['A', 'B', 'C']
const SESSIONS = 40

async function fill(test: TestStore): Promise<BarStore> {
  const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 5 })
  const load = async (rows: Parameters<typeof batchOf>[0]) => {
    const staged = await store.stage(batchOf(rows), { hotFrom: () => day(200), initialWatermark: day(200) })
    await test.sql.tx((tx) => store.commit(tx, staged))
  }
  for (const first of [0, SESSIONS]) {
    await load(
      SYMBOLS.flatMap((symbol, index) =>
        Array.from(
          { length: SESSIONS },
          (_, session) => [symbol, day(first + session), 1_234_567 * (index + 1) + session] as const,
        ),
      ),
    )
  }
  // Two corrections of what files hold, and one bar too few to make a file.
  await load([
    ['A', day(3), 5],
    ['B', day(4), 6],
    ['C', day(100), 7],
  ])
  return store
}

describe.each(engines)('the manifest of a lake on %s', (engine) => {
  let test: TestStore
  let store: BarStore
  const clock = createTestClock(Date.UTC(2024, 4, 6, 7, 8, 9))
  beforeAll(async () => {
    test = await openTestStore(engine)
    store = await fill(test)
  })
  afterAll(() => test.close())

  it('lists what is live, and counts what is not in the files yet', async () => {
    const { manifest, paths } = await exportManifest(test.sql, test.lake, { clock })
    expect(paths).toEqual([
      `manifests/2024-05-06T07-08-09.000Z-${manifest.sha256.slice(0, 8)}.json`,
      'manifest.json',
    ])
    expect(manifest).toMatchObject({
      createdAt: '2024-05-06T07:08:09.000Z',
      totals: { files: 2, rows: 2 * SYMBOLS.length * SESSIONS },
      watermarks: { '1d': new Date(day(200)).toISOString() },
      unfolded: [{ interval: '1d', corrections: 2, additions: 1 }],
    })
    for (const file of manifest.files) {
      const content = readFileSync(join(test.lakeDirectory, file.path))
      expect(file).toMatchObject({
        kind: 'bars',
        interval: '1d',
        provider: 'polygon',
        symbolMin: 'A',
        symbolMax: 'C',
        bytes: content.length,
      })
      expect(sha256Hex(content)).toBe(file.sha256)
    }
    expect(await readManifest(test.lake)).toEqual(manifest)
    expect(await readManifest(test.lake, paths[0])).toEqual(manifest)
  })

  it('has nothing left unfolded after compaction', async () => {
    await store.compact('1d')
    const { manifest } = await exportManifest(test.sql, test.lake, { clock })
    expect(manifest).toMatchObject({ unfolded: [], totals: { rows: 2 * SYMBOLS.length * SESSIONS + 1 } })
  })
})

describe('a manifest that is not what was written', () => {
  let test: TestStore
  let text: string
  let file: string
  beforeAll(async () => {
    test = await openTestStore('postgres')
    await fill(test)
    await exportManifest(test.sql, test.lake)
    file = join(test.lakeDirectory, 'manifest.json')
    text = readFileSync(file, 'utf8')
  })
  afterAll(() => test.close())
  const reading = async (content: string) => {
    writeFileSync(file, content)
    return readManifest(test.lake).then(
      () => 'accepted',
      (error: unknown) => error,
    )
  }
  const altered = (
    change: (manifest: { -readonly [Key in keyof LakeManifest]: LakeManifest[Key] }) => void,
  ) => {
    const manifest = JSON.parse(text) as LakeManifest
    change(manifest)
    return JSON.stringify(manifest)
  }

  it('is refused wherever it was cut', async () => {
    for (let length = 0; length < text.length - 2; length += 97)
      expect(await reading(text.slice(0, length)), `${length}`).toMatchObject({
        code: 'LAKE_MANIFEST_INVALID',
      })
    expect(await reading(text)).toBe('accepted')
  })

  it('is refused with any digit changed', async () => {
    let changed = 0
    for (let at = 0; at < text.length; at += 13) {
      const digit = text[at]!
      if (!/[0-9]/.test(digit)) continue
      const other = text.slice(0, at) + ((Number(digit) + 1) % 10) + text.slice(at + 1)
      expect(await reading(other), `character ${at}`).toMatchObject({ code: 'LAKE_MANIFEST_INVALID' })
      changed++
    }
    expect(changed).toBeGreaterThan(20)
  })

  it.each([
    ['a file removed', (manifest) => void manifest.files.pop(), /"files" has changed/],
    [
      'another SHA-256',
      (manifest) => void (manifest.files[1]!.sha256 = '0'.repeat(64)),
      /files\.1: its path and its sha256 disagree/,
    ],
    ['no corrections any more', (manifest) => void (manifest.unfolded = []), /"unfolded" has changed/],
    ['another date', (manifest) => void (manifest.createdAt = '2020-01-01T00:00:00.000Z'), /"createdAt"/],
    [
      'a field that should not be there',
      (manifest) => void Object.assign(manifest.files[0]!, { extra: 1 }),
      /files\.0: /,
    ],
    ['a negative size', (manifest) => void (manifest.files[0]!.bytes = -1), /files\.0\.bytes: /],
    ['another format', (manifest) => void Object.assign(manifest, { format: 2 }), /format: /],
  ] as [string, (manifest: { -readonly [Key in keyof LakeManifest]: LakeManifest[Key] }) => void, RegExp][])(
    'names the place: %s',
    async (_, change, place) => {
      const error = await reading(altered(change))
      expect(error).toMatchObject({ code: 'LAKE_MANIFEST_INVALID' })
      expect((error as Error).message).toMatch(place)
    },
  )

  it('would be believed if only its sections were summed again (control)', async () => {
    const forged = altered((manifest) => {
      manifest.unfolded = []
      const { sha256: _sha256, sections, ...rest } = manifest
      const resummed = { ...sections, unfolded: sha256Hex(canonicalJson([])) }
      manifest.sections = resummed
      manifest.sha256 = sha256Hex(canonicalJson({ ...rest, sections: resummed }))
    })
    // It protects against accidents, not against somebody who may write to the lake.
    expect(await reading(forged)).toBe('accepted')
  })

  it('is missed when there is none', async () => {
    await expect(readManifest(test.lake, 'manifests/none.json')).rejects.toThrow(/there is no such file/)
  })
})

describe('records in the manifest', () => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('postgres')
    const store = createRecordStore({ sql: test.sql, lake: test.lake, clock: createTestClock(day(20_000)) })
    const article = (symbol: string, number: number) => ({
      symbol,
      time: day(19_000 + number),
      values: { article_id: String(number), title: 'x', symbols: [symbol], extra: { number } },
    })
    const rating = { symbol: 'B', time: day(19_005), values: { firm: 'f', target_price: '1.25' } }
    await store.load({
      dataset: 'news',
      source: FEED,
      rows: [article('A', 1), article('B', 2), article('B', 9)],
    })
    await store.load({ dataset: 'ratings', source: WIRE, rows: [rating] })
    await store.archive('news', { before: () => day(19_009) })
    await store.archive('ratings', { before: () => day(19_009) })
  })
  afterAll(() => test.close())

  it('are listed by dataset, source, symbols and times, with their hashes', async () => {
    const { manifest } = await exportManifest(test.sql, test.lake)
    expect(await readManifest(test.lake)).toEqual(manifest)
    // The article of day 9 is in Postgres only.
    expect(manifest.totals).toMatchObject({ files: 2, rows: 3 })
    expect(manifest.files).toMatchObject([
      {
        ...{ kind: 'records', dataset: 'news', interval: null, ...FEED, rows: 2 },
        ...{ symbolMin: 'A', symbolMax: 'B' },
        timeMin: new Date(day(19_001)).toISOString(),
        timeMax: new Date(day(19_002)).toISOString(),
      },
      { kind: 'records', dataset: 'ratings', interval: null, ...WIRE, rows: 1, symbolMin: 'B' },
    ])
    for (const file of manifest.files) {
      const content = readFileSync(join(test.lakeDirectory, file.path))
      expect(file).toMatchObject({ bytes: content.length, sha256: sha256Hex(content) })
    }
    expect(Object.keys(manifest.schemas).sort()).toEqual(['bars', 'records/news', 'records/ratings'])
  })

  it('cannot lose a column description unnoticed', async () => {
    const manifest = JSON.parse(
      readFileSync(join(test.lakeDirectory, 'manifest.json'), 'utf8'),
    ) as LakeManifest
    manifest.schemas['records/news']!.pop()
    writeFileSync(join(test.lakeDirectory, 'manifest.json'), JSON.stringify(manifest))
    await expect(readManifest(test.lake)).rejects.toThrow(/"schemas" has changed/)
  })

  it('have the columns described, by their names and types in DuckDB', async () => {
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' })
    const connection = await instance.connect()
    try {
      for (const dataset of DATASET_NAMES) {
        const writer = createRecordFileWriter({ dataset, source: FEED, rowGroupRows: 5, zstdLevel: 1 })
        const values = datasetDefinition(dataset).columns.map(() => null)
        writer.add({ symbol: 'A', time: 0, key: 'k', recordedAt: 0, deleted: true, values })
        const path = join(test.lakeDirectory, `${dataset}.parquet`)
        writeFileSync(path, writer.finish()!.bytes)
        const result = await connection.runAndReadAll(`DESCRIBE SELECT * FROM read_parquet('${path}')`)
        const found = result.getRowObjectsJson()
        expect(found.map((column) => [column.column_name, column.column_type])).toEqual(
          recordFileSchema(dataset).map(({ name, type }) => [name, duckDbType(type)]),
        )
      }
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
    const all = DATASET_NAMES.flatMap((dataset) => recordFileSchema(dataset))
    expect(
      all.filter(({ meaning }) => (meaning as string | undefined) === undefined || meaning === ''),
    ).toEqual([])
  })

  it('are left out of a database that has no tables of them', async () => {
    await test.sql.exec('DROP TABLE record_file_symbols, record_files')
    const { manifest } = await exportManifest(test.sql, test.lake)
    expect(manifest).toMatchObject({ files: [], totals: { files: 0 } })
    expect(Object.keys(manifest.schemas)).toEqual(['bars'])
  })
})

/** What DuckDB calls a type of the manifest. */
function duckDbType(type: string): string {
  if (type.startsWith('STRING')) return 'VARCHAR'
  if (type.startsWith('TIMESTAMP')) return 'TIMESTAMP'
  return type === 'INT64' ? 'BIGINT' : type
}

describe('docs/how-to/read-the-lake.md', () => {
  const guide = readFileSync(
    join(dirname(fileURLToPath(import.meta.url)), '../../../docs/how-to/read-the-lake.md'),
    'utf8',
  )
  const statements = [...guide.matchAll(/```sql\n([\s\S]*?)\n```/g)].map((match) => match[1]!)
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('postgres')
    const store = await fill(test)
    await store.compact('1d')
    await exportManifest(test.sql, test.lake)
  })
  afterAll(() => test.close())

  it('shows SQL that DuckDB runs, and that finds the bars of the store', async () => {
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(':memory:', { autoinstall_known_extensions: 'false' })
    const connection = await instance.connect()
    const answers = []
    try {
      expect(statements.length).toBeGreaterThanOrEqual(4)
      for (const statement of statements) {
        // The guide's lake and symbol become ours.
        const own = statement
          .replaceAll('/data/lake', test.lakeDirectory)
          .replaceAll("'AAPL'", "'A'")
          .replaceAll('2015-', '1970-')
        const result = await connection.runAndReadAll(own)
        answers.push(result.getRowObjectsJson())
      }
    } finally {
      connection.closeSync()
      instance.closeSync()
    }
    expect(answers.every((rows) => rows.length > 0)).toBe(true)
    const bars = answers.find((rows) => 'open' in (rows[0] ?? {}))!
    // The third session was corrected to 5; the decimal is exact.
    expect(bars.find((row) => String(row.time).startsWith('1970-01-04'))).toMatchObject({
      symbol: 'A',
      open: '0.000005',
    })
    expect(bars.find((row) => String(row.time).startsWith('1970-01-05'))).toMatchObject({ open: '1.234571' })
  })
})
