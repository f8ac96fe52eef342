import type { AsyncBuffer, RowGroup } from 'hyparquet'
import { z } from 'zod'

/** How reads of one file are put together. */
export const coalescingOptionsSchema = z.strictObject({
  gapBytes: z
    .int()
    .min(0)
    .default(65_536)
    .describe('Bytes nobody asked for that are fetched along rather than making another request'),
  spanBytes: z
    .int()
    .min(1)
    .default(2_097_152)
    .describe('Row groups are fetched together up to so many bytes; a larger one is fetched alone'),
})
export type CoalescingSettings = z.input<typeof coalescingOptionsSchema>

/** Bytes of a file; `end` is excluded. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

/** Where the named columns of a row group lie, from the first byte of the first to the last byte of the last. */
export function rowGroupRange(group: RowGroup, columns: readonly string[]): ByteRange {
  let start = Infinity
  let end = 0
  for (const { meta_data: chunk } of group.columns) {
    if (chunk === undefined || !columns.includes(chunk.path_in_schema[0]!)) continue
    const first = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
    start = Math.min(start, first)
    end = Math.max(end, first + Number(chunk.total_compressed_size))
  }
  return start < end ? { start, end } : { start: 0, end: 0 }
}

/** Ranges joined where little lies between them, in the order of the file. No range is ever split. */
export function coalescedRanges(
  ranges: readonly ByteRange[],
  options: z.output<typeof coalescingOptionsSchema>,
): ByteRange[] {
  const spans: { start: number; end: number }[] = []
  for (const range of [...ranges].sort((a, b) => a.start - b.start)) {
    const last = spans.at(-1)
    const end = Math.max(last?.end ?? 0, range.end)
    if (
      last !== undefined &&
      (range.end <= last.end ||
        (range.start <= last.end + options.gapBytes && end - last.start <= options.spanBytes))
    ) {
      last.end = end
    } else {
      spans.push({ ...range })
    }
  }
  return spans
}

/**
 * A file that fetches the given ranges in as few reads as {@link coalescedRanges} makes of them, each once and only
 * when a part of it is asked for. What lies outside is read directly. Only the part asked for last is kept in memory,
 * so read the ranges in their order.
 *
 * @param ranges - what will be read; usually {@link rowGroupRange} of every row group that is wanted
 */
export function createCoalescingFile(
  file: AsyncBuffer,
  ranges: readonly ByteRange[],
  options: CoalescingSettings = {},
): AsyncBuffer {
  const spans = coalescedRanges(ranges, coalescingOptionsSchema.parse(options))
  let held: { readonly span: ByteRange; readonly bytes: Promise<ArrayBuffer> } | undefined
  return {
    byteLength: file.byteLength,
    slice(start, end = file.byteLength) {
      const span = spans.find((candidate) => candidate.start <= start && end <= candidate.end)
      if (span === undefined) return file.slice(start, end)
      if (held?.span !== span) held = { span, bytes: Promise.resolve(file.slice(span.start, span.end)) }
      return held.bytes.then((bytes) => bytes.slice(start - span.start, end - span.start))
    },
  }
}
