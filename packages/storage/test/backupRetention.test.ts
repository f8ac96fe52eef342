import { createTestClock } from '@varve/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  backupJobsOptionsSchema,
  backupsForTime,
  createBackup,
  createBackupRunner,
  listBackups,
  pruneBackups,
  verifyBackup,
} from '../src/backup/index.ts'
import { mark } from '../src/backup/destinationMarks.ts'
import { manifestPath, storedParts, writeManifest } from '../src/backup/manifest.ts'
import { createEncryptionKeys } from '../src/encryption/index.ts'
import { storageMigrations } from '../src/index.ts'
import { KEY, createMemoryLake, fill, scratch } from './backupSupport.ts'
import { DAY, type TestStore, openTestStore } from './support.ts'

const NOW = Date.UTC(2026, 0, 10, 2)

describe('old backups', () => {
  const run = { signal: new AbortController().signal }
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('postgres')
    await fill(test)
  })
  afterAll(() => test.close())

  it('go by age, never the last one of a job, never a file that a kept one refers to', async () => {
    const clock = createTestClock(NOW)
    const destination = createMemoryLake()
    const options = {
      sql: test.sql,
      lake: test.lake,
      destination,
      clock,
      job: 'database',
      kind: 'incremental',
    } as const
    const first = await createBackup(options)
    await test.sql.query("UPDATE companies SET name = 'x'")
    await clock.advance(5 * DAY)
    const second = await createBackup(options)
    const weekly = await createBackup({ ...options, job: 'weekly' })
    await clock.advance(40 * DAY)
    const result = await pruneBackups({ destination, clock, keepDays: 30 })
    expect(result.removed).toEqual([first.id])
    expect(result.files).toBe([...storedParts(first)].length - second.reused.files)
    for (const { id } of [second, weekly]) {
      const { ok } = await verifyBackup({ source: destination, id, migrations: storageMigrations, scratch })
      expect(ok).toBe(true)
    }
    expect(await pruneBackups({ destination, clock, keepDays: 1 })).toEqual({
      removed: [],
      files: 0,
      bytes: 0,
    })
  })

  it('are not removed while a backup is under way, nor the reverse; what the killed left is removed later', async () => {
    const clock = createTestClock(NOW)
    const destination = createMemoryLake()
    await destination.write('data/leftover.zstd', new Uint8Array(10))
    await destination.write('somebody-elses.txt', new Uint8Array(10))
    await mark(destination, 'backup', 'killed', clock.now())
    await expect(pruneBackups({ destination, clock })).rejects.toMatchObject({
      code: 'BACKUP_BUSY',
      retryable: true,
    })
    await clock.advance(2 * DAY)
    expect(await pruneBackups({ destination, clock })).toEqual({ removed: [], files: 1, bytes: 10 })
    expect(await destination.size('somebody-elses.txt')).toBe(10)
    await mark(destination, 'prune', 'other', clock.now())
    await expect(createBackup({ ...test, destination, clock, contents: ['database'] })).rejects.toMatchObject(
      { code: 'BACKUP_BUSY' },
    )
  })

  it('of a job go after each of its runs; what cannot be removed now does not fail the run', async () => {
    const clock = createTestClock(NOW)
    const destination = createMemoryLake()
    const [database] = backupJobsOptionsSchema.parse({}).jobs
    const job = { ...database!, contents: ['database' as const] }
    const options = { sql: test.sql, lake: test.lake, destination, clock }
    await expect(createBackupRunner(options)(job, run)).rejects.toMatchObject({ code: 'BACKUP_KEY_MISSING' })
    const runner = createBackupRunner({ ...options, keys: createEncryptionKeys({ secret: KEY }) })
    const first = await runner(job, run)
    await clock.advance(31 * DAY)
    await mark(destination, 'backup', 'killed', clock.now())
    const second = await runner(job, run)
    const ids = async () => (await listBackups(destination)).backups.map(({ id }) => id)
    expect(await ids()).toEqual([second.id, first.id])
    await clock.advance(2 * DAY)
    const third = await runner(job, run)
    expect(await ids()).toEqual([third.id, second.id])
  })

  it('keep their files while a manifest cannot be read, for it may refer to them', async () => {
    const clock = createTestClock(NOW)
    const destination = createMemoryLake()
    await createBackup({ ...test, destination, clock, contents: ['database'] })
    await destination.write(manifestPath('broken'), Buffer.from('{}'))
    await destination.write('data/unknown.zstd', new Uint8Array(10))
    expect((await pruneBackups({ destination, clock })).files).toBe(0)
    expect((await listBackups(destination)).unreadable).toMatchObject([{ id: 'broken' }])
  })

  it('are found for a moment, nearest first, with a recommendation', async () => {
    const destination = createMemoryLake()
    const made = await createBackup({ ...test, destination, contents: ['database'] })
    const at = Date.parse(made.snapshotAt)
    const later = { ...made, id: 'later', snapshotAt: new Date(at + 60_000).toISOString() }
    await writeManifest(destination, later, undefined)
    const near = await backupsForTime({ source: destination, at: at + 50_000 })
    expect(near.choices.map(({ id, lostMs }) => [id, lostMs])).toEqual([
      ['later', -10_000],
      [made.id, 50_000],
    ])
    expect(near.recommended?.id).toBe(made.id)
    expect(near.advice).toContain('Changes of the 50 s before')
    const exact = await backupsForTime({
      source: destination,
      at: at + 50_000,
      walArchive: { baseBackups: [{ name: 'base', finishedAt: at - 1000 }], archivedTo: at + 55_000 },
    })
    expect(exact.recommended).toMatchObject({ kind: 'point-in-time', id: 'base', lostMs: 0 })
    expect((await backupsForTime({ source: destination, at: at - 1 })).recommended).toBeUndefined()
  })
})
