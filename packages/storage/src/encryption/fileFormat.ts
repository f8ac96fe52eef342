import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { damaged } from './encryptionErrors.ts'
import {
  type EncryptionKey,
  type EncryptionKeys,
  SALT_OF_SCRYPT,
  type ScryptDerivation,
} from './EncryptionKeys.ts'

/**
 * An encrypted file: a header, then blocks of AES-256-GCM, each followed by its 16-byte tag. The last block is
 * flagged, may be shorter, and is empty only in an empty file. Each file has a key of its own, so a nonce of block
 * number and flag never repeats. This is the STREAM construction.
 *
 * | bytes | |
 * |---|---|
 * | 8 | `VARVEENC` |
 * | 1 | version, 1 |
 * | 4 | derivation of the key (0 none, 1 scrypt), log2 N, r, p |
 * | 3 | zero |
 * | 4 | block size, big-endian |
 * | 4 | zero |
 * | 16 | key id |
 * | 16 | salt of scrypt |
 * | 32 | file nonce |
 *
 * The header takes part in the file's key, so a changed header opens no block.
 *
 * @see Hoang, Reyhanitabar, Rogaway, Vizár (2015), "Online Authenticated-Encryption and its Nonce-Reuse
 * Misuse-Resistance", CRYPTO 2015, for STREAM
 */
const MAGIC = Buffer.from('VARVEENC', 'latin1')
const VERSION = 1
const AT = {
  version: 8,
  kdf: 9,
  logCost: 10,
  r: 11,
  p: 12,
  block: 16,
  keyId: 24,
  salt: 40,
  nonce: 56,
} as const
/** Bytes of the header. */
export const HEADER_END = 88
/** Bytes of a block's tag, and what a block is longer by. */
export const TAG = 16
const CIPHER = 'aes-256-gcm'
/** Larger than any writer makes them, so that a forged header cannot ask for gigabytes. */
const LARGEST_BLOCK = 1 << 24

/** An encrypted file's header, understood. */
export interface FileHeader {
  readonly bytes: Uint8Array
  readonly blockBytes: number
  readonly keyId: string
  readonly derivation: ScryptDerivation | undefined
}

/** Opens and closes the blocks of one file. */
export interface BlockCipher {
  readonly header: FileHeader
  encrypt(plain: Uint8Array, block: number, last: boolean): Uint8Array
  /** @throws `ENCRYPTED_DATA_DAMAGED` */
  decrypt(stored: Uint8Array, block: number, last: boolean): Uint8Array<ArrayBuffer>
}

/** A new file's header and cipher. `name` is bound to the file: under another name nothing can be read. */
export function newFile(key: EncryptionKey, blockBytes: number, name: string): BlockCipher {
  const bytes = Buffer.alloc(HEADER_END)
  MAGIC.copy(bytes)
  bytes[AT.version] = VERSION
  const { derivation } = key
  if (derivation !== undefined) {
    bytes[AT.kdf] = 1
    bytes[AT.logCost] = derivation.logCost
    bytes[AT.r] = derivation.blockSize
    bytes[AT.p] = derivation.parallelism
    bytes.write(derivation.salt, AT.salt, 'hex')
  }
  bytes.writeUInt32BE(blockBytes, AT.block)
  bytes.write(key.id, AT.keyId, 'hex')
  randomBytes(HEADER_END - AT.nonce).copy(bytes, AT.nonce)
  return blockCipher({ bytes, blockBytes, keyId: key.id, derivation }, key, name)
}

/**
 * The cipher of a stored file.
 *
 * @throws `ENCRYPTED_DATA_DAMAGED`, `ENCRYPTION_KEY_WRONG`
 */
export async function openFile(stored: Uint8Array, keys: EncryptionKeys, name: string): Promise<BlockCipher> {
  const header = parseHeader(stored, name)
  return blockCipher(header, await keys.find(header.keyId, header.derivation), name)
}

function parseHeader(stored: Uint8Array, name: string): FileHeader {
  const bytes = Buffer.from(stored.subarray(0, HEADER_END))
  if (bytes.length < HEADER_END) throw damaged(name, `it ends after ${bytes.length} bytes`)
  if (!MAGIC.equals(bytes.subarray(0, MAGIC.length)))
    throw damaged(name, 'it does not begin as encrypted data does')
  if (bytes[AT.version] !== VERSION) {
    throw damaged(name, `format version ${bytes[AT.version]}, this version reads ${VERSION}`)
  }
  const blockBytes = bytes.readUInt32BE(AT.block)
  if (blockBytes < 1 || blockBytes > LARGEST_BLOCK) throw damaged(name, `blocks of ${blockBytes} bytes`)
  const kdf = bytes[AT.kdf]!
  if (kdf > 1) throw damaged(name, `unknown key derivation ${kdf}`)
  const derivation =
    kdf === 0
      ? undefined
      : {
          salt: bytes.toString('hex', AT.salt, AT.salt + SALT_OF_SCRYPT),
          logCost: bytes[AT.logCost]!,
          blockSize: bytes[AT.r]!,
          parallelism: bytes[AT.p]!,
        }
  return { bytes, blockBytes, keyId: bytes.toString('hex', AT.keyId, AT.salt), derivation }
}

function blockCipher(header: FileHeader, key: EncryptionKey, name: string): BlockCipher {
  const fileKey = key.fileKey(header.bytes.subarray(AT.nonce), header.bytes)
  const label = Buffer.from(name, 'utf8')
  const nonceOf = (block: number, last: boolean) => {
    const nonce = Buffer.alloc(12)
    nonce[0] = last ? 1 : 0
    nonce.writeBigUInt64BE(BigInt(block), 4)
    return nonce
  }
  // Number and flag stand here too: the check must not rest on the nonce alone.
  const boundTo = (nonce: Uint8Array) => Buffer.concat([nonce, label])
  return {
    header,
    encrypt(plain, block, last) {
      const nonce = nonceOf(block, last)
      const cipher = createCipheriv(CIPHER, fileKey, nonce, { authTagLength: TAG })
      cipher.setAAD(boundTo(nonce))
      return Buffer.concat([cipher.update(plain), cipher.final(), cipher.getAuthTag()])
    },
    decrypt(stored, block, last) {
      if (stored.length < TAG) throw damaged(name, 'it ends in the middle', block)
      const nonce = nonceOf(block, last)
      const decipher = createDecipheriv(CIPHER, fileKey, nonce, { authTagLength: TAG })
      decipher.setAAD(boundTo(nonce))
      decipher.setAuthTag(stored.subarray(stored.length - TAG))
      try {
        const plain = decipher.update(stored.subarray(0, stored.length - TAG))
        decipher.final()
        return new Uint8Array(plain)
      } catch (error) {
        throw Object.assign(damaged(name, 'it is not what was written there', block), { cause: error })
      }
    },
  }
}

/** Bytes of a file once encrypted. */
export function encryptedSize(plainBytes: number, blockBytes: number): number {
  return HEADER_END + plainBytes + Math.max(1, Math.ceil(plainBytes / blockBytes)) * TAG
}

/**
 * Bytes of a file before encryption; `undefined` when no file has that many once encrypted. What this says is only
 * as true as the size: the last block must be opened to be sure.
 */
export function plainSize(storedBytes: number, blockBytes: number): number | undefined {
  const body = storedBytes - HEADER_END
  const blocks = Math.ceil(body / (blockBytes + TAG))
  const plain = body - blocks * TAG
  const inLast = plain - (blocks - 1) * blockBytes
  if (blocks < 1 || inLast < 0 || (inLast === 0 && blocks > 1)) return undefined
  return plain
}
