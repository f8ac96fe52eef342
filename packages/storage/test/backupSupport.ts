import { Secret } from '@varve/core'
import { type ScratchDatabase, serverScratch } from '../src/backup/index.ts'
import { type LakeFiles, createBarStore } from '../src/index.ts'
import { type TestStore, batchOf, day } from './support.ts'

/** 32 bytes, as an operator would give them. */
export const KEY = new Secret('ab'.repeat(32))

/** Files in memory, written without waiting for a disk. */
export function createMemoryLake(): LakeFiles {
  const files = new Map<string, Uint8Array<ArrayBuffer>>()
  return {
    location: 'memory',
    async write(path, content) {
      files.set(path, Uint8Array.from(content))
    },
    async size(path) {
      return files.get(path)?.length
    },
    async read(path, start, end) {
      const file = files.get(path)
      if (file === undefined || file.length < end)
        throw new Error(`${path} is missing or shorter than ${end}`)
      return file.slice(start, end)
    },
    async *list(prefix = '') {
      for (const [path, content] of [...files]) {
        if (prefix === '' || path.startsWith(`${prefix}/`)) {
          yield { path, bytes: content.length, modifiedAt: 0 }
        }
      }
    },
    async delete(path) {
      files.delete(path)
    },
  }
}

/** Bars in both tiers and companies. */
export async function fill(test: TestStore): Promise<void> {
  const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 1 })
  const rows = ['A', 'B', 'C'].flatMap((symbol, of) =>
    Array.from({ length: 60 }, (_, index) => [symbol, day(100 + index), 1000 * of + index] as const),
  )
  const staged = await store.stage(batchOf(rows), { hotFrom: () => day(120), initialWatermark: day(130) })
  await test.sql.tx((tx) => store.commit(tx, staged))
  await test.sql.query(
    `INSERT INTO companies (symbol, is_active, reasons, market_cap)
     SELECT 'S' || n, true, '{"why": "é\\n\\"x\\""}'::jsonb, 1.5 * n FROM generate_series(1, 120) n`,
  )
}

/** A new database on the tests' server: faster than opening an embedded one. */
export const scratch = (name: string): Promise<ScratchDatabase> =>
  serverScratch({ connectionString: process.env.VARVE_TEST_DATABASE_URL! })(
    `${name}-${process.hrtime.bigint()}`,
  )
