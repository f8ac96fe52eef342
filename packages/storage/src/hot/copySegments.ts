import { VarveError } from '@varve/core'
import type { CopyChunks } from './abortable.ts'

export interface SegmentLimits {
  readonly maxRows: number
  readonly maxBytes: number
}

const SIGNATURE = Buffer.from('PGCOPY\n\xff\r\n\0', 'latin1')
const TRAILER = Uint8Array.of(0xff, 0xff)
const NEWLINE = 10
const BACKSLASH = 92
const QUOTE = 34

/**
 * Cuts the input of one `COPY … FROM STDIN` into complete smaller ones, at row boundaries, so that no single
 * statement holds the engine for long. Data with a header line or with quoting of its own stays
 * whole.
 */
export function copySegments(
  statement: string,
  chunks: CopyChunks,
  limits: SegmentLimits,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const options = /\bFROM\s+STDIN\b([\s\S]*)$/i.exec(statement)?.[1] ?? ''
  if (/\bbinary\b/i.test(options)) return binarySegments(chunks, limits)
  const format = /\bcsv\b/i.test(options) ? 'csv' : 'text'
  const whole = /\b(header|quote|escape)\b/i.test(options)
  return lineSegments(chunks, whole ? { maxRows: Infinity, maxBytes: Infinity } : limits, format)
}

/** Bytes waiting to be cut, with room to append. */
class Pending {
  #bytes: Buffer<ArrayBuffer> = Buffer.alloc(1 << 16)
  #length = 0

  get bytes(): Buffer<ArrayBuffer> {
    return this.#bytes
  }

  get length(): number {
    return this.#length
  }

  push(chunk: Uint8Array): void {
    const needed = this.#length + chunk.length
    if (needed > this.#bytes.length) {
      const grown = Buffer.alloc(Math.max(needed, this.#bytes.length * 2))
      grown.set(this.#bytes.subarray(0, this.#length))
      this.#bytes = grown
    }
    this.#bytes.set(chunk, this.#length)
    this.#length = needed
  }

  drop(count: number): void {
    this.#bytes.copyWithin(0, count, this.#length)
    this.#length -= count
  }
}

function join(...parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

async function* binarySegments(
  chunks: CopyChunks,
  limits: SegmentLimits,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const pending = new Pending()
  let header: Uint8Array | undefined
  let at = 0 // end of the last whole row in `pending`
  let rows = 0
  let ended = false
  let sent = false
  const cut = (): Uint8Array<ArrayBuffer> => {
    const data = join(header!, pending.bytes.subarray(0, at), TRAILER)
    pending.drop(at)
    at = 0
    rows = 0
    sent = true
    return data
  }
  for await (const chunk of chunks) {
    if (ended) continue
    pending.push(chunk)
    if (header === undefined) {
      if (pending.length < 19) continue
      const size = 19 + pending.bytes.readUInt32BE(15)
      if (pending.length < size) continue
      header = Uint8Array.from(pending.bytes.subarray(0, size))
      if (!SIGNATURE.equals(pending.bytes.subarray(0, SIGNATURE.length)))
        throw malformed('the binary COPY signature is missing')
      pending.drop(size)
    }
    for (;;) {
      const end = rowEnd(pending.bytes, at, pending.length)
      if (end === -1) break
      if (end === -2) {
        ended = true
        break
      }
      at = end
      rows++
      if (rows >= limits.maxRows || at >= limits.maxBytes) yield cut()
    }
  }
  if (!ended) throw malformed('the binary COPY data ends in the middle')
  if (rows > 0 || !sent) yield cut()
}

/** End of the row that starts at `at`; -1 when it is not whole yet, -2 at the trailer. */
function rowEnd(bytes: Buffer, at: number, length: number): number {
  if (at + 2 > length) return -1
  const fields = bytes.readInt16BE(at)
  if (fields === -1) return -2
  let position = at + 2
  for (let field = 0; field < fields; field++) {
    if (position + 4 > length) return -1
    const size = bytes.readInt32BE(position)
    position += 4 + Math.max(0, size)
  }
  return position > length ? -1 : position
}

async function* lineSegments(
  chunks: CopyChunks,
  limits: SegmentLimits,
  format: 'text' | 'csv',
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const pending = new Pending()
  let scanned = 0
  let at = 0
  let rows = 0
  let sent = false
  let quoted = false
  let escaped = false
  for await (const chunk of chunks) {
    pending.push(chunk)
    for (; scanned < pending.length; scanned++) {
      const byte = pending.bytes[scanned]
      if (format === 'csv') {
        if (byte === QUOTE) quoted = !quoted
        else if (byte === NEWLINE && !quoted) {
          at = scanned + 1
          rows++
        }
      } else if (escaped) escaped = false
      else if (byte === BACKSLASH) escaped = true
      else if (byte === NEWLINE) {
        at = scanned + 1
        rows++
      }
      if (at === scanned + 1 && (rows >= limits.maxRows || at >= limits.maxBytes)) {
        yield join(pending.bytes.subarray(0, at))
        pending.drop(at)
        scanned = -1
        at = 0
        rows = 0
        sent = true
      }
    }
  }
  if (pending.length > 0 || !sent) yield join(pending.bytes.subarray(0, pending.length))
}

function malformed(what: string): VarveError {
  return new VarveError(`${what}; the data is not a complete binary COPY stream`, { code: 'COPY_MALFORMED' })
}
