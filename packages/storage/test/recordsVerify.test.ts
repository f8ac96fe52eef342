import { VarveError, sha256Hex } from '@varve/core'
import { appendFileSync, copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createBarStore } from '../src/index.ts'
import { joinVerifyResults } from '../src/lake/checkCatalog.ts'
import { type LakeProblemKind, checkLakeFile } from '../src/lake/checkFile.ts'
import { exportManifest } from '../src/lake/index.ts'
import type { LakeFiles } from '../src/lake/LakeFiles.ts'
import { JsonValue } from '../src/records/columns.ts'
import { DATASETS, type RecordStore, createRecordStore } from '../src/records/index.ts'
import { scanRecordFile } from '../src/records/verifyScan.ts'
import { createMemoryLake } from './recordsSupport.ts'
import {
  DAYS,
  type FileRow,
  SYMBOLS,
  at,
  keysOnly,
  newsRows,
  ofCatalog,
  openFilled,
  sized,
  swapped,
  whole,
  withValue,
  written,
} from './recordsVerifySupport.ts'
import { type TestStore, batchOf, day } from './support.ts'

describe('verifying records on pglite', () => {
  it('finds nothing in a lake that is whole, and the fault in one that is not', async () => {
    const { test, store, files } = await openFilled('pglite')
    const rows = 3 * SYMBOLS.length * DAYS + 1
    expect(await store.verify()).toEqual({ files: 4, rows, problems: [], orphans: [] })
    await test.lake.delete(files[3]!.path)
    expect((await store.verify()).problems).toMatchObject([{ kind: 'missing', path: files[3]!.path }])
    await test.close()
  })
})

