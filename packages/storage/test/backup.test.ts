import { Secret, type SqlClient, type VarveError, sha256Hex } from '@varve/core'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type BackupManifest,
  type StateComponent,
  createBackup,
  createDirectoryComponent,
  embeddedScratch,
  listBackups,
  restoreBackup,
  verifyBackup,
} from '../src/backup/index.ts'
import { storedParts, writeManifest } from '../src/backup/manifest.ts'
import { createEncryptionKeys } from '../src/encryption/index.ts'
import { type LakeFiles, createBarStore, createLocalLake, storageMigrations } from '../src/index.ts'
import { KEY, createMemoryLake, fill, scratch } from './backupSupport.ts'
import { type TestStore, batchOf, day, engines, openTestStore } from './support.ts'

/** Small, so that a few rows make several parts and pages. */
const SMALL = { partRows: 40, pageRows: 50 }

const folders: string[] = []
const folder = (): string => {
  const made = mkdtempSync(join(tmpdir(), 'varve-backup-'))
  folders.push(made)
  return made
}
afterAll(() => {
  for (const made of folders) rmSync(made, { recursive: true, force: true })
})

/** What readers of the store see: bars of both tiers and the tables. */
const contentOf = (sql: SqlClient, lake: LakeFiles) => createBarStore({ sql, lake }).checksums()

/** Rewrites a stored part of an unencrypted, uncompressed backup and makes the manifest fit, except for the table's checksum. */
async function alter(
  destination: LakeFiles,
  manifest: BackupManifest,
  change: (content: Buffer) => void,
): Promise<void> {
  const table = manifest.database!.tables.find(({ name }) => name === 'companies')!
  const part = table.parts[0]!
  const content = Buffer.from(await destination.read(part.stored, 0, part.storedBytes))
  change(content)
  await destination.write(part.stored, content)
  part.sha256 = sha256Hex(content)
  await writeManifest(destination, manifest, undefined)
}

