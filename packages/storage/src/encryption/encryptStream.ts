import { damaged } from './encryptionErrors.ts'
import type { EncryptionKeys } from './EncryptionKeys.ts'
import { HEADER_END, TAG, newFile, openFile } from './fileFormat.ts'

/** What is encrypted or decrypted, in pieces of any size. */
export type ByteChunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>

export interface EncryptOptions {
  /** What the data is called; it can be decrypted under the same name only. @defaultValue `''` */
  readonly name?: string
}

/**
 * Data as an encrypted file, with the current key. One block is held in memory.
 *
 * @throws nothing of its own
 */
export async function* encryptStream(
  plain: ByteChunks,
  keys: EncryptionKeys,
  { name = '' }: EncryptOptions = {},
): AsyncGenerator<Uint8Array> {
  const { blockBytes } = keys.settings
  const cipher = newFile(await keys.current(), blockBytes, name)
  yield cipher.header.bytes
  const pieces = new Pieces()
  let block = 0
  for await (const chunk of plain) {
    pieces.push(chunk)
    // One byte more must have come before a block is known not to be the last.
    while (pieces.length > blockBytes) yield cipher.encrypt(pieces.take(blockBytes), block++, false)
  }
  yield cipher.encrypt(pieces.take(pieces.length), block, true)
}

/**
 * The data of an encrypted file. Each block is checked before it is handed on; when the file was cut, what came
 * before is handed on and then the iteration fails, so keep nothing before its end.
 *
 * @throws `ENCRYPTED_DATA_DAMAGED` with the block, `ENCRYPTION_KEY_WRONG`
 */
export async function* decryptStream(
  stored: ByteChunks,
  keys: EncryptionKeys,
  { name = '' }: EncryptOptions = {},
): AsyncGenerator<Uint8Array> {
  const pieces = new Pieces()
  let cipher: Awaited<ReturnType<typeof openFile>> | undefined
  let block = 0
  for await (const chunk of stored) {
    pieces.push(chunk)
    if (cipher === undefined) {
      if (pieces.length < HEADER_END) continue
      cipher = await openFile(pieces.take(HEADER_END), keys, name)
    }
    const size = cipher.header.blockBytes + TAG
    while (pieces.length > size) yield cipher.decrypt(pieces.take(size), block++, false)
  }
  if (cipher === undefined) throw damaged(name, `it ends after ${pieces.length} bytes`)
  const last = cipher.decrypt(pieces.take(pieces.length), block, true)
  if (last.length > 0) yield last
}

/** Data in memory, encrypted. */
export async function encryptBytes(
  plain: Uint8Array,
  keys: EncryptionKeys,
  options?: EncryptOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  return collect(encryptStream([plain], keys, options))
}

/**
 * Encrypted data in memory, decrypted: whole or not at all.
 *
 * @throws `ENCRYPTED_DATA_DAMAGED`, `ENCRYPTION_KEY_WRONG`
 */
export async function decryptBytes(
  stored: Uint8Array,
  keys: EncryptionKeys,
  options?: EncryptOptions,
): Promise<Uint8Array<ArrayBuffer>> {
  return collect(decryptStream([stored], keys, options))
}

/** All chunks as one. */
export async function collect(chunks: ByteChunks): Promise<Uint8Array<ArrayBuffer>> {
  const list: Uint8Array[] = []
  for await (const chunk of chunks) list.push(chunk)
  const whole = new Uint8Array(list.reduce((sum, chunk) => sum + chunk.length, 0))
  let at = 0
  for (const chunk of list) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

/** Chunks of any size, taken in sizes of one's own. */
class Pieces {
  length = 0
  readonly #waiting: Uint8Array[] = []

  push(chunk: Uint8Array): void {
    if (chunk.length === 0) return
    this.#waiting.push(chunk)
    this.length += chunk.length
  }

  /** The first `size` bytes, which must be there. */
  take(size: number): Uint8Array {
    const first = this.#waiting[0]
    this.length -= size
    if (first !== undefined && first.length > size) {
      this.#waiting[0] = first.subarray(size)
      return first.subarray(0, size)
    }
    const whole = new Uint8Array(size)
    let at = 0
    while (at < size) {
      const next = this.#waiting.shift()!
      const part = next.subarray(0, size - at)
      whole.set(part, at)
      at += part.length
      if (part.length < next.length) this.#waiting.unshift(next.subarray(part.length))
    }
    return whole
  }
}
