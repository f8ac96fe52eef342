import { type Migration, applyMigrations } from '@varve/core'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createBackup, migrateWithBackup, restoreBackup, serverScratch } from '../src/backup/index.ts'
import { createLocalLake, createPostgresClient } from '../src/index.ts'
import { type TestStore, engines, openTestStore } from './support.ts'

/** A database of its own beside the store's tables. */
const FIRST: Migration = {
  id: 'test/0001-trades',
  sql: 'CREATE TABLE trades (id int PRIMARY KEY, price numeric(18,6)); CREATE TABLE notes (trade int)',
}
const harmless: Migration = { id: 'test/0002-note', sql: 'ALTER TABLE trades ADD COLUMN note text' }
const references = [{ table: 'notes', column: 'trade', to: 'trades', toColumn: 'id' }]

describe.each(engines)('a migration on %s', (engine) => {
  let test: TestStore
  let backups: string[]
  let base: Migration[]
  const backup = async () => {
    backups.push('made')
    return { id: `b${backups.length}` }
  }
  beforeAll(async () => {
    test = await openTestStore(engine)
  })
  afterAll(() => test.close())
  beforeEach(async () => {
    backups = []
    await test.sql.exec(`DROP SCHEMA public CASCADE; CREATE SCHEMA public`)
    base = [FIRST]
    await applyMigrations(test.sql, base)
    await test.sql.exec(
      'INSERT INTO trades SELECT n, n * 1.5 FROM generate_series(1, 50) n; INSERT INTO notes VALUES (7)',
    )
  })
  const migrate = (...more: Migration[]) =>
    migrateWithBackup({ sql: test.sql, migrations: [...base, ...more], backup, references })
  const trades = async () =>
    (
      await test.sql.query<{ sum: string; count: bigint }>(
        'SELECT sum(price)::text AS sum, count(*) FROM trades',
      )
    ).rows[0]

  it('is applied once, after a backup, and only then', async () => {
    expect(await migrate(harmless)).toEqual({ applied: [harmless.id], backupId: 'b1', checkedTables: 2 })
    expect(await migrate(harmless)).toEqual({ applied: [], backupId: undefined, checkedTables: 0 })
    expect(backups.length).toBe(1)
  })

  it.each([
    ['loses a row', 'DELETE FROM trades WHERE id = 3', 'trades: 49 rows, 50 before'],
    [
      'changes a price',
      'UPDATE trades SET price = price + 0.000001 WHERE id = 9',
      'its values are not those before',
    ],
    ['changes a type', 'ALTER TABLE trades ALTER price TYPE float8', 'column price is double precision'],
    ['drops a column', 'ALTER TABLE trades DROP COLUMN price', 'column price is gone'],
    ['drops a table', 'DROP TABLE trades', 'it is gone, with 50 rows'],
    ['breaks a reference', 'INSERT INTO notes VALUES (999)', '1 rows whose trade is in no row of trades'],
  ])('that %s is rolled back whole', async (_what, sql, problem) => {
    const before = await trades()
    const failed: unknown = await migrate(harmless, { id: 'test/0003-bad', sql }).catch(
      (error: unknown) => error,
    )
    expect(failed).toMatchObject({ code: 'MIGRATION_CHECK_FAILED', details: { backupId: 'b1' } })
    expect(String(failed)).toContain(problem)
    expect(await trades()).toEqual(before)
    expect(await migrate()).toMatchObject({ applied: [] }) // and nothing counts as applied
  })

  it('may change what it is said to change, and what its kind of data allows', async () => {
    const change = {
      id: 'test/0002-round',
      sql: 'UPDATE trades SET price = 0; DELETE FROM trades WHERE id = 50',
    }
    const options = { sql: test.sql, migrations: [...base, change], backup, references }
    await expect(migrateWithBackup({ ...options, kindOf: () => 'news' })).rejects.toMatchObject({
      code: 'MIGRATION_CHECK_FAILED',
    })
    await expect(
      migrateWithBackup({
        ...options,
        kindOf: () => 'cache',
        check: () => Promise.reject(new Error('a further check fails')),
      }),
    ).rejects.toThrow('a further check fails')
    expect((await trades())?.count).toBe(50n)
    expect((await migrateWithBackup({ ...options, expectedChanges: ['trades'] })).applied).toEqual([
      change.id,
    ])
  })

  it('that was changed or has gone from the program is refused', async () => {
    await migrate(harmless)
    await expect(migrate()).rejects.toMatchObject({ code: 'MIGRATION_NEWER' })
    await expect(migrate({ ...harmless, sql: 'SELECT 1' })).rejects.toMatchObject({
      code: 'MIGRATION_CHANGED',
    })
  })

  it('keeps a backup that brings the old state back', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-backup-'))
    const destination = createLocalLake({ directory: folder })
    const before = await trades()
    const { backupId } = await migrateWithBackup({
      sql: test.sql,
      migrations: [...base, harmless],
      backup: () => createBackup({ ...test, destination }),
    })
    const scratch = serverScratch({ connectionString: process.env.VARVE_TEST_DATABASE_URL! })
    const target = await scratch(`migrations-${process.hrtime.bigint()}`)
    await restoreBackup({ source: destination, id: backupId!, migrations: base, into: target })
    const { rows } = await target.sql.query('SELECT sum(price)::text AS sum, count(*) FROM trades')
    expect(rows[0]).toEqual(before)
    await target.drop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('is applied by one of two that start at once', async () => {
    const other =
      test.connectionString === undefined
        ? test.sql
        : createPostgresClient({ connectionString: test.connectionString })
    const slow = { id: 'test/0002-slow', sql: 'SELECT pg_sleep(0.1); CREATE TABLE once (n int)' }
    const reports = await Promise.all(
      [test.sql, other].map((sql) =>
        migrateWithBackup({ sql, migrations: [...base, slow], backup, references }),
      ),
    )
    expect(reports.map(({ applied }) => applied.length).sort()).toEqual([0, 1])
    if (other !== test.sql) await other.close()
  })
})
