import { type SqlClient, applyMigrations } from '@varve/core'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BackupManifest,
  createBackup,
  createDirectoryComponent,
  restoreBackup,
  verifyBackup,
} from '../src/backup/index.ts'
import { writeManifest } from '../src/backup/manifest.ts'
import { createEncryptionKeys } from '../src/encryption/index.ts'
import { storageMigrations } from '../src/index.ts'
import { KEY, createMemoryLake, fill, scratch } from './backupSupport.ts'
import { type TestStore, openTestStore } from './support.ts'

describe('a restore', () => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('postgres')
    await fill(test)
  })
  afterAll(() => test.close())

  it('keeps every value of tables of any shape: odd names, no key, generated columns, references to themselves', async () => {
    const shape = `CREATE TYPE mood AS ENUM ('b', 'a');
      CREATE TABLE "Odd ""name" ("select" text, mood mood, numbers numeric[], at timestamptz, raw bytea, doc jsonb,
        twice float8 GENERATED ALWAYS AS (length("select") * 2) STORED);
      CREATE TABLE tree (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent int REFERENCES tree, name text UNIQUE);
      CREATE TABLE leaves (tree int NOT NULL REFERENCES tree, n float8) PARTITION BY LIST (tree)`
    await test.sql.exec(`${shape};
      CREATE TABLE leaves_some PARTITION OF leaves FOR VALUES IN (1, 2);
      CREATE TABLE leaves_rest PARTITION OF leaves DEFAULT;
      INSERT INTO "Odd ""name" VALUES (E'a\\tb\\n\\\\N', 'a', '{NaN,1.10,NULL}', 'infinity', '\\x00ff', '{"é":null}'), (NULL, NULL, '{}', NULL, '', NULL);
      INSERT INTO tree (parent, name) SELECT CASE WHEN n > 1 THEN n - 1 END, 'Ä' || n FROM generate_series(1, 90) n;
      INSERT INTO leaves SELECT n, 'NaN' FROM generate_series(1, 9) n`)
    const texts = async (sql: SqlClient) => {
      const { rows } = await sql.query(
        `SELECT (SELECT jsonb_agg(o::text ORDER BY o::text COLLATE "C") FROM "Odd ""name" o) AS odd,
           (SELECT jsonb_agg(t::text ORDER BY id) FROM tree t) AS tree,
           (SELECT jsonb_agg(l::text ORDER BY tree) FROM leaves l) AS leaves,
           (SELECT jsonb_agg(c.relname || pg_get_expr(c.relpartbound, c.oid) ORDER BY relname)
            FROM pg_class c WHERE relname LIKE 'leaves\\_%') AS partitions`,
      )
      return rows[0]
    }
    const destination = createMemoryLake()
    const { id } = await createBackup({ ...test, destination, contents: ['database'], partRows: 7 })
    const before = await texts(test.sql)
    await test.sql.exec('DROP TABLE "Odd ""name", leaves, tree; DROP TYPE mood')
    const target = await scratch('odd')
    await restoreBackup({
      source: destination,
      id,
      migrations: storageMigrations,
      prepare: (sql) => sql.exec(shape),
      into: { sql: target.sql },
    })
    expect(await texts(target.sql)).toEqual(before)
    await target.sql.query("INSERT INTO tree (name) VALUES ('next')")
    const { rows } = await target.sql.query('SELECT max(id) AS id FROM tree')
    expect(rows[0]).toEqual({ id: 91 })
    await target.drop()
    // Without what makes those tables the restore says so instead of leaving them out.
    const bare = await scratch('bare')
    await expect(
      restoreBackup({ source: destination, id, migrations: storageMigrations, into: { sql: bare.sql } }),
    ).rejects.toMatchObject({ cause: { code: 'BACKUP_SCHEMA_MISMATCH' } })
    await bare.drop()
  })

  it('puts nothing from a manifest into a statement but names and constants', async () => {
    const destination = createMemoryLake()
    const manifest = await createBackup({ ...test, destination, contents: ['database'] })
    const table = manifest.database!.tables[0]!
    table.partition = { schema: 'public', of: 'bars', bound: 'DEFAULT; DROP TABLE companies --' }
    table.name = 'extra'
    await writeManifest(destination, manifest, undefined)
    const { problems } = await verifyBackup({
      source: destination,
      id: manifest.id,
      migrations: storageMigrations,
      scratch,
    })
    expect(problems).toMatchObject([
      { where: 'database', problem: expect.stringContaining('bound of partition') as string },
    ])
  })

  it('refuses a newer format, a manifest that was changed, and rows with transaction ids without a hook', async () => {
    const destination = createMemoryLake()
    const keys = createEncryptionKeys({ secret: KEY })
    await test.sql.exec(
      'CREATE TABLE ordered (id xid8 PRIMARY KEY); INSERT INTO ordered VALUES (pg_current_xact_id())',
    )
    const manifest = await createBackup({ ...test, destination, keys, contents: ['database'] })
    await test.sql.exec('DROP TABLE ordered')
    const restore = (id: string, sql?: SqlClient) =>
      restoreBackup({ source: destination, id, keys, migrations: [], into: { sql } })
    await expect(restore(manifest.id, test.sql)).rejects.toMatchObject({
      code: 'OPTION_INVALID',
      details: { table: 'ordered' },
    })
    await writeManifest(destination, { ...manifest, kind: 'incremental' }, undefined)
    await expect(restore(manifest.id)).rejects.toMatchObject({ code: 'BACKUP_DAMAGED' })
    const newer = { ...manifest, format: 2 }
    await writeManifest(destination, newer as unknown as BackupManifest, await keys.current())
    await expect(restore(manifest.id)).rejects.toMatchObject({ code: 'BACKUP_NEWER' })
    await expect(restore('../../etc')).rejects.toMatchObject({ code: 'BACKUP_NOT_FOUND' })
  })

  it('of a folder refuses what is not data, and content that would leave it', async () => {
    const root = mkdtempSync(join(tmpdir(), 'varve-backup-'))
    writeFileSync(join(root, 'model.pkl'), '')
    const component = createDirectoryComponent({ name: 'models', directory: root })
    await expect(
      createBackup({ ...test, destination: createMemoryLake(), contents: ['state'], state: [component] }),
    ).rejects.toMatchObject({ code: 'BACKUP_STATE_UNSUPPORTED', details: { path: 'model.pkl' } })
    const escape = async function* () {
      yield Buffer.from(`${JSON.stringify({ path: '../out.json', base64: '' })}\n`)
    }
    await expect(component.restore(escape())).rejects.toMatchObject({ code: 'BACKUP_STATE_UNSUPPORTED' })
    rmSync(root, { recursive: true, force: true })
  })

  it('of an older schema applies the migrations made since; a newer one is refused', async () => {
    const destination = createMemoryLake()
    const { id } = await createBackup({ ...test, destination, contents: ['database'] })
    const later = {
      id: 'test/0001-note',
      sql: "ALTER TABLE companies ADD COLUMN note text; UPDATE companies SET note = 'seen'",
    }
    const target = await scratch('older')
    const into = { sql: target.sql }
    await restoreBackup({ source: destination, id, migrations: [...storageMigrations, later], into })
    const { rows } = await target.sql.query<{ count: bigint }>(
      "SELECT count(*) FROM companies WHERE note = 'seen'",
    )
    expect(rows[0]!.count).toBe(120n)
    await target.drop()
    await applyMigrations(test.sql, [...storageMigrations, later])
    const newer = await createBackup({ ...test, destination, contents: ['database'] })
    const report = await verifyBackup({
      source: destination,
      id: newer.id,
      migrations: storageMigrations,
      scratch,
    })
    expect(report.problems[0]?.problem).toContain('newer Varve')
  })
})
