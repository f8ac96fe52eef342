import { type BarSource } from '@varve/core'
import fc from 'fast-check'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { BarColumns } from '../src/bars/BarColumns.ts'
import { createDuckdbReader, openBarFileReader } from '../src/duckdb/index.ts'
import { createLocalLake } from '../src/lake/localLake.ts'
import {
  type BarFileColumns,
  type BarFileReader,
  type RowFilter,
  createBarFileReader,
} from '../src/lake/parquetReader.ts'
import { createBarFileWriter } from '../src/lake/parquetWriter.ts'
import { DAY, seededRandom } from './support.ts'

const SOURCE: BarSource = { provider: 'file', feed: 'test', adjustment: 'raw' }
const SYMBOLS = Array.from({ length: 60 }, (_, index) => `S${String(index).padStart(3, '0')}`)
const DAYS = 40
const EXTREME = 10n ** 18n - 1n

describe('bar files read by DuckDB', () => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-duckdb-'))
  const lake = createLocalLake({ directory })
  const settings = { lake, footerCacheFiles: 8, footerBytes: 65_536 }
  const duckdb = createDuckdbReader({ lake })
  const hyparquet = createBarFileReader(settings)
  const path = 'bars/one.parquet'
  let reference: { path: string; bytes: number; rows: number }

  beforeAll(async () => {
    const random = seededRandom(11)
    const writer = createBarFileWriter({
      interval: '1d',
      source: SOURCE,
      symbols: SYMBOLS,
      rowGroupRows: 700,
      zstdLevel: 3,
    })
    const columns = new BarColumns()
    for (let series = 0; series < SYMBOLS.length; series++) {
      for (let session = 0; session < DAYS; session++) {
        if (random() < 0.1) continue
        const at = columns.reserve()
        columns.series[at] = series
        columns.time[at] = session * DAY + (session % 3 === 0 ? 1 : 0)
        columns.recorded[at] = 500 * DAY + at
        for (const values of columns.values) {
          values[at] = BigInt(Math.floor(random() * 2 ** 52)) * 200n - 4n * 10n ** 17n
          if (random() < 0.02) values[at] = random() < 0.5 ? EXTREME : -EXTREME
        }
      }
    }
    writer.add(columns, 0, columns.length)
    const content = writer.finish()!
    await lake.write(path, content.bytes)
    reference = { path, bytes: content.bytes.length, rows: content.rows }
  })
  afterAll(async () => {
    await duckdb.close()
    rmSync(directory, { recursive: true, force: true })
  })

  async function rowsOf(
    reader: BarFileReader,
    filter: RowFilter,
    columns?: BarFileColumns,
    file = reference,
  ) {
    const target = new BarColumns()
    await reader.read(file, filter, target, columns)
    return Array.from({ length: target.length }, (_, at) => [
      target.series[at],
      target.time[at],
      ...(columns === 'all' ? [target.recorded[at]] : []),
      ...target.values.map((values) => values[at]),
    ])
  }
  const everything: RowFilter = {
    symbols: SYMBOLS,
    series: SYMBOLS.map((_, index) => index),
    from: SYMBOLS.map(() => -Infinity),
    to: SYMBOLS.map(() => Infinity),
  }

  it('reads the rows hyparquet reads, to the last digit and in the same order, for any filter', async () => {
    const filters = fc.record({
      picked: fc.uniqueArray(fc.nat(SYMBOLS.length + 3), { minLength: 1, maxLength: 25 }),
      ranges: fc.array(fc.tuple(fc.integer({ min: -2, max: DAYS }), fc.nat(DAYS)), {
        minLength: 25,
        maxLength: 25,
      }),
      columns: fc.constantFrom('times', 'values', 'all'),
    })
    await fc.assert(
      fc.asyncProperty(filters, async ({ picked, ranges, columns }) => {
        const symbols = picked.map((index) => SYMBOLS[index] ?? `NONE${index}`).sort()
        const filter: RowFilter = {
          symbols,
          series: symbols.map((_, index) => 100 - index),
          from: symbols.map((_, index) => ranges[index]![0] * DAY),
          to: symbols.map((_, index) => (ranges[index]![0] + ranges[index]![1]) * DAY + 1),
        }
        expect(await rowsOf(duckdb, filter, columns)).toEqual(await rowsOf(hyparquet, filter, columns))
      }),
      { numRuns: 40 },
    )
  })

  it('reads everything, unbounded, however many symbols it names', async () => {
    const expected = await rowsOf(hyparquet, everything, 'all')
    expect(expected).toHaveLength(reference.rows)
    expect(expected.flat()).toContain(EXTREME)
    expect(await rowsOf(duckdb, everything, 'all')).toEqual(expected)
    await using naming = createDuckdbReader({ lake, listedSymbols: 5, threads: 1 })
    expect(await rowsOf(naming, everything, 'all')).toEqual(expected)
  })

  it('would lose digits if values came as JavaScript numbers (control)', async () => {
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    const result = await connection.runAndReadAll('SELECT symbol, open FROM read_parquet($1)', [
      join(directory, path),
    ])
    const exact = (await rowsOf(hyparquet, everything)).map((row) => row[2] as bigint)
    const wrong = result
      .getRowObjectsJS()
      .filter((row, at) => BigInt(Math.round(Number(row.open) * 1e6)) !== exact[at])
    expect(wrong.length).toBeGreaterThan(0)
    connection.closeSync()
    instance.closeSync()
  })

  it('reads several files and filters at once', async () => {
    const one: RowFilter = { symbols: ['S007'], series: [7], from: [0], to: [DAYS * DAY] }
    const expected = await rowsOf(hyparquet, one)
    const all = await Promise.all(Array.from({ length: 12 }, () => rowsOf(duckdb, one)))
    for (const rows of all) expect(rows).toEqual(expected)
  })

  it('refuses a file that is missing, of another size, with other rows or of another format', async () => {
    const wrong = [
      { ...reference, path: 'bars/none.parquet' },
      { ...reference, bytes: reference.bytes + 1 },
      { ...reference, rows: reference.rows + 1 },
    ]
    for (const file of wrong) {
      await using fresh = createDuckdbReader({ lake })
      await expect(rowsOf(fresh, everything, 'all', file)).rejects.toMatchObject({
        code: 'LAKE_UNREADABLE',
        details: { path: file.path },
      })
    }
    const { DuckDBInstance } = await import('@duckdb/node-api')
    const instance = await DuckDBInstance.create(':memory:')
    const connection = await instance.connect()
    const foreign = join(directory, 'bars/foreign.parquet')
    await connection.run(`COPY (SELECT 'A' AS symbol) TO '${foreign}' (FORMAT parquet)`)
    connection.closeSync()
    instance.closeSync()
    await expect(
      rowsOf(duckdb, everything, 'all', {
        path: 'bars/foreign.parquet',
        bytes: readFileSync(foreign).length,
        rows: 1,
      }),
    ).rejects.toThrow(/its format is unknown/)
  })

  it('never answers with other values when a byte of the file has changed', async () => {
    const original = readFileSync(join(directory, path))
    const expected = await rowsOf(hyparquet, everything, 'all')
    const random = seededRandom(3)
    let refused = 0
    for (let turn = 0; turn < 60; turn++) {
      const damaged = Buffer.from(original)
      const at = Math.floor(random() * damaged.length)
      damaged[at]! ^= 1 << Math.floor(random() * 8)
      const name = `bars/damaged-${turn}.parquet`
      writeFileSync(join(directory, name), damaged)
      const target = new BarColumns()
      try {
        expect(await rowsOf(duckdb, everything, 'all', { ...reference, path: name })).toEqual(expected)
      } catch (error) {
        expect(error, `byte ${at}`).toMatchObject({ code: 'LAKE_UNREADABLE' })
        refused++
      }
      expect(target.length).toBe(0)
    }
    expect(refused).toBeGreaterThan(40)
  })

  it('can read its directory and nothing else', async () => {
    const outside = mkdtempSync(join(tmpdir(), 'varve-outside-'))
    const beside = createLocalLake({ directory: outside })
    await beside.write(path, readFileSync(join(directory, path)))
    await using strict = createDuckdbReader({ lake: beside, directory })
    const name = `../${outside.split('/').at(-1)}/${path}`
    // The lake is asked for the size of what it has; the engine is what refuses.
    const lying = { ...beside, size: () => Promise.resolve(reference.bytes) }
    await using tricked = createDuckdbReader({ lake: lying, directory })
    await expect(rowsOf(tricked, everything, 'all', { ...reference, path: name })).rejects.toThrow(
      /disabled by configuration/,
    )
    expect(await rowsOf(strict, everything, 'times')).toHaveLength(reference.rows)
    rmSync(outside, { recursive: true, force: true })
  })

  it('opens what is asked for, and by itself DuckDB for a directory and hyparquet elsewhere', async () => {
    await using local = await openBarFileReader({ ...settings, directory })
    await using elsewhere = await openBarFileReader(settings)
    await using forced = await openBarFileReader({ ...settings, directory, engine: 'hyparquet' })
    expect([local.engine, elsewhere.engine, forced.engine]).toEqual(['duckdb', 'hyparquet', 'hyparquet'])
    expect(await rowsOf(local, everything)).toEqual(await rowsOf(elsewhere, everything))
    await local.close()
    await expect(rowsOf(local, everything)).rejects.toMatchObject({ code: 'LAKE_CLOSED' })
  })
})
