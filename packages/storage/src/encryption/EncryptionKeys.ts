import { type Secret, VarveError, checkedOptions } from '@varve/core'
import { createHmac, hkdfSync, randomBytes, scrypt } from 'node:crypto'
import { keyWrong } from './encryptionErrors.ts'
import { type EncryptionSettings, encryptionOptionsSchema } from './options.ts'

/** Shape of every key: AES-256. */
const KEY_SIZE_OF_AES = 32
/** Half of a SHA-256 says which key it is without saying anything about it. */
const ID_DIGITS = 32
/** Recommended by RFC 7914 section 2 and NIST SP 800-132. */
export const SALT_OF_SCRYPT = 16

/** How a passphrase became a key; not secret. */
export interface ScryptDerivation {
  /** 16 random bytes, hexadecimal. */
  readonly salt: string
  /** Binary logarithm of the cost N. */
  readonly logCost: number
  readonly blockSize: number
  readonly parallelism: number
}

/** A key of 32 bytes. The bytes cannot be read; files and seals are derived from them. */
export class EncryptionKey {
  /** 32 hexadecimal digits that name the key and say nothing about it. */
  readonly id: string
  /** Present when the key comes from a passphrase. */
  readonly derivation: ScryptDerivation | undefined
  readonly #bytes: Uint8Array

