import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { createDuckdbReader, isDuckdbInstalled, openBarFileReader } from '../src/duckdb/index.ts'
import { createLocalLake } from '../src/lake/localLake.ts'
import { createS3Lake } from '../src/s3/index.ts'
import { BarColumns } from '../src/bars/BarColumns.ts'

vi.mock('@duckdb/node-api', () => {
  throw new Error("Cannot find package '@duckdb/node-api'")
})
vi.mock('@aws-sdk/client-s3', () => {
  throw new Error("Cannot find package '@aws-sdk/client-s3'")
})

describe('where an optional package is not installed', () => {
  const directory = mkdtempSync(join(tmpdir(), 'varve-drivers-'))
  const lake = createLocalLake({ directory })
  afterAll(() => rmSync(directory, { recursive: true, force: true }))

  it('reads by hyparquet unless DuckDB was asked for by name', async () => {
    expect(await isDuckdbInstalled()).toBe(false)
    const options = { lake, directory, footerCacheFiles: 1, footerBytes: 1024 }
    expect((await openBarFileReader(options)).engine).toBe('hyparquet')
    await using reader = createDuckdbReader({ lake })
    const filter = { symbols: ['A'], series: [0], from: [0], to: [1] }
    await expect(
      reader.read({ path: 'bars/a.parquet', bytes: 1, rows: 1 }, filter, new BarColumns()),
    ).rejects.toMatchObject({ code: 'LAKE_DRIVER_MISSING', details: { package: '@duckdb/node-api' } })
  })

  it('says what a lake on S3 needs', async () => {
    await using remote = createS3Lake({ bucket: 'lake' })
    await expect(remote.size('bars/a')).rejects.toMatchObject({
      code: 'LAKE_DRIVER_MISSING',
      details: { package: '@aws-sdk/client-s3' },
    })
  })
})
