import { VarveError, sha256Hex } from '@varve/core'
import { appendFileSync, copyFileSync, readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { BarColumns } from '../src/bars/BarColumns.ts'
import { storeContext } from '../src/bars/options.ts'
import { verifyLake } from '../src/bars/verify.ts'
import { createBarStore } from '../src/index.ts'
import { type LakeProblemKind, checkBarFile } from '../src/lake/checkBarFile.ts'
import { exportManifest } from '../src/lake/index.ts'
import type { LakeFiles } from '../src/lake/LakeFiles.ts'
import { createBarFileWriter } from '../src/lake/parquetWriter.ts'
import { SIP, type TestStore, batchOf, day, openTestStore } from './support.ts'

interface FileRow {
  readonly id: bigint
  readonly path: string
  readonly bytes: bigint
  readonly rows: bigint
  readonly sha256: string
}

const SESSIONS = 12

describe('verifying the lake', () => {
  let test: TestStore
  let files: FileRow[]
  const originals = new Map<string, Uint8Array>()

  beforeAll(async () => {
    test = await openTestStore('postgres')
    const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 3 })
    // Each load below the watermark makes a file of its own.
    for (let load = 0; load < 3; load++) {
      const rows = ['A', 'B', 'C'].flatMap((symbol, index) =>
        Array.from(
          { length: SESSIONS },
          (_, session) => [symbol, day(load * SESSIONS + session), 100 + 7 * index + session] as const,
        ),
      )
      const staged = await store.stage(batchOf(rows), { hotFrom: () => day(200), initialWatermark: day(200) })
      await test.sql.tx((tx) => store.commit(tx, staged))
    }
    const found = await test.sql.query<FileRow>(
      'SELECT id, path, bytes, rows, sha256 FROM lake_files ORDER BY id',
    )
    files = [...found.rows]
    for (const file of files)
      originals.set(file.path, new Uint8Array(readFileSync(join(test.lakeDirectory, file.path))))
  })
  afterAll(() => test.close())

  const verify = (lake: LakeFiles = test.lake) => verifyLake(storeContext({ sql: test.sql, lake }), undefined)
  const onDisk = (file: FileRow) => join(test.lakeDirectory, file.path)
  const kinds = async () => (await verify()).problems.map(({ kind, path }) => `${kind} ${path}`)
  /** What a verifier finds that looks at sizes alone. */
  const sizesOnly = async () => {
    const { rows } = await test.sql.query<FileRow>(
      'SELECT path, bytes FROM lake_files WHERE removed_at IS NULL',
    )
    const wrong = []
    for (const row of rows) if ((await test.lake.size(row.path)) !== Number(row.bytes)) wrong.push(row.path)
    return wrong
  }
  const otherFile = () => {
    const writer = createBarFileWriter({
      interval: '1d',
      source: SIP,
      symbols: ['A'],
      rowGroupRows: 100,
      zstdLevel: 3,
    })
    const columns = new BarColumns()
    columns.reserve()
    writer.add(columns, 0, 1)
    return writer.finish()!.bytes
  }

  it('finds nothing in a lake that is whole', async () => {
    expect(files).toHaveLength(3)
    expect(await verify()).toEqual({ files: 3, rows: 3 * 3 * SESSIONS, problems: [], orphans: [] })
  })

  /** Each plants one fault in the second file, says what is found, and how the catalog is mended again. */
  const planted: readonly {
    readonly what: string
    readonly kind: LakeProblemKind
    readonly bySize?: true
    readonly plant: (file: FileRow) => unknown
    readonly mend?: (file: FileRow) => Promise<unknown>
  }[] = [
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
      what: 'another Parquet file in its place',
      kind: 'replaced',
      bySize: true,
      plant: (file) => writeFileSync(onDisk(file), otherFile()),
    },
    {
      what: 'the file of another load in its place',
      kind: 'replaced',
      plant: (file) => copyFileSync(onDisk(files[2]!), onDisk(file)),
    },
    {
      what: 'bytes written over by zeros',
      kind: 'damaged',
      plant: (file) => writeFileSync(onDisk(file), Buffer.alloc(Number(file.bytes))),
    },
    {
      what: 'something that was never a bar file',
      kind: 'unreadable',
      plant: (file) => {
        const garbage = Buffer.alloc(Number(file.bytes), 'x')
        writeFileSync(onDisk(file), garbage)
        return test.sql.query('UPDATE lake_files SET sha256 = $2 WHERE id = $1', [
          file.id,
          sha256Hex(garbage),
        ])
      },
      mend: (file) =>
        test.sql.query('UPDATE lake_files SET sha256 = $2 WHERE id = $1', [file.id, file.sha256]),
    },
    ...(
      [
        [
          'another number of rows',
          'UPDATE lake_files SET rows = rows + 1 WHERE id = $1',
          'UPDATE lake_files SET rows = rows - 1 WHERE id = $1',
        ],
        [
          'another size',
          'UPDATE lake_files SET bytes = bytes + 1 WHERE id = $1',
          'UPDATE lake_files SET bytes = bytes - 1 WHERE id = $1',
        ],
        [
          'an earlier begin',
          "UPDATE lake_files SET time_min = time_min - interval '1 day' WHERE id = $1",
          "UPDATE lake_files SET time_min = time_min + interval '1 day' WHERE id = $1",
        ],
        [
          'an earlier end',
          "UPDATE lake_files SET time_max = time_max - interval '1 day' WHERE id = $1",
          "UPDATE lake_files SET time_max = time_max + interval '1 day' WHERE id = $1",
        ],
        [
          'another first symbol',
          "UPDATE lake_files SET symbol_min = 'AA' WHERE id = $1",
          "UPDATE lake_files SET symbol_min = 'A' WHERE id = $1",
        ],
        [
          'another last symbol',
          "UPDATE lake_files SET symbol_max = 'BB' WHERE id = $1",
          "UPDATE lake_files SET symbol_max = 'C' WHERE id = $1",
        ],
        [
          'another SHA-256',
          "UPDATE lake_files SET sha256 = repeat('0', 64) WHERE id = $1",
          "UPDATE lake_files SET sha256 = split_part(reverse(split_part(reverse(path), '/', 1)), '.', 1) WHERE id = $1",
        ],
        [
          'another interval',
          "UPDATE lake_files SET interval = '1h' WHERE id = $1",
          "UPDATE lake_files SET interval = '1d' WHERE id = $1",
        ],
        [
          'other rows of one series',
          "UPDATE lake_file_series SET rows = rows + 1 WHERE file_id = $1 AND series_id = (SELECT id FROM series WHERE symbol = 'B')",
          "UPDATE lake_file_series SET rows = rows - 1 WHERE file_id = $1 AND series_id = (SELECT id FROM series WHERE symbol = 'B')",
        ],
        [
          'another end of one series',
          "UPDATE lake_file_series SET time_max = time_max - interval '1 day' WHERE file_id = $1 AND series_id = (SELECT id FROM series WHERE symbol = 'B')",
          "UPDATE lake_file_series SET time_max = time_max + interval '1 day' WHERE file_id = $1 AND series_id = (SELECT id FROM series WHERE symbol = 'B')",
        ],
      ] as const
    ).map(([what, plant, mend]) => ({
      what: `a catalog that says ${what}`,
      kind: 'catalog' as const,
      ...(what === 'another size' ? { bySize: true as const } : {}),
      plant: (file: FileRow) => test.sql.query(plant, [file.id]),
      mend: (file: FileRow) => test.sql.query(mend, [file.id]),
    })),
  ]
  const second = () => files[1]!
  let mend: (() => Promise<unknown>) | undefined
  afterEach(async () => {
    await mend?.()
    mend = undefined
    for (const [path, content] of originals) writeFileSync(join(test.lakeDirectory, path), content)
  })

  it.each(planted)('finds $what and calls it $kind', async ({ kind, plant, mend: repair, bySize }) => {
    mend = () => Promise.resolve(repair?.(second()))
    await plant(second())
    expect(await kinds()).toEqual([`${kind} ${second().path}`])
    // Control: what a look at the sizes finds.
    expect(await sizesOnly()).toEqual(bySize === true ? [second().path] : [])
  })

  it('would miss most of these if it looked at sizes alone (control)', () => {
    expect(planted.filter(({ bySize }) => bySize !== true).length).toBeGreaterThan(planted.length / 2)
  })

  it('finds a flipped bit wherever it is', async () => {
    const file = second()
    const original = originals.get(file.path)!
    const context = storeContext({ sql: test.sql, lake: test.lake })
    for (let at = 0; at < original.length; at += 11) {
      const damaged = original.slice()
      damaged[at]! ^= 1 << (at % 8)
      const lake = lakeOf(new Map([[file.path, damaged]]))
      const found = await checkBarFile(
        lake,
        {
          path: file.path,
          bytes: Number(file.bytes),
          rows: Number(file.rows),
          sha256: file.sha256,
          symbolMin: 'A',
          symbolMax: 'C',
          timeMin: 0,
          timeMax: 0,
          labels: new Map(),
          series: new Map(),
        },
        context.verifyBlockBytes,
      )
      expect(['damaged', 'replaced'], `byte ${at}`).toContain(found?.kind)
    }
  })

  it('finds a series that the catalog forgot, and a file that no series refers to', async () => {
    const file = second()
    const kept = await test.sql.query<{ series_id: number; time_min: Date; time_max: Date; rows: number }>(
      'SELECT series_id, time_min, time_max, rows FROM lake_file_series WHERE file_id = $1',
      [file.id],
    )
    mend = async () => {
      for (const row of kept.rows)
        await test.sql.query(
          'INSERT INTO lake_file_series (series_id, file_id, time_min, time_max, rows) VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING',
          [row.series_id, file.id, row.time_min, row.time_max, row.rows],
        )
    }
    await test.sql.query(
      "DELETE FROM lake_file_series WHERE file_id = $1 AND series_id = (SELECT id FROM series WHERE symbol = 'C')",
      [file.id],
    )
    expect((await verify()).problems).toEqual([
      {
        path: file.path,
        kind: 'catalog',
        problem: expect.stringContaining('of C, of which the catalog knows nothing') as string,
      },
    ])
    await test.sql.query('DELETE FROM lake_file_series WHERE file_id = $1', [file.id])
    expect(await kinds()).toEqual([`unreferenced ${file.path}`])
  })

  it('finds content that is registered twice', async () => {
    const file = second()
    const twin = `${file.path}.again`
    mend = async () => {
      await test.sql.query('DELETE FROM lake_files WHERE path = $1', [twin])
      await test.lake.delete(twin)
    }
    await test.lake.write(twin, originals.get(file.path)!)
    await test.sql.query(
      `INSERT INTO lake_files (path, interval, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at)
       SELECT $2, interval, source_id, symbol_min, symbol_max, time_min, time_max, rows, bytes, sha256, created_at FROM lake_files WHERE id = $1`,
      [file.id, twin],
    )
    await test.sql.query(
      `INSERT INTO lake_file_series (series_id, file_id, time_min, time_max, rows)
       SELECT series_id, (SELECT id FROM lake_files WHERE path = $2), time_min, time_max, rows FROM lake_file_series WHERE file_id = $1`,
      [file.id, twin],
    )
    expect(await kinds()).toEqual([`duplicate ${twin}`])
  })

  it('reports orphans and leftovers of writes apart, and not files that wait for the sweep', async () => {
    await test.lake.write('bars/interval=1d/lost.parquet', otherFile())
    writeFileSync(join(test.lakeDirectory, 'bars/half.parquet.1234.tmp'), 'half')
    await test.sql.query('UPDATE lake_files SET removed_at = now() WHERE id = $1', [second().id])
    mend = async () => {
      await test.sql.query('UPDATE lake_files SET removed_at = NULL WHERE id = $1', [second().id])
      await test.lake.delete('bars/interval=1d/lost.parquet')
      await test.lake.delete('bars/half.parquet.1234.tmp')
    }
    const { files: live, problems, orphans } = await verify()
    expect({ live, problems }).toEqual({ live: 2, problems: [] })
    expect(orphans.map(({ kind, path }) => `${kind} ${path}`).sort()).toEqual([
      'orphan bars/interval=1d/lost.parquet',
      'temporary bars/half.parquet.1234.tmp',
    ])
  })

  it('compares the manifest with the catalog', async () => {
    await exportManifest(test.sql, test.lake)
    mend = () => test.lake.delete('manifest.json')
    expect(await kinds()).toEqual([])
    const text = readFileSync(join(test.lakeDirectory, 'manifest.json'), 'utf8')
    writeFileSync(join(test.lakeDirectory, 'manifest.json'), text.replace(second().sha256, '0'.repeat(64)))
    expect(await kinds()).toEqual(['manifest manifest.json'])
    writeFileSync(join(test.lakeDirectory, 'manifest.json'), text)
    await test.sql.query('UPDATE lake_files SET path = $2 WHERE id = $1', [second().id, 'bars/moved.parquet'])
    const moved = await verify()
    await test.sql.query('UPDATE lake_files SET path = $2 WHERE id = $1', [second().id, second().path])
    expect(moved.problems.map(({ kind, path }) => `${kind} ${path}`)).toEqual([
      'missing bars/moved.parquet',
      `manifest ${second().path}`,
    ])
    await test.sql.query("UPDATE lake_files SET symbol_min = 'AA' WHERE id = $1", [second().id])
    const renamed = await kinds()
    await test.sql.query("UPDATE lake_files SET symbol_min = 'A' WHERE id = $1", [second().id])
    expect(renamed).toEqual([`catalog ${second().path}`, `manifest ${second().path}`])
    await test.sql.query('UPDATE lake_files SET removed_at = now() WHERE id = $1', [second().id])
    expect(await kinds()).toEqual([])
    await test.sql.query('UPDATE lake_files SET removed_at = NULL WHERE id = $1', [second().id])
  })

  it('calls no file damaged because the lake does not answer', async () => {
    const outage = new VarveError('no answer', { code: 'LAKE_UNREACHABLE', retryable: true })
    const away: LakeFiles = { ...test.lake, read: () => Promise.reject(outage) }
    await expect(verify(away)).rejects.toBe(outage)
  })
})

/** A lake that holds these files and cannot be written. */
function lakeOf(files: ReadonlyMap<string, Uint8Array>): LakeFiles {
  const refuse = () => Promise.reject(new Error('read only'))
  return {
    location: 'memory',
    write: refuse,
    delete: refuse,
    size: (path) => Promise.resolve(files.get(path)?.length),
    read: (path, start, end) => {
      const content = files.get(path)
      return content === undefined || end > content.length
        ? Promise.reject(new Error('shorter'))
        : Promise.resolve(new Uint8Array(content.slice(start, end)))
    },
    async *list() {},
  }
}
