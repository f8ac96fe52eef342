import { VarveError } from '@varve/core'

/** One row of a binary COPY stream: `data` and where each field lies in it; a length of -1 is null. */
export interface CopyRow {
  readonly data: Uint8Array
  readonly starts: Int32Array
  readonly lengths: Int32Array
}

const HEADER_BYTES = 19

/**
 * Reads `COPY … TO STDOUT (FORMAT binary)` row by row.
 *
 * @param fieldCount - fields every row must have
 * @param onRow - called for each row; the row object is reused
 * @throws `STORAGE_CORRUPT` when the stream breaks off or has other fields
 */
export async function decodeCopy(
  chunks: AsyncIterable<Uint8Array>,
  fieldCount: number,
  onRow: (row: CopyRow) => void,
): Promise<void> {
  const starts = new Int32Array(fieldCount)
  const lengths = new Int32Array(fieldCount)
  const row: { data: Uint8Array; starts: Int32Array; lengths: Int32Array } = {
    data: new Uint8Array(0),
    starts,
    lengths,
  }
  let rest: Uint8Array = new Uint8Array(0)
  let headerSeen = false
  let ended = false
  for await (const chunk of chunks) {
    if (ended) continue
    const data = rest.length === 0 ? chunk : joined(rest, chunk)
    let at = 0
    if (!headerSeen) {
      if (data.length < HEADER_BYTES) {
        rest = data
        continue
      }
      at = HEADER_BYTES + int32(data, 15)
      headerSeen = true
    }
    row.data = data
    for (;;) {
      if (at + 2 > data.length) break
      const fields = (data[at]! << 8) | data[at + 1]!
      if (fields === 0xffff) {
        ended = true
        break
      }
      if (fields !== fieldCount) throw corrupt(`a row of ${fields} fields where ${fieldCount} were expected`)
      let next = at + 2
      let field = 0
      for (; field < fieldCount; field++) {
        if (next + 4 > data.length) break
        const length = int32(data, next)
        next += 4
        starts[field] = next
        lengths[field] = length
        if (length > 0) next += length
        if (next > data.length) break
      }
      if (field < fieldCount) break
      onRow(row)
      at = next
    }
    rest = data.subarray(at)
  }
  if (!ended) throw corrupt('a COPY stream without its end')
}

/** A big-endian 32-bit integer. */
export function int32(data: Uint8Array, at: number): number {
  return (data[at]! << 24) | (data[at + 1]! << 16) | (data[at + 2]! << 8) | data[at + 3]!
}

/** A big-endian 64-bit integer of at most 2^53. */
export function int64(data: Uint8Array, at: number): number {
  return int32(data, at) * 4_294_967_296 + (int32(data, at + 4) >>> 0)
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  const both = new Uint8Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

function corrupt(found: string): VarveError {
  return new VarveError(`the database sent ${found}; read again`, {
    code: 'STORAGE_CORRUPT',
    retryable: true,
  })
}
