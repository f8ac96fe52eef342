import { type BarColumns, VALUE_COLUMNS } from '../bars/BarColumns.ts'
import { MAX_NUMERIC_BYTES, encodeNumeric } from './numericCodec.ts'

/**
 * Rows of `bars` (or `bars_late`) in Postgres' binary COPY format, made by hand: 8 fields, or 9 with a constant
 * boolean at the end.
 *
 * @see PostgreSQL documentation, COPY, "Binary Format"
 */

/** Milliseconds from 1970 to 2000, where Postgres' time begins. */
export const PG_EPOCH_MS = 946_684_800_000
const WORD = 4_294_967_296
const SIGNATURE = Uint8Array.of(0x50, 0x47, 0x43, 0x4f, 0x50, 0x59, 0x0a, 0xff, 0x0d, 0x0a, 0x00)
const MAX_ROW_BYTES = 2 + 8 + 12 + 12 + VALUE_COLUMNS * MAX_NUMERIC_BYTES + 5

export interface CopyEncodeOptions {
  /** Series id of the store by the columns' own series number. */
  readonly seriesIds: ArrayLike<number>
  /** Rows to write, in this order. @defaultValue all */
  readonly rows?: ArrayLike<number>
  /** A last boolean field with this value. @defaultValue none */
  readonly flag?: boolean
  /** Size of a chunk, bytes. */
  readonly chunkBytes: number
}

/** The COPY stream of some bars, chunk by chunk. */
export function* encodeBarCopy(columns: BarColumns, options: CopyEncodeOptions): Generator<Uint8Array> {
  const { seriesIds, rows, flag, chunkBytes } = options
  const count = rows === undefined ? columns.length : rows.length
  const { series, time, recorded, words } = columns
  const [open, high, low, close, volume] = words as [
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
    Int32Array,
  ]
  const fields = flag === undefined ? 3 + VALUE_COLUMNS : 4 + VALUE_COLUMNS
  // A fresh buffer per chunk: the driver may still hold the last one.
  let out = new Uint8Array(chunkBytes + MAX_ROW_BYTES)
  out.set(SIGNATURE)
  let at = SIGNATURE.length + 8 // flags and extension length, both zero
  for (let index = 0; index < count; index++) {
    const row = rows === undefined ? index : rows[index]!
    const id = seriesIds[series[row]!]!
    out[at] = 0
    out[at + 1] = fields
    out[at + 2] = 0
    out[at + 3] = 0
    out[at + 4] = 0
    out[at + 5] = 4
    out[at + 6] = id >> 24
    out[at + 7] = id >> 16
    out[at + 8] = id >> 8
    out[at + 9] = id
    out[at + 10] = 0
    out[at + 11] = 0
    out[at + 12] = 0
    out[at + 13] = 8
    writeInstant(out, at + 14, time[row]!)
    out[at + 22] = 0
    out[at + 23] = 0
    out[at + 24] = 0
    out[at + 25] = 8
    writeInstant(out, at + 26, recorded[row]!)
    at = encodeNumeric(out, at + 34, open, row)
    at = encodeNumeric(out, at, high, row)
    at = encodeNumeric(out, at, low, row)
    at = encodeNumeric(out, at, close, row)
    at = encodeNumeric(out, at, volume, row)
    if (flag !== undefined) {
      out[at] = 0
      out[at + 1] = 0
      out[at + 2] = 0
      out[at + 3] = 1
      out[at + 4] = flag ? 1 : 0
      at += 5
    }
    if (at >= chunkBytes) {
      yield out.subarray(0, at)
      out = new Uint8Array(chunkBytes + MAX_ROW_BYTES)
      at = 0
    }
  }
  out[at] = 0xff
  out[at + 1] = 0xff
  yield out.subarray(0, at + 2)
}

/** Microseconds since 2000, big-endian. */
function writeInstant(out: Uint8Array, at: number, time: number): void {
  const micros = (time - PG_EPOCH_MS) * 1000
  const upper = Math.floor(micros / WORD)
  const lower = micros - upper * WORD
  out[at] = upper >> 24
  out[at + 1] = upper >> 16
  out[at + 2] = upper >> 8
  out[at + 3] = upper
  out[at + 4] = lower >>> 24
  out[at + 5] = lower >>> 16
  out[at + 6] = lower >>> 8
  out[at + 7] = lower
}
