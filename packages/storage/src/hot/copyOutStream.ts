import { type CopyToStreamQuery, to as copyTo } from 'pg-copy-streams'

/**
 * `COPY … TO STDOUT` of pg-copy-streams with another parser of its messages. Postgres sends a message per row, and the
 * library keeps each as a buffer of its own: for narrow rows that is most of the work of a read. Here the contents of
 * all messages of one network packet are put side by side in one buffer. The version of the library is fixed, and the
 * contract suite of clients holds it to this.
 *
 * @see PostgreSQL documentation, "Message Formats" and "COPY Operations"
 */

const DATA = 0x64
const ERROR = 0x45
/** Messages that may stand between those of the data: CopyOutResponse, ParameterStatus, notices, notifications. */
const BETWEEN: ReadonlySet<number> = new Set([0x48, 0x53, 0x4e, 0x41])
/** Type and length. */
const HEADER_BYTES = 5

/** What the library's stream is made of. */
interface Internals {
  readonly _buffer: { push(chunk: Buffer): void }
  _parse(chunk: Buffer): boolean | undefined
  _detach(): void
  _cleanup(): void
}

/** A stream of the bytes of a COPY, to be handed to `client.query`. */
export function copyOutStream(text: string): CopyToStreamQuery {
  const stream = copyTo(text)
  const inner = stream as unknown as Internals
  let carry: Buffer = Buffer.alloc(0)
  /** Bytes of the present message still to come, and whether they are data. */
  let left = 0
  let isData = false
  inner._parse = (input) => {
    const chunk = carry.length === 0 ? input : Buffer.concat([carry, input])
    carry = Buffer.alloc(0)
    const data = Buffer.allocUnsafe(chunk.length)
    let filled = 0
    let at = 0
    let done = false
    while (at < chunk.length) {
      if (left > 0) {
        const end = Math.min(chunk.length, at + left)
        if (isData) filled += chunk.copy(data, filled, at, end)
        left -= end - at
        at = end
        continue
      }
      if (chunk.length - at < HEADER_BYTES) {
        carry = chunk.subarray(at)
        break
      }
      const code = chunk[at]!
      if (code === ERROR) {
        // The driver itself makes an error of it.
        inner._buffer.push(chunk.subarray(at))
        inner._detach()
        return undefined
      }
      left = chunk.readInt32BE(at + 1) - (HEADER_BYTES - 1)
      at += HEADER_BYTES
      isData = code === DATA
      if (isData || BETWEEN.has(code)) continue
      // CopyDone, which has no content.
      at += left
      left = 0
      done = true
      break
    }
    let drained = true
    if (filled > 0) drained = stream.push(data.subarray(0, filled))
    if (done) {
      inner._buffer.push(chunk.subarray(at))
      inner._detach()
      stream.push(null)
      inner._cleanup()
    }
    return drained
  }
  return stream
}