describe('verifying records', () => {
  let test: TestStore
  let store: RecordStore
  let files: FileRow[]
  const originals = new Map<string, Uint8Array>()
  beforeAll(async () => {
    ;({ test, store, files } = await openFilled('postgres'))
    for (const file of files) originals.set(file.path, new Uint8Array(readFileSync(onDisk(file))))
  })
  afterAll(() => test.close())

  const onDisk = (file: { readonly path: string }) => join(test.lakeDirectory, file.path)
  const second = () => files[1]!
  const kinds = async () => (await store.verify()).problems.map(({ kind, path }) => `${kind} ${path}`)
  const storeOn = (lake: LakeFiles) => createRecordStore({ sql: test.sql, lake })
  /** What a verifier finds that looks at sizes alone. */
  const sizesOnly = async () => {
    const { rows } = await test.sql.query<FileRow>(
      'SELECT path, bytes FROM record_files WHERE removed_at IS NULL',
    )
    const wrong = []
    for (const row of rows) if ((await test.lake.size(row.path)) !== Number(row.bytes)) wrong.push(row.path)
    return wrong
  }
  let mend: (() => Promise<unknown>) | undefined
  afterEach(async () => {
    await mend?.()
    mend = undefined
    for (const [path, content] of originals) writeFileSync(onDisk({ path }), content)
  })

  it('finds nothing in a lake that is whole', async () => {
    const rows = 3 * SYMBOLS.length * DAYS + 1
    expect(await store.verify()).toEqual({ files: 4, rows, problems: [], orphans: [] })
  })

  /** A file the catalog vouches for, by hash and size. */
  const vouchedFor = async (file: FileRow, content: Uint8Array) => {
    writeFileSync(onDisk(file), content)
    await test.sql.query('UPDATE record_files SET sha256 = $2, bytes = $3 WHERE id = $1', [
      file.id,
      sha256Hex(content),
      content.length,
    ])
  }
  const unvouch = (file: FileRow) =>
    test.sql.query('UPDATE record_files SET sha256 = $2, bytes = $3 WHERE id = $1', [
      file.id,
      file.sha256,
      file.bytes,
    ])
  it('can make the very file that is stored (control of what is planted below)', () => {
    expect(sha256Hex(written(newsRows((row) => row)))).toBe(second().sha256)
  })

  interface Plant {
    readonly what: string
    readonly kind: LakeProblemKind
    readonly bySize?: true
    readonly plant: (file: FileRow) => unknown
    readonly mend?: (file: FileRow) => Promise<unknown>
    readonly says?: RegExp
  }
  /** Faults of the file itself. */
  const ofFiles: readonly Plant[] = [
    {
      what: 'a file that is gone',
      kind: 'missing',
      bySize: true,
      plant: (file) => test.lake.delete(file.path),
    },
    {
      what: 'a file cut short',
      kind: 'truncated',
      bySize: true,
      plant: (file) => truncateSync(onDisk(file), Number(file.bytes) - 9),
    },
    {
      what: 'a file emptied',
      kind: 'truncated',
      bySize: true,
      plant: (file) => truncateSync(onDisk(file), 0),
    },
    {
      what: 'a file with more behind it',
      kind: 'size',
      bySize: true,
      plant: (file) => appendFileSync(onDisk(file), 'more'),
    },
    {
      what: 'the file of another dataset in its place',
      kind: 'replaced',
      bySize: true,
      plant: (file) => copyFileSync(onDisk(files[3]!), onDisk(file)),
    },
    {
      what: 'other records of the same size in its place',
      kind: 'replaced',
      plant: (file) =>
        writeFileSync(
          onDisk(file),
          sized(file, (extra) =>
            written(
              newsRows((row) => ({
                ...row,
                symbol: row.symbol === 'ZTS' ? 'ZZZ' : row.symbol,
                key: `${row.key}${extra}`,
              })),
            ),
          ),
        ),
    },
    {
      what: 'bytes written over by zeros',
      kind: 'damaged',
      plant: (file) => writeFileSync(onDisk(file), Buffer.alloc(Number(file.bytes))),
    },
    {
      what: 'something that was never a record file',
      kind: 'unreadable',
      plant: (file) => vouchedFor(file, Buffer.alloc(Number(file.bytes), 'x')),
      mend: unvouch,
    },
    {
      what: 'a file of a format this version does not read',
      kind: 'unreadable',
      plant: (file) =>
        vouchedFor(
          file,
          keysOnly(
            newsRows((row) => row),
            'records/9',
          ),
        ),
      mend: unvouch,
      says: /its format is records\/9/,
    },
    {
      what: 'a value that is no JSON',
      kind: 'unreadable',
      plant: (file) => vouchedFor(file, withValue(11, new JsonValue('{half'))),
      mend: unvouch,
      says: /no record file: .*JSON/,
    },
    {
      what: 'rows out of order',
      kind: 'catalog',
      plant: (file) =>
        vouchedFor(
          file,
          keysOnly(
            swapped(
              newsRows((row) => row),
              2,
              3,
            ),
          ),
        ),
      mend: unvouch,
      says: /not in order/,
    },
    {
      what: 'a version that comes twice',
      kind: 'catalog',
      plant: (file) =>
        vouchedFor(
          file,
          keysOnly(newsRows((row) => row).map((row, index, all) => (index === 4 ? all[3]! : row))),
        ),
      mend: unvouch,
      says: /one comes twice/,
    },
    {
      what: 'a row too few',
      kind: 'catalog',
      plant: (file) => vouchedFor(file, written(newsRows((row) => row).slice(1))),
      mend: unvouch,
      says: /17 rows where the catalog says 18/,
    },
  ]
  const planted: readonly Plant[] = [
    ...ofFiles,
    ...ofCatalog.map(([what, plant, mended, says]) => ({
      what: `a catalog that says ${what}`,
      kind: 'catalog' as const,
      ...(what === 'another size' ? { bySize: true as const } : {}),
      plant: (file: FileRow) => test.sql.query(plant, [file.id]),
      mend: (file: FileRow) => test.sql.query(mended, [file.id]),
      says,
    })),
  ]

  it.each(planted)('finds $what and calls it $kind', async ({ kind, plant, mend: repair, bySize, says }) => {
    mend = () => Promise.resolve(repair?.(second()))
    await plant(second())
    const { problems, rows } = await store.verify()
    expect(problems.map((problem) => `${problem.kind} ${problem.path}`)).toEqual([`${kind} ${second().path}`])
    expect(problems[0]!.problem).toMatch(says ?? /./)
    expect(rows).toBe(2 * SYMBOLS.length * DAYS + 1)
    // Control: what a look at the sizes finds.
    expect(await sizesOnly()).toEqual(bySize === true ? [second().path] : [])
  })

  it('would miss most of these if it looked at sizes alone (control)', () => {
    expect(planted.filter(({ bySize }) => bySize !== true).length).toBeGreaterThan(planted.length / 2)
  })

  it('finds nothing wrong with a file written before a column was added', async () => {
    mend = () => unvouch(second())
    await vouchedFor(second(), keysOnly(newsRows((row) => row)))
    expect(await kinds()).toEqual([])
  })

  it('finds a flipped bit wherever it is', async () => {
    const { path, sha256 } = second()
    const original = originals.get(path)!
    const file = {
      ...{ path, sha256, bytes: original.length, rows: SYMBOLS.length * DAYS },
      ...{ symbolMin: 'AAPL', symbolMax: 'ZTS', timeMin: at(DAYS), timeMax: at(2 * DAYS - 1) },
      labels: new Map([['varve.dataset', 'news']]),
      series: new Map(
        SYMBOLS.map((symbol) => [symbol, { rows: DAYS, timeMin: at(DAYS), timeMax: at(2 * DAYS - 1) }]),
      ),
    }
    const lake = createMemoryLake()
    const kind = {
      what: 'record file',
      footerBytes: 512,
      scan: (_: string, size: number) => scanRecordFile(lake, path, size, DATASETS.news.columns, 512),
    }
    const check = () => checkLakeFile(lake, file, kind, 1000)
    const footerAt = original.length - 8 - Buffer.from(original).readUInt32LE(original.length - 8)
    expect(footerAt).toBeGreaterThan(original.length / 4)
    await lake.write(path, original)
    expect(await check()).toBeUndefined()
    for (let byte = 0; byte < original.length; byte += 3) {
      const damaged = original.slice()
      damaged[byte]! ^= 1 << (byte % 8)
      await lake.write(path, damaged)
      // A footer may come to tell of other rows; a page is never decoded before its hash is right.
      const expected = byte < footerAt ? ['damaged'] : ['damaged', 'replaced']
      expect(expected, `byte ${byte}`).toContain((await check())?.kind)
    }
  })

  it('finds a file that no symbol of the catalog refers to', async () => {
    const { rows } = await test.sql.query<{ symbol: string; time_min: Date; time_max: Date; rows: number }>(
      'DELETE FROM record_file_symbols WHERE file_id = $1 RETURNING symbol, time_min, time_max, rows',
      [second().id],
    )
    mend = async () => {
      for (const row of rows)
        await test.sql.query('INSERT INTO record_file_symbols VALUES ($1, $2, $3, $4, $5)', [
          second().id,
          row.symbol,
          row.time_min,
          row.time_max,
          row.rows,
        ])
    }
    expect(await kinds()).toEqual([`unreferenced ${second().path}`])
  })

  it('finds content that is registered twice', async () => {
    const twin = `${second().path}.again`
    mend = async () => {
      await test.sql.query('DELETE FROM record_files WHERE path = $1', [twin])
      await test.lake.delete(twin)
    }
    await test.lake.write(twin, originals.get(second().path)!)
    await test.sql.query(
      `INSERT INTO record_files (path, dataset, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at)
       SELECT $2, dataset, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at FROM record_files WHERE id = $1`,
      [second().id, twin],
    )
    await test.sql.query(
      `INSERT INTO record_file_symbols (file_id, symbol, time_min, time_max, rows)
       SELECT (SELECT id FROM record_files WHERE path = $2), symbol, time_min, time_max, rows FROM record_file_symbols WHERE file_id = $1`,
      [second().id, twin],
    )
    expect(await kinds()).toEqual([`duplicate ${twin}`])
  })

  it('reports orphans and leftovers of writes apart, and not files that wait for the sweep', async () => {
    await test.lake.write('records/news/lost.parquet', originals.get(second().path)!)
    await test.lake.write('bars/not-of-records.parquet', originals.get(second().path)!)
    writeFileSync(onDisk({ path: 'records/half.parquet.1234.tmp' }), 'half')
    await test.sql.query('UPDATE record_files SET removed_at = now() WHERE id = $1', [second().id])
    mend = async () => {
      await test.sql.query('UPDATE record_files SET removed_at = NULL WHERE id = $1', [second().id])
      for (const path of ['records/news/lost.parquet', 'records/half.parquet.1234.tmp'])
        await test.lake.delete(path)
      await test.lake.delete('bars/not-of-records.parquet')
    }
    const { files: live, problems, orphans } = await store.verify()
    expect({ live, problems }).toEqual({ live: 3, problems: [] })
    expect(orphans.map(({ kind, path }) => `${kind} ${path}`).sort()).toEqual([
      'orphan records/news/lost.parquet',
      'temporary records/half.parquet.1234.tmp',
    ])
  })

  it('compares the manifest with the catalog of records', async () => {
    await exportManifest(test.sql, test.lake)
    mend = () => test.lake.delete('manifest.json')
    expect(await kinds()).toEqual([])
    const during = async (change: string, undo: string) => {
      await test.sql.query(change, [second().id])
      const { problems } = await store.verify()
      await test.sql.query(undo, [second().id])
      return problems.filter(({ kind }) => kind === 'manifest')
    }
    expect(
      await during(`${whole} rows = rows + 1 WHERE id = $1`, `${whole} rows = rows - 1 WHERE id = $1`),
    ).toMatchObject([{ path: second().path, problem: expect.stringContaining('says 18 rows') as string }])
    expect(
      await during(`${whole} symbol_max = 'ZTT' WHERE id = $1`, `${whole} symbol_max = 'ZTS' WHERE id = $1`),
    ).toMatchObject([{ path: second().path, problem: expect.stringContaining('AAPL to ZTS') as string }])
    const moved = await during(
      `${whole} path = path || '.moved' WHERE id = $1`,
      `${whole} path = replace(path, '.moved', '') WHERE id = $1`,
    )
    expect(moved).toEqual([
      { path: second().path, kind: 'manifest', problem: 'the manifest names it, the catalog no longer does' },
    ])
    // A file replaced since the export is no fault.
    expect(
      await during(`${whole} removed_at = now() WHERE id = $1`, `${whole} removed_at = NULL WHERE id = $1`),
    ).toEqual([])
  })

  it('makes one result of bars and records, in which a damaged manifest is told once', async () => {
    const bars = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1 })
    const batch = batchOf([
      ['A', day(1), 5],
      ['A', day(2), 6],
    ])
    const staged = await bars.stage(batch, { hotFrom: () => day(200), initialWatermark: day(200) })
    await test.sql.tx((tx) => bars.commit(tx, staged))
    await exportManifest(test.sql, test.lake)
    mend = () => test.lake.delete('manifest.json')
    const joined = async () => joinVerifyResults(await bars.verify(), await store.verify())
    const rows = 3 * SYMBOLS.length * DAYS + 1
    expect(await joined()).toEqual({ files: 5, rows: rows + 2, problems: [], orphans: [] })
    const text = readFileSync(onDisk({ path: 'manifest.json' }), 'utf8')
    writeFileSync(onDisk({ path: 'manifest.json' }), text.replace(second().sha256, '0'.repeat(64)))
    truncateSync(onDisk(second()), 3)
    expect((await joined()).problems.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'manifest manifest.json',
      `truncated ${second().path}`,
    ])
  })

  it('calls no file damaged because the lake does not answer', async () => {
    const outage = new VarveError('no answer', { code: 'LAKE_UNREACHABLE', retryable: true })
    const away: LakeFiles = { ...test.lake, read: () => Promise.reject(outage) }
    await expect(storeOn(away).verify()).rejects.toBe(outage)
    // Hashed while it answers, away while it is decoded.
    let reads = 0
    const sleepy: LakeFiles = {
      ...test.lake,
      read: (...range) => (++reads > 2 ? Promise.reject(outage) : test.lake.read(...range)),
    }
    await expect(storeOn(sleepy).verify()).rejects.toBe(outage)
  })

  it('ends between two files when it is told to', async () => {
    const controller = new AbortController()
    const stopping: LakeFiles = {
      ...test.lake,
      size: (path) => {
        controller.abort(new Error('enough'))
        return test.lake.size(path)
      },
    }
    await expect(storeOn(stopping).verify({ signal: controller.signal })).rejects.toThrow('enough')
    await expect(store.verify({ blockBytes: 0 })).rejects.toMatchObject({ code: 'OPTION_INVALID' })
    expect(await store.verify({ blockBytes: 7 })).toMatchObject({ problems: [] })
  })

  it('finds nothing after files were merged and swept', async () => {
    const merged = await store.compact('news', { force: true })
    expect(merged).toMatchObject({ filesBefore: 3, filesAfter: 1 })
    const rows = 3 * SYMBOLS.length * DAYS + 1
    expect(await store.verify()).toEqual({ files: 2, rows, problems: [], orphans: [] })
  })
})
