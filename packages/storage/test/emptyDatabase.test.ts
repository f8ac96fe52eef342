import { PGlite } from '@electric-sql/pglite'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unpackEmptyDatabase, writeEmptyDatabase } from '../src/hot/emptyDatabase.ts'

describe('the empty database made at build time', () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-empty-'))
  let archive = ''
  beforeAll(async () => {
    archive = await writeEmptyDatabase(root)
  })
  afterAll(() => {
    rmSync(root, { recursive: true, force: true })
  })

  it('unpacks into a folder the engine opens without initdb, and is small', async () => {
    const folder = join(root, 'pg')
    expect(await unpackEmptyDatabase(folder, pathToFileURL(archive))).toBe(true)
    expect(readFileSync(join(folder, 'PG_VERSION'), 'utf8').trim()).toBe('18')
    const identifier = readFileSync(join(folder, 'global', 'pg_control')).readBigUInt64LE(0)
    const database = await PGlite.create(folder)
    const { rows } = await database.query(
      'SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = $1',
      ['public'],
    )
    expect(rows).toEqual([{ tables: 0 }])
    await database.close()
    // The same cluster: initdb would have made another.
    expect(readFileSync(join(folder, 'global', 'pg_control')).readBigUInt64LE(0)).toBe(identifier)
    expect(readFileSync(archive).length).toBeLessThan(3_000_000)
  })

  it('is left out, whole, when it is damaged or missing', async () => {
    const damaged = readFileSync(archive)
    damaged[damaged.length >> 1]! ^= 1
    const path = join(root, 'damaged.zst')
    writeFileSync(path, damaged)
    const folder = join(root, 'none')
    expect(await unpackEmptyDatabase(folder, pathToFileURL(path))).toBe(false)
    expect(await unpackEmptyDatabase(folder, pathToFileURL(join(root, 'missing.zst')))).toBe(false)
    expect(existsSync(folder)).toBe(false)
  })

  it('is made once', async () => {
    const before = readdirSync(root).sort()
    expect(await writeEmptyDatabase(root)).toBe(archive)
    expect(readdirSync(root).sort()).toEqual(before)
  })
})
