import { type AsyncBuffer, type FileMetaData, type KeyValue, type RowGroup, parquetMetadata } from 'hyparquet'
import { crc32 } from 'node:zlib'

/**
 * Checksums of column chunks, and of the footer, in the footer of a lake file. A flipped bit in the header of a page can
 * make a decoder loop or ask for all memory there is, long before the checksum of the page itself is reached, and one
 * in the footer can hide rows or give them other times; so both are compared before anything relies on them. Costs a
 * few milliseconds a hundred megabytes.
 */

const KEY = 'varve.checksums'
const RADIX = 36
const DIGITS = 7
/** Stands for the checksum of the footer until that is known. */
const UNKNOWN = '0'.repeat(DIGITS)

/** Bytes of a column chunk; `end` is excluded. */
interface Chunk {
  readonly start: number
  readonly end: number
}

function chunksOf(groups: readonly RowGroup[]): Chunk[] {
  return groups.flatMap((group) =>
    group.columns.flatMap(({ meta_data: chunk }) => {
      if (chunk === undefined) return []
      const start = Number(chunk.dictionary_page_offset ?? chunk.data_page_offset)
      return [{ start, end: start + Number(chunk.total_compressed_size) }]
    }),
  )
}

function sumOf(bytes: Uint8Array | string): string {
  return crc32(bytes).toString(RADIX).padStart(DIGITS, '0')
}

/** Checksum of everything a footer says, its own checksum excepted. */
function footerSum(metadata: FileMetaData): string {
  const entries = metadata.key_value_metadata?.map(({ key, value }) =>
    key === KEY ? { key, value: value?.slice(DIGITS) } : { key, value },
  )
  const text = JSON.stringify({ ...metadata, key_value_metadata: entries }, (_key, value: unknown) =>
    typeof value === 'bigint' ? `${value}n` : value,
  )
  return sumOf(text)
}

/** The entry of a footer that holds the checksums of everything written before it; {@link sealFooter} completes it. */
export function chunkChecksums(groups: readonly RowGroup[], bytes: Uint8Array): KeyValue {
  const sums = chunksOf(groups).map(({ start, end }) => sumOf(bytes.subarray(start, end)))
  return { key: KEY, value: [UNKNOWN, ...sums].join(' ') }
}

/** Writes the checksum of the footer into a finished file. */
export function sealFooter(bytes: Uint8Array): void {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const whole = bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer
  const sum = footerSum(parquetMetadata(whole))
  const at = file.indexOf(UNKNOWN, file.lastIndexOf(KEY))
  file.write(sum, at, 'latin1')
}

/**
 * A file that compares every chunk it reads in full before it hands the bytes on.
 *
 * @param metadata - its footer, as parsed
 * @throws Error for a footer that is not what was written; reads reject where a chunk is not
 */
export function checkedFile(file: AsyncBuffer, metadata: FileMetaData): AsyncBuffer {
  const chunks = chunksOf(metadata.row_groups)
  const [footer, ...sums] =
    metadata.key_value_metadata?.find(({ key }) => key === KEY)?.value?.split(' ') ?? []
  if (footer !== footerSum(metadata) || chunks.length !== sums.length)
    throw new Error('its footer is not what was written')
  return {
    byteLength: file.byteLength,
    async slice(start, end = file.byteLength) {
      const bytes = await file.slice(start, end)
      chunks.forEach((chunk, index) => {
        if (chunk.start < start || chunk.end > end) return
        const found = sumOf(new Uint8Array(bytes, chunk.start - start, chunk.end - chunk.start))
        if (found !== sums[index])
          throw new Error(`bytes ${chunk.start} to ${chunk.end} are not what was written`)
      })
      return bytes
    },
  }
}