describe.each(engines)('a backup on %s', (engine) => {
  let test: TestStore
  let content: Awaited<ReturnType<typeof contentOf>>
  beforeAll(async () => {
    test = await openTestStore(engine)
    await fill(test)
    content = await contentOf(test.sql, test.lake)
  })
  afterAll(() => test.close())

  it('brings back database, lake and state on the other engine as well, encrypted or not', async () => {
    const keys = createEncryptionKeys({ secret: KEY })
    const destination = createLocalLake({ directory: folder() })
    const configuration = folder()
    mkdirSync(join(configuration, 'sub'))
    writeFileSync(join(configuration, 'storage.yaml'), 'hotDays: 7\n')
    writeFileSync(join(configuration, 'sub/universe.yaml'), 'é\n')
    const manifest = await createBackup({
      ...test,
      destination,
      keys,
      state: [createDirectoryComponent({ name: 'configuration', directory: configuration })],
      ...SMALL,
    })
    expect(manifest.lake!.files.length).toBeGreaterThan(0)
    const target = engine === 'postgres' ? await embeddedScratch() : await scratch('target')
    try {
      const lake = createMemoryLake()
      const restoredTo = folder()
      const report = await restoreBackup({
        source: destination,
        id: manifest.id,
        keys,
        migrations: storageMigrations,
        into: {
          sql: target.sql,
          lake,
          state: [createDirectoryComponent({ name: 'configuration', directory: restoredTo })],
        },
      })
      expect(report.components.map(({ component, status }) => `${component} ${status}`)).toEqual([
        'lake restored',
        'database restored',
        'state/configuration restored',
      ])
      expect(await contentOf(target.sql, lake)).toEqual(content)
      expect(readFileSync(join(restoredTo, 'sub/universe.yaml'), 'utf8')).toBe('é\n')
      // The restored store goes on where the old one stopped: identities included.
      const store = createBarStore({ sql: target.sql, lake })
      const staged = await store.stage(batchOf([['NEW', day(150), 5]]), {
        hotFrom: () => day(120),
        initialWatermark: day(130),
      })
      expect(await target.sql.tx((tx) => store.commit(tx, staged))).toMatchObject({ inserted: 1 })
      await expect(
        restoreBackup({
          source: destination,
          id: manifest.id,
          keys,
          migrations: storageMigrations,
          into: target,
        }),
      ).rejects.toMatchObject({ code: 'BACKUP_TARGET_NOT_EMPTY' })
    } finally {
      await target.drop()
    }
    const other = createEncryptionKeys({ secret: new Secret('cd'.repeat(32)) })
    for (const keys of [other, undefined]) {
      await expect(
        restoreBackup({
          source: destination,
          id: manifest.id,
          keys,
          migrations: [],
          into: { sql: test.sql },
        }),
      ).rejects.toMatchObject({ code: 'ENCRYPTION_KEY_WRONG' })
    }
  })

  it('verifies, and stores again only what is new', async () => {
    const destination = createMemoryLake()
    const first = await createBackup({ ...test, destination, ...SMALL })
    await test.sql.query("UPDATE companies SET name = 'renamed' WHERE symbol = 'S77'")
    const second = await createBackup({ ...test, destination, kind: 'incremental', ...SMALL })
    await test.sql.query("UPDATE companies SET name = NULL WHERE symbol = 'S77'")
    expect(first.reused.files).toBe(0)
    expect(second.written.files).toBe(1) // one part of one table
    expect([...storedParts(second)].length).toBe(second.written.files + second.reused.files)
    for (const { id } of [first, second]) {
      const report = await verifyBackup({
        source: destination,
        id,
        migrations: storageMigrations,
        scratch: engine === 'pglite' && id === first.id ? embeddedScratch : scratch,
        ...SMALL,
      })
      expect(report).toMatchObject({ ok: true, problems: [], lakeFiles: first.lake!.files.length })
      expect(report.rows).toBeGreaterThan(120)
    }
    // A full one trusts nobody: what is damaged is stored again.
    const damaged = first.lake!.files[0]!
    await destination.write(damaged.stored, new Uint8Array(damaged.storedBytes))
    const third = await createBackup({ ...test, destination, kind: 'full', ...SMALL })
    expect(third.written.files).toBe(1)
    expect(
      (await verifyBackup({ source: destination, id: third.id, migrations: storageMigrations, scratch })).ok,
    ).toBe(true)
  })

  it('fails verification with one altered row, one lake file missing, or one flipped byte (controls)', async () => {
    const make = async () => {
      const destination = createMemoryLake()
      return { destination, manifest: await createBackup({ ...test, destination, compression: 'none' }) }
    }
    const verify = ({ destination, manifest }: Awaited<ReturnType<typeof make>>) =>
      verifyBackup({ source: destination, id: manifest.id, migrations: storageMigrations, scratch })

    const altered = await make()
    await alter(altered.destination, altered.manifest, (bytes) => {
      bytes[bytes.indexOf('S77') + 1] = 0x5a
    })
    expect((await verify(altered)).problems).toEqual([
      { where: 'database', what: 'companies', problem: 'its 120 rows are not those of the backup' },
    ])

    const missing = await make()
    const gone = missing.manifest.lake!.files[0]!
    await missing.destination.delete(gone.stored)
    expect((await verify(missing)).problems).toMatchObject([{ where: 'lake', what: gone.path }])

    const unlisted = await make()
    unlisted.manifest.lake!.files.shift()
    await writeManifest(unlisted.destination, unlisted.manifest, undefined)
    expect((await verify(unlisted)).problems).toMatchObject([{ where: 'lake', what: gone.path }])

    const flipped = await make()
    const part = flipped.manifest.database!.tables.flatMap(({ parts }) => parts)[0]!
    const bytes = await flipped.destination.read(part.stored, 0, part.storedBytes)
    bytes[bytes.length >> 1]! ^= 1
    await flipped.destination.write(part.stored, bytes)
    expect((await verify(flipped)).problems).toMatchObject([{ where: 'database' }])
    await expect(
      restoreBackup({
        source: flipped.destination,
        id: flipped.manifest.id,
        migrations: storageMigrations,
        into: { lake: createMemoryLake() },
      }),
    ).resolves.toBeDefined() // the lake alone is whole
  })

  it('begins again when a lake file was swept away meanwhile, and fails loudly when it keeps happening', async () => {
    let hide = 1
    const lake: LakeFiles = {
      ...test.lake,
      size: async (path) => (hide-- > 0 ? undefined : test.lake.size(path)),
    }
    const manifest = await createBackup({ sql: test.sql, lake, destination: createMemoryLake() })
    expect(manifest.lake!.files.length).toBeGreaterThan(0)
    const destination = createMemoryLake()
    const never: LakeFiles = { ...test.lake, size: () => Promise.resolve(undefined) }
    await expect(createBackup({ sql: test.sql, lake: never, destination })).rejects.toMatchObject({
      code: 'BACKUP_LAKE_FILE_GONE',
      details: { attempts: 3 },
    })
    expect((await listBackups(destination)).backups).toEqual([])
  })

  it('is not made when the lake is damaged or the destination loses a part', async () => {
    const damaged: LakeFiles = {
      ...test.lake,
      read: async (path, start, end) => (await test.lake.read(path, start, end)).fill(0),
    }
    const destination = createMemoryLake()
    await expect(createBackup({ sql: test.sql, lake: damaged, destination })).rejects.toMatchObject({
      code: 'BACKUP_LAKE_FILE_DAMAGED',
    })
    const forgetful: LakeFiles = {
      ...destination,
      size: async (path) => (path.startsWith('lake/') ? undefined : destination.size(path)),
    }
    await expect(createBackup({ ...test, destination: forgetful })).rejects.toMatchObject({
      code: 'BACKUP_INCOMPLETE',
    })
    expect((await listBackups(destination)).backups).toEqual([])
  })

  it('is one moment: rows committed while tables are read are not in it', async () => {
    const destination = createMemoryLake()
    let inserted: Promise<unknown> | undefined
    const watching: LakeFiles = {
      ...destination,
      async write(path, bytes) {
        if (path.startsWith('data/')) {
          inserted ??= test.sql.query("INSERT INTO companies (symbol, is_active) VALUES ('LATE', true)")
          if (engine === 'postgres') await inserted
        }
        await destination.write(path, bytes)
      },
    }
    const manifest = await createBackup({ ...test, destination: watching })
    await inserted
    await test.sql.query("DELETE FROM companies WHERE symbol = 'LATE'")
    expect(manifest.database!.tables.find(({ name }) => name === 'companies')!.rows).toBe(120)
  })

  it('restores each component by itself, and a part that fails fails the whole', async () => {
    const destination = createMemoryLake()
    const good: StateComponent = {
      name: 'positions',
      async *read() {
        yield Buffer.from('{"A":1}')
      },
      restore: () => Promise.reject(new Error('the disk is full')),
    }
    const { id } = await createBackup({ ...test, destination, contents: ['state'], state: [good] })
    const failed: unknown = await restoreBackup({
      source: destination,
      id,
      migrations: storageMigrations,
      into: { state: [good, { ...good, name: 'models' }] },
    }).catch((error: unknown) => error)
    expect(failed).toMatchObject({ code: 'BACKUP_RESTORE_PARTIAL' })
    expect((failed as VarveError).details.report).toMatchObject({
      components: [
        { component: 'state/positions', status: 'failed', problem: 'the disk is full' },
        { component: 'state/models', status: 'failed', problem: 'the backup holds none of it' },
      ],
    })
  })
})
