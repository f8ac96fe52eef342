import { type BarSource, applyMigrations } from '@varve/core'
import { type LakeFiles, storageMigrations } from '../src/index.ts'
import {
  type Dataset,
  type RecordQuery,
  type RecordRow,
  type RecordStore,
  recordMigrations,
} from '../src/records/index.ts'
import { type Engine, type TestStore, openTestStore } from './support.ts'

export const FEED: BarSource = { provider: 'polygon', feed: 'all', adjustment: 'raw' }
export const WIRE: BarSource = { provider: 'wire', feed: 'all', adjustment: 'raw' }

/** A store of its own with the tables of records. */
export async function openRecordTest(engine: Engine): Promise<TestStore> {
  const test = await openTestStore(engine)
  const known = new Set(storageMigrations.map((migration) => migration.id))
  await applyMigrations(test.sql, [
    ...storageMigrations,
    ...recordMigrations.filter((migration) => !known.has(migration.id)),
  ])
  return test
}

/** All rows a query answers with. */
export async function allRows<D extends Dataset>(
  store: RecordStore,
  query: RecordQuery<D>,
): Promise<RecordRow<D>[]> {
  const rows: RecordRow<D>[] = []
  for await (const page of store.read(query)) rows.push(...page.rows)
  return rows
}

/** A lake in memory, for tests that write many small files. */
export function createMemoryLake(): LakeFiles {
  const files = new Map<string, Uint8Array>()
  return {
    location: 'memory',
    async write(path, content) {
      files.set(path, Uint8Array.from(content))
    },
    async size(path) {
      return files.get(path)?.length
    },
    async read(path, start, end) {
      const content = files.get(path)
      if (content === undefined || end > content.length)
        throw new Error('there is no such file, or a shorter one')
      return Uint8Array.from(content.subarray(start, end))
    },
    async *list(prefix = '') {
      for (const [path, { length }] of files)
        if (path.startsWith(prefix)) yield { path, bytes: length, modifiedAt: 0 }
    },
    async delete(path) {
      files.delete(path)
    },
  }
}
