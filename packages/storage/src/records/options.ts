import { type Clock, type SqlClient, checkedOptions, systemClock } from '@varve/core'
import { z } from 'zod'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type RecordFileReader, createRecordFileReader } from './recordFileReader.ts'

/** The part of `createRecordStore`'s options that is data. */
export const recordStoreOptionsSchema = z.object({
  pageRows: z
    .int()
    .min(1)
    .default(10_000)
    .describe('Records read from Postgres at once, and handed to the caller at once when it names no number'),
  maxFileRows: z.int().min(1).default(500_000).describe('Most rows of one lake file'),
  rowGroupRows: z
    .int()
    .min(1)
    .default(20_000)
    .describe('Rows of one row group: the smallest part of a lake file that is read'),
  zstdLevel: z.int().min(1).max(22).default(3).describe('Compression of lake files'),
  footerCacheFiles: z.int().min(0).default(256).describe('Footers of lake files kept in memory'),
  footerBytes: z
    .int()
    .min(8)
    .default(65_536)
    .describe('Bytes fetched from the end of a lake file to find its footer'),
  attempts: z
    .int()
    .min(1)
    .default(3)
    .describe('Times a load, archive run or compaction is prepared, the last time holding other loads off'),
  dropLockTimeoutMs: z
    .int()
    .min(1)
    .default(2000)
    .describe(
      'How long dropping an empty partition waits for readers before it is left for the next run, milliseconds',
    ),
  partitionsAhead: z
    .int()
    .min(0)
    .default(2)
    .describe('Partitions made ahead of the present one by prepare() and archive()'),
  deleteRows: z.int().min(1).default(50_000).describe('Expired rows deleted from Postgres by one statement'),
  compactFillShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.5)
    .describe('A lake file with fewer rows than this share of maxFileRows is small and may be merged'),
  compactSpareFiles: z
    .int()
    .min(1)
    .default(4)
    .describe('Small files of one source that compaction tolerates'),
  compactExpiredShare: z
    .number()
    .gt(0)
    .max(1)
    .default(0.2)
    .describe("Share of a source's lake rows that must have expired before compaction drops them"),
  sweepBatchFiles: z
    .int()
    .min(1)
    .default(200)
    .describe('Lake files deleted while loads wait to register theirs'),
  copyChunkBytes: z.int().min(1).default(262_144).describe('Bytes of one message of a load to the database'),
})
export type RecordStoreSettings = z.input<typeof recordStoreOptionsSchema>

/** Its data, with their defaults: {@link recordStoreOptionsSchema}. */
export interface RecordStoreOptions extends RecordStoreSettings {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** What the parts of the store share. */
export interface RecordContext extends Required<RecordStoreSettings> {
  readonly sql: SqlClient
  readonly lake: LakeFiles
  readonly clock: Clock
  readonly reader: RecordFileReader
}

/** @throws `OPTION_INVALID` */
export function recordContext(options: RecordStoreOptions): RecordContext {
  const { sql, lake, clock = systemClock } = options
  const checked = checkedOptions(recordStoreOptionsSchema, options, 'the record store')
  return { ...checked, sql, lake, clock, reader: createRecordFileReader({ ...checked, lake }) }
}
