import { VarveError, errorMessage } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { type FileHandle, mkdir, open, opendir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join, relative, resolve, sep } from 'node:path'
import type { LakeFileInfo, LakeFiles } from './LakeFiles.ts'

export interface LocalLakeOptions {
  /** Created when missing. */
  readonly directory: string
}

/** Files being written carry this suffix; a crash leaves one behind, which a sweep removes. */
export const TEMPORARY_SUFFIX = '.tmp'

/** A lake in a directory of this machine. */
export function createLocalLake(options: LocalLakeOptions): LakeFiles {
  const root = resolve(options.directory)
  const absolute = (path: string) => {
    const full = resolve(root, path)
    if (full !== root && !full.startsWith(root + sep)) {
      throw new VarveError(`the lake path "${path}" lies outside ${root}`, {
        code: 'LAKE_PATH_INVALID',
        details: { path },
      })
    }
    return full
  }
  return {
    location: root,
    async write(path, content) {
      const target = absolute(path)
      const folder = dirname(target)
      await makeDurableDirectory(folder, root).catch((error: unknown) => {
        throw writeFailed(root, path, error)
      })
      const temporary = `${target}.${randomUUID()}${TEMPORARY_SUFFIX}`
      try {
        const handle = await open(temporary, 'wx')
        try {
          await handle.writeFile(content)
          await handle.sync()
        } finally {
          await handle.close()
        }
        await rename(temporary, target)
        await syncDirectory(folder)
      } catch (error) {
        await rm(temporary, { force: true }).catch(() => undefined)
        throw writeFailed(root, path, error)
      }
    },
    async size(path) {
      try {
        const info = await stat(absolute(path))
        return info.isFile() ? info.size : undefined
      } catch (error) {
        if (isMissing(error)) return undefined
        throw error
      }
    },
    async read(path, start, end) {
      const handle = await open(absolute(path), 'r')
      try {
        return await readExactly(handle, start, end)
      } finally {
        await handle.close()
      }
    },
    async *list(prefix = '') {
      yield* walk(absolute(prefix), root)
    },
    async delete(path) {
      await rm(absolute(path), { force: true })
    },
  }
}

async function readExactly(handle: FileHandle, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const target = new Uint8Array(end - start)
  let filled = 0
  while (filled < target.length) {
    const { bytesRead } = await handle.read(target, filled, target.length - filled, start + filled)
    if (bytesRead === 0) throw new Error(`the file ends at byte ${start + filled}, before ${end}`)
    filled += bytesRead
  }
  return target
}

/** A new directory survives a power cut only once its parent has been synced. */
async function makeDurableDirectory(folder: string, root: string): Promise<void> {
  const first = await mkdir(folder, { recursive: true })
  if (first === undefined) return
  for (let at = folder; at.startsWith(root); at = dirname(at)) {
    await syncDirectory(dirname(at))
    if (at === first || at === root) break
  }
}

async function syncDirectory(folder: string): Promise<void> {
  // Windows cannot open a directory; there a rename is durable by the file system's journal.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function* walk(folder: string, root: string): AsyncGenerator<LakeFileInfo> {
  let directory
  try {
    directory = await opendir(folder)
  } catch (error) {
    if (isMissing(error)) return
    throw error
  }
  for await (const entry of directory) {
    const full = join(folder, entry.name)
    if (entry.isDirectory()) yield* walk(full, root)
    else if (entry.isFile()) {
      try {
        const info = await stat(full)
        yield { path: relative(root, full).split(sep).join('/'), bytes: info.size, modifiedAt: info.mtimeMs }
      } catch (error) {
        if (!isMissing(error)) throw error
      }
    }
  }
}

/** Disk full, read-only, no permission: nothing was written, and once it is mended the same write succeeds. */
function writeFailed(root: string, path: string, cause: unknown): VarveError {
  const reason = cause instanceof Error && 'code' in cause ? String(cause.code) : undefined
  const advice =
    reason === 'ENOSPC' || reason === 'EDQUOT'
      ? 'the disk is full: make room'
      : 'check that the directory can be written'
  return new VarveError(`cannot write ${path} to the lake in ${root} (${errorMessage(cause)}); ${advice}`, {
    code: 'LAKE_UNREACHABLE',
    retryable: true,
    cause,
    details: { path, location: root, reason },
  })
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')
}
