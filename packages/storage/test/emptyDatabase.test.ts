import { PGlite } from '@electric-sql/pglite'
import { existsSync, mkdtempSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { unpackEmptyDatabase, writeEmptyDatabase } from '../src/hot/emptyDatabase.ts'

describe('the empty database made at build time', () => {
  const root = mkdtempSync(join(tmpdir(), 'varve-empty-'))
  let archive = ''
  beforeAll(async () => {
    writeFileSync(join(root, 'emptyDatabase-0.0.1.tar.zst'), 'of another version')
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
    // The first segment of the log keeps its length though its zeros were not written.
    const [segment] = readdirSync(join(folder, 'pg_wal')).filter((name) => /^[0-9A-F]{24}$/.test(name))
    expect(statSync(join(folder, 'pg_wal', segment!)).size).toBe(16 << 20)
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    expect(files.length).toBeLessThan(450)
    const database = await PGlite.create(folder)
    const { rows } = await database.query(
      'SELECT count(*)::int AS tables FROM pg_tables WHERE schemaname = $1',
      ['public'],
    )
    expect(rows).toEqual([{ tables: 0 }])
    expect((await database.query('SELECT datname FROM pg_database')).rows).toEqual([{ datname: 'postgres' }])
    await database.exec('CREATE TABLE filled AS SELECT generate_series(1, 1000) AS n')
    await database.exec('VACUUM')
    await database.close()
    const again = await PGlite.create(folder)
    expect((await again.query('SELECT count(*)::int AS n FROM filled')).rows).toEqual([{ n: 1000 }])
    await again.close()
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

  it('is made once, and replaces what another version left', async () => {
    const before = readdirSync(root).sort()
    expect(await writeEmptyDatabase(root)).toBe(archive)
    expect(readdirSync(root).sort()).toEqual(before)
    expect(before).toContain(basename(archive))
    expect(before).not.toContain('emptyDatabase-0.0.1.tar.zst')
  })
})
