import { z } from 'zod'

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'expected a SHA-256')
const count = z.int().min(0)
const instant = z.iso.datetime()

/** A live file of the lake. */
export const manifestFileSchema = z.strictObject({
  path: z.string().min(1).describe('Relative to the lake, with `/`'),
  kind: z.enum(['bars', 'records']),
  interval: z.string().nullable().describe('Of bars'),
  dataset: z.string().nullable().describe('Of records'),
  provider: z.string(),
  feed: z.string(),
  adjustment: z.string(),
  symbolMin: z.string(),
  symbolMax: z.string(),
  timeMin: instant.describe('First bar or record'),
  timeMax: instant.describe('Last bar or record'),
  rows: count,
  bytes: count,
  sha256: hash,
})
export type ManifestFile = z.output<typeof manifestFileSchema>

/** What a lake holds, at one moment. */
export const lakeManifestSchema = z.strictObject({
  format: z.literal(1),
  createdAt: instant,
  note: z.string(),
  schemas: z
    .record(z.string(), z.array(z.strictObject({ name: z.string(), type: z.string(), meaning: z.string() })))
    .describe('Columns of the files: `bars`, and `records/` with the dataset'),
  totals: z.strictObject({ files: count, rows: count, bytes: count }),
  watermarks: z.record(z.string(), instant).describe('Per interval: every older bar is in the lake'),
  unfolded: z
    .array(z.strictObject({ interval: z.string(), corrections: count, additions: count }))
    .describe('Bars in Postgres that override files, or are in none, until the next compaction'),
  files: z.array(manifestFileSchema),
  sections: z.strictObject({ files: hash, watermarks: hash, unfolded: hash, schemas: hash, totals: hash }),
  sha256: hash.describe('Of everything else, as JSON with sorted keys'),
})
export type LakeManifest = z.output<typeof lakeManifestSchema>

/** What a reader of the files alone must know. */
export const MANIFEST_NOTE =
  'Prices and volumes are exact decimals as the provider gave them, unadjusted. Bars newer than the watermark, and the corrections counted under "unfolded", are in Postgres only: compact, then export again. Rows that have expired may still be in the files until then. Files of records hold versions: of each symbol, ts and key the one with the latest recorded_at counts, and none if it says deleted; versions not archived yet are in Postgres only.'
