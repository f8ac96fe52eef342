import { z } from 'zod'

/** The part of `createDuckdbReader`'s options that is data. */
export const duckdbReaderOptionsSchema = z.strictObject({
  threads: z.int().min(1).default(2).describe('Threads DuckDB may use'),
  memoryLimitMb: z
    .int()
    .min(16)
    .default(512)
    .describe('Memory DuckDB may use, megabytes; what does not fit is an error, never written to disk'),
  connections: z.int().min(1).default(2).describe('Files read at once; more wait'),
  listedSymbols: z
    .int()
    .min(1)
    .default(20_000)
    .describe('Up to so many symbols are named to DuckDB; of more, only the first and the last are'),
  checkedFiles: z
    .int()
    .min(1)
    .default(4096)
    .describe('Files remembered to be what the catalog says; others are checked when they are read'),
})
export type DuckdbReaderSettings = z.input<typeof duckdbReaderOptionsSchema>
/** {@link DuckdbReaderSettings} with every default filled in. */
export type DuckdbReaderChecked = z.output<typeof duckdbReaderOptionsSchema>
