import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createBackup, listBackups, pruneBackups, serverScratch, verifyBackup } from '../src/backup/index.ts'
import { storedParts } from '../src/backup/manifest.ts'
import { createBarStore, createLocalLake, storageMigrations } from '../src/index.ts'
import { type TestStore, batchOf, day, openTestStore } from './support.ts'

describe('a backup that is killed', () => {
  let test: TestStore
  beforeAll(async () => {
    test = await openTestStore('postgres')
    const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1 })
    const staged = await store.stage(
      batchOf(Array.from({ length: 100 }, (_, index) => ['A', day(100 + index), index] as const)),
      { hotFrom: () => day(150), initialWatermark: day(150) },
    )
    await test.sql.tx((tx) => store.commit(tx, staged))
    await test.sql.query(
      "INSERT INTO companies (symbol, is_active) SELECT 'S' || n, true FROM generate_series(1, 100) n",
    )
  })
  afterAll(() => test.close())

  it('is no backup, wherever it stopped; the next one succeeds, and what was left goes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'varve-backup-'))
    const destination = createLocalLake({ directory: folder })
    const stored = async () => {
      const paths: string[] = []
      for await (const file of destination.list()) paths.push(file.path)
      return paths
    }
    for (const stopAfter of [1, 4, 8]) {
      const child = fork(
        join(import.meta.dirname, 'backupWorker.ts'),
        [test.connectionString!, test.lakeDirectory, folder],
        { execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'] },
      )
      let seen = 0
      child.on('message', () => {
        if (++seen === stopAfter) child.kill('SIGKILL')
      })
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      expect(signal).toBe('SIGKILL')
      expect((await listBackups(destination)).backups).toEqual([])
    }
    await destination.write('data/of-the-killed.zstd', new Uint8Array(5))
    const manifest = await createBackup({ ...test, destination, partRows: 20 })
    expect(manifest.reused.files).toBeGreaterThan(0) // whole parts of the killed ones, read back and compared
    const scratch = serverScratch({ connectionString: process.env.VARVE_TEST_DATABASE_URL! })
    const report = await verifyBackup({
      source: destination,
      id: manifest.id,
      migrations: storageMigrations,
      scratch,
    })
    expect(report).toMatchObject({ ok: true, problems: [] })
    // Their marks hold removal off until they are stale.
    await expect(pruneBackups({ destination })).rejects.toMatchObject({ code: 'BACKUP_BUSY' })
    await pruneBackups({ destination, backupStaleMs: 1 })
    expect((await stored()).sort()).toEqual(
      [
        ...new Set([...storedParts(manifest)].map((part) => part.stored)),
        `backups/${manifest.id}/manifest.json`,
      ].sort(),
    )
    rmSync(folder, { recursive: true, force: true })
  })
})