  constructor(bytes: Uint8Array, derivation: ScryptDerivation | undefined) {
    this.#bytes = Uint8Array.from(bytes)
    this.derivation = derivation
    this.id = createHmac('sha256', this.#bytes).update('varve key id').digest('hex').slice(0, ID_DIGITS)
  }

  /** Key of one file: different for every nonce and header. HKDF with SHA-256 (RFC 5869). */
  fileKey(nonce: Uint8Array, header: Uint8Array): Uint8Array {
    return new Uint8Array(
      hkdfSync(
        'sha256',
        this.#bytes,
        nonce,
        Buffer.concat([Buffer.from('varve encrypted file 1\0'), header]),
        KEY_SIZE_OF_AES,
      ),
    )
  }

  /** HMAC-SHA-256 over a text, hexadecimal: who has the key can tell whether the text is the one that was sealed. */
  seal(text: string): string {
    const key = new Uint8Array(hkdfSync('sha256', this.#bytes, '', 'varve seal 1', KEY_SIZE_OF_AES))
    return createHmac('sha256', key).update(text).digest('hex')
  }
}

/** Its data, with their defaults: {@link encryptionOptionsSchema}. */
export interface EncryptionKeysOptions extends EncryptionSettings {
  /** 32 bytes as 64 hexadecimal digits or as base64; anything else is a passphrase. */
  readonly secret: Secret
  /** Keys of earlier days, to read what was written with them. */
  readonly previous?: readonly Secret[]
}

/** The keys of one owner: one to write with, all of them to read with. */
export interface EncryptionKeys {
  /** The options, checked. */
  readonly settings: Required<EncryptionSettings>
  /** The key that new data is written with. A passphrase is turned into one at the first call. */
  current(): Promise<EncryptionKey>
  /**
   * The key some data was written with.
   *
   * @param derivation - how a passphrase became that key
   * @throws `ENCRYPTION_KEY_WRONG`
   */
  find(id: string, derivation: ScryptDerivation | undefined): Promise<EncryptionKey>
  /**
   * Writes with a salt that was used before, so that equal data keeps its name.
   *
   * @returns the key, which `current` answers from now on; `undefined` when the current secret does not give it
   */
  continueWith(id: string, derivation: ScryptDerivation): Promise<EncryptionKey | undefined>
}

/**
 * Keys from secrets.
 *
 * @throws `ENCRYPTION_KEY_INVALID` for a passphrase that is too short, `OPTION_INVALID`
 */
export function createEncryptionKeys(options: EncryptionKeysOptions): EncryptionKeys {
  const { secret, previous = [], ...data } = options
  const settings = checkedOptions(encryptionOptionsSchema, data, 'the encryption keys')
  const secrets = [secret, ...previous]
  for (const one of secrets) checkSecret(one, settings.minPassphraseCharacters)
  const known = new Map<string, Promise<EncryptionKey | undefined>>()
  let current: Promise<EncryptionKey> | undefined

  return {
    settings,
    current() {
      current ??= keyOf(secret, () => ({
        salt: randomBytes(SALT_OF_SCRYPT).toString('hex'),
        logCost: settings.scryptLogCost,
        blockSize: settings.scryptBlockSize,
        parallelism: settings.scryptParallelism,
      }))
      return current
    },
    async find(id, derivation) {
      const already = await current?.catch(() => undefined)
      if (already?.id === id) return already
      const name = `${id}|${derivation === undefined ? '' : Object.values(derivation).join('|')}`
      let found = known.get(name)
      if (found === undefined) {
        found = search(secrets, id, derivation)
        known.set(name, found)
      }
      const key = await found
      if (key === undefined) {
        known.delete(name) // ids of strangers must not pile up
        throw keyWrong(id)
      }
      return key
    },
    async continueWith(id, derivation) {
      const key = await search([secret], id, derivation)
      if (key !== undefined) current = Promise.resolve(key)
      return key
    },
  }

  async function search(
    among: readonly Secret[],
    id: string,
    derivation: ScryptDerivation | undefined,
  ): Promise<EncryptionKey | undefined> {
    for (const one of among) {
      const raw = rawKey(one) !== undefined
      if (raw !== (derivation === undefined)) continue
      if (derivation !== undefined && scryptMemory(derivation) > settings.maxScryptBytes) return undefined
      const key = await keyOf(one, () => derivation!)
      if (key.id === id) return key
    }
    return undefined
  }
}

/** Bytes that scrypt takes: N + p + 2 blocks of 128 · r (RFC 7914, section 5, and OpenSSL's own buffers). */
function scryptMemory({ logCost, blockSize, parallelism }: ScryptDerivation): number {
  return 128 * blockSize * (2 ** logCost + parallelism + 2)
}

async function keyOf(secret: Secret, derivation: () => ScryptDerivation): Promise<EncryptionKey> {
  const raw = rawKey(secret)
  if (raw !== undefined) return new EncryptionKey(raw, undefined)
  const how = derivation()
  const bytes = await new Promise<Uint8Array>((resolve, reject) => {
    scrypt(
      secret.reveal().normalize('NFKC'),
      Buffer.from(how.salt, 'hex'),
      KEY_SIZE_OF_AES,
      {
        N: 2 ** how.logCost,
        r: how.blockSize,
        p: how.parallelism,
        maxmem: scryptMemory(how),
      },
      (error, key) => {
        if (error === null) resolve(key)
        else reject(error)
      },
    )
  })
  return new EncryptionKey(bytes, how)
}

/** The 32 bytes a secret spells out; `undefined` for a passphrase. */
function rawKey(secret: Secret): Uint8Array | undefined {
  const text = secret.reveal().trim()
  if (/^[0-9a-fA-F]{64}$/.test(text)) return Buffer.from(text, 'hex')
  if (!/^[A-Za-z0-9+/]{43}=$/.test(text) && !/^[A-Za-z0-9_-]{43}=?$/.test(text)) return undefined
  const bytes = Buffer.from(text, 'base64url')
  return bytes.length === KEY_SIZE_OF_AES ? bytes : undefined
}

function checkSecret(secret: Secret, minCharacters: number): void {
  if (rawKey(secret) !== undefined || [...secret.reveal()].length >= minCharacters) return
  throw new VarveError(
    `the encryption secret is neither 32 bytes (64 hexadecimal digits, or base64) nor a passphrase of at least ${minCharacters} characters; make a key with "openssl rand -base64 32"`,
    { code: 'ENCRYPTION_KEY_INVALID', details: { minCharacters } },
  )
}
