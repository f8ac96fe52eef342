import type { LakeFiles } from '../lake/LakeFiles.ts'
import { encryptBytes } from './encryptStream.ts'
import { damaged } from './encryptionErrors.ts'
import type { EncryptionKeys } from './EncryptionKeys.ts'
import { type BlockCipher, HEADER_END, TAG, openFile, plainSize } from './fileFormat.ts'

interface OpenedFile {
  readonly storedBytes: number
  readonly plainBytes: number
  readonly cipher: BlockCipher
}

/**
 * A lake whose files are encrypted one by one. Paths, and with them the hashes in their names, are those of the
 * plain content. A range read fetches the blocks it needs, and on first sight of a file its header and last block, so
 * that a file that was cut is noticed whatever part is read. Sizes are those of the plain content; `list` computes
 * them for files written with the block size in use now.
 *
 * Rejects with `ENCRYPTED_DATA_DAMAGED` or `ENCRYPTION_KEY_WRONG`; a file that is not encrypted is damaged.
 */
export function createEncryptedLake(lake: LakeFiles, keys: EncryptionKeys): LakeFiles {
  const { fileCache, blockBytes } = keys.settings
  const opened = new Map<string, OpenedFile>()

  /** The file, its size proved. */
  const open = async (path: string): Promise<OpenedFile | undefined> => {
    const storedBytes = await lake.size(path)
    if (storedBytes === undefined) return undefined
    const before = opened.get(path)
    if (before?.storedBytes === storedBytes) return before
    if (storedBytes < HEADER_END) throw damaged(path, `it ends after ${storedBytes} bytes`)
    const cipher = await openFile(await lake.read(path, 0, HEADER_END), keys, path)
    const step = cipher.header.blockBytes + TAG
    const plainBytes = plainSize(storedBytes, cipher.header.blockBytes)
    const last = Math.ceil((storedBytes - HEADER_END) / step) - 1
    if (plainBytes === undefined) throw damaged(path, 'it ends in the middle', Math.max(0, last))
    cipher.decrypt(await lake.read(path, HEADER_END + last * step, storedBytes), last, true)
    const file = { storedBytes, plainBytes, cipher }
    opened.set(path, file)
    const oldest = opened.keys().next().value
    if (opened.size > fileCache && oldest !== undefined) opened.delete(oldest)
    return file
  }

  return {
    location: lake.location,
    async write(path, content) {
      opened.delete(path)
      await lake.write(path, await encryptBytes(content, keys, { name: path }))
    },
    async size(path) {
      return (await open(path))?.plainBytes
    },
    async read(path, start, end) {
      const file = await open(path)
      if (file === undefined) throw new Error(`there is no file ${path} in ${lake.location}`)
      const { cipher, plainBytes, storedBytes } = file
      if (end > plainBytes) throw new Error(`the file ends at byte ${plainBytes}, before ${end}`)
      const target = new Uint8Array(Math.max(0, end - start))
      if (target.length === 0) return target
      const size = cipher.header.blockBytes
      const step = size + TAG
      const first = Math.floor(start / size)
      const lastRead = Math.floor((end - 1) / size)
      const lastOfFile = Math.ceil((storedBytes - HEADER_END) / step) - 1
      const stored = await lake.read(
        path,
        HEADER_END + first * step,
        Math.min(storedBytes, HEADER_END + (lastRead + 1) * step),
      )
      for (let block = first; block <= lastRead; block++) {
        const at = (block - first) * step
        const plain = cipher.decrypt(stored.subarray(at, at + step), block, block === lastOfFile)
        const offset = block * size
        target.set(
          plain.subarray(Math.max(0, start - offset), Math.min(plain.length, end - offset)),
          Math.max(0, offset - start),
        )
      }
      return target
    },
    async *list(prefix) {
      for await (const file of lake.list(prefix)) {
        yield { ...file, bytes: plainSize(file.bytes, blockBytes) ?? file.bytes }
      }
    },
    async delete(path) {
      opened.delete(path)
      await lake.delete(path)
    },
  }
}
