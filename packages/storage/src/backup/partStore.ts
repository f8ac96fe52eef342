import { errorMessage, sha256Hex } from '@varve/core'
import { promisify } from 'node:util'
import { constants, gunzip, gzip, zstdCompress, zstdDecompress } from 'node:zlib'
import { decryptBytes, encryptBytes } from '../encryption/encryptStream.ts'
import type { EncryptionKey, EncryptionKeys } from '../encryption/EncryptionKeys.ts'
import type { LakeFiles } from '../lake/LakeFiles.ts'
import { type BackupManifest, type BackupPart, damagedBackup, storedParts } from './manifest.ts'
import type { CheckedBackupSettings } from './options.ts'

/** Folders of stored content; with a key its id is added, so that one content under two keys is two files. */
export const PARTS = 'data'
/** Folder of lake files. */
export const LAKE = 'lake'

/** Files and bytes. */
export interface StoredTotals {
  files: number
  bytes: number
}

/** Puts content into the destination under the name of its hash, once. */
export interface PartWriter {
  put(content: Uint8Array): Promise<BackupPart>
  /** A lake file, under its own path and as it is, apart from encryption. */
  putLakeFile(path: string, content: Uint8Array): Promise<BackupPart>
  /** A lake file that is stored already and may be trusted. */
  findLakeFile(path: string, sha256: string, bytes: number): BackupPart | undefined
  readonly written: StoredTotals
  readonly reused: StoredTotals
}

/** @param trusted - backups whose stored parts are taken over without reading them */
export function createPartWriter(
  destination: LakeFiles,
  settings: CheckedBackupSettings,
  encryption: { readonly keys: EncryptionKeys; readonly key: EncryptionKey } | undefined,
  trusted: readonly BackupManifest[],
): PartWriter {
  const known = new Map<string, BackupPart>()
  for (const manifest of trusted) for (const part of storedParts(manifest)) known.set(part.stored, part)
  const written: StoredTotals = { files: 0, bytes: 0 }
  const reused: StoredTotals = { files: 0, bytes: 0 }
  const under = encryption === undefined ? '' : `-${encryption.key.id}`

  const reuse = (part: BackupPart): BackupPart => {
    reused.files++
    reused.bytes += part.storedBytes
    const { sha256, bytes, stored, storedBytes } = part
    known.set(stored, part)
    return { sha256, bytes, stored, storedBytes }
  }

  const store = async (
    stored: string,
    content: Uint8Array,
    pack: () => Promise<Uint8Array>,
  ): Promise<BackupPart> => {
    const sha256 = sha256Hex(content)
    const before = known.get(stored)
    if (before?.sha256 === sha256 && before.bytes === content.length) return reuse(before)
    const there = await destination.size(stored)
    if (there !== undefined) {
      const part = { sha256, bytes: content.length, stored, storedBytes: there }
      try {
        await readPart(destination, part, encryption?.keys)
        return reuse(part)
      } catch {
        // Damaged or half of something: written anew.
      }
    }
    const packed = await pack()
    const bytes =
      encryption === undefined ? packed : await encryptBytes(packed, encryption.keys, { name: stored })
    await destination.write(stored, bytes)
    written.files++
    written.bytes += bytes.length
    const part = { sha256, bytes: content.length, stored, storedBytes: bytes.length }
    known.set(stored, part)
    return part
  }

  return {
    written,
    reused,
    put: (content) =>
      store(`${PARTS}${under}/${sha256Hex(content)}.${settings.compression}`, content, () =>
        compress(content, settings),
      ),
    putLakeFile: (path, content) => store(`${LAKE}${under}/${path}`, content, () => Promise.resolve(content)),
    findLakeFile(path, sha256, bytes) {
      const part = known.get(`${LAKE}${under}/${path}`)
      return part?.sha256 === sha256 && part.bytes === bytes ? reuse(part) : undefined
    },
  }
}

/**
 * The content of a part, its hash checked.
 *
 * @throws `BACKUP_DAMAGED`, `ENCRYPTION_KEY_WRONG`
 */
export async function readPart(
  source: LakeFiles,
  part: BackupPart,
  keys: EncryptionKeys | undefined,
): Promise<Uint8Array> {
  const { stored, storedBytes, bytes, sha256 } = part
  let content: Uint8Array
  const there = await source.size(stored)
  if (there === undefined) throw damagedBackup(stored, 'it is missing')
  if (there !== storedBytes) throw damagedBackup(stored, `${there} bytes where ${storedBytes} were written`)
  const packed = await source.read(stored, 0, storedBytes)
  const encrypted = /^(data|lake)-/.test(stored)
  if (encrypted && keys === undefined) throw damagedBackup(stored, 'it is encrypted and no key was given')
  const plain = encrypted ? await decryptBytes(packed, keys!, { name: stored }) : packed
  try {
    content = await decompress(plain, stored, bytes)
  } catch (error) {
    throw damagedBackup(stored, errorMessage(error), error)
  }
  if (content.length !== bytes || sha256Hex(content) !== sha256)
    throw damagedBackup(stored, 'its hash does not fit')
  return content
}

async function compress(content: Uint8Array, settings: CheckedBackupSettings): Promise<Uint8Array> {
  switch (settings.compression) {
    case 'zstd':
      return promisify(zstdCompress)(content, {
        params: { [constants.ZSTD_c_compressionLevel]: settings.zstdLevel },
      })
    case 'gzip':
      return gzipOf(content, settings.gzipLevel)
    case 'none':
      return content
  }
}

function gzipOf(content: Uint8Array, level: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    gzip(content, { level }, (error, packed) => {
      if (error === null) resolve(packed)
      else reject(error)
    })
  })
}

/** Never longer than the manifest says: a damaged part must not fill the memory. */
async function decompress(packed: Uint8Array, stored: string, bytes: number): Promise<Uint8Array> {
  const maxOutputLength = Math.max(1, bytes)
  if (stored.startsWith(LAKE)) return packed
  if (stored.endsWith('.zstd')) return promisify(zstdDecompress)(packed, { maxOutputLength })
  if (!stored.endsWith('.gzip')) return packed
  return new Promise((resolve, reject) => {
    gunzip(packed, { maxOutputLength }, (error, content) => {
      if (error === null) resolve(content)
      else reject(error)
    })
  })
}
