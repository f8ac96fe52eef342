import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname } from 'node:path'

/** Called before each operation that changes the disk, with its name. Crash tests stop the process there. */
export type DiskObserver = (operation: string) => void

/** The few operations a change is made of; each is whole or has not happened once it returns. */
export class Disk {
  readonly #before: DiskObserver

  constructor(before: DiskObserver = () => undefined) {
    this.#before = before
  }

  /** Folders only their owner may enter. */
  makeFolder(path: string, mode = 0o700): void {
    this.#before(`mkdir ${path}`)
    mkdirSync(path, { recursive: true, mode })
  }

  /** Writes a new file through to the disk. */
  writeNew(path: string, content: string | Uint8Array, mode = 0o600): void {
    this.#before(`create ${path}`)
    const file = openSync(path, 'w', mode)
    try {
      this.#before(`write ${path}`)
      writeFileSync(file, content)
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
  }

  rename(from: string, to: string): void {
    this.#before(`rename ${from} ${to}`)
    renameSync(from, to)
    this.#before(`after rename ${to}`)
    this.syncFolder(dirname(to))
  }

  /** No fault when there is no such file. */
  remove(path: string): void {
    this.#before(`remove ${path}`)
    try {
      unlinkSync(path)
    } catch (error) {
      if (!isMissing(error)) throw error
      return
    }
    this.syncFolder(dirname(path))
  }

  removeFolder(path: string): void {
    this.#before(`remove folder ${path}`)
    rmSync(path, { recursive: true, force: true })
  }

  /** Makes names, not only contents, survive a power failure. Some systems cannot sync a folder; they need not. */
  syncFolder(path: string): void {
    if (process.platform === 'win32') return
    const folder = openSync(path, 'r')
    try {
      fsyncSync(folder)
    } finally {
      closeSync(folder)
    }
  }
}

/** The content; `undefined` when there is no such file. */
export function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Names in a folder; `undefined` when there is no such folder. */
export function listNames(path: string): readonly string[] | undefined {
  try {
    return readdirSync(path)
  } catch (error) {
    if (isMissing(error)) return undefined
    throw error
  }
}

/** Permission bits; `undefined` when there is no such file. */
export function modeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.mode
}

export function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT'
}
