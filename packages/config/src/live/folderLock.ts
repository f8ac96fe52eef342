import { randomUUID } from 'node:crypto'
import { chmodSync, linkSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join, resolve } from 'node:path'
import { z } from 'zod'
import { readIfThere } from './disk.ts'
import { folderLocked } from './errors.ts'
import { VERSIONS_FOLDER } from './files.ts'

const holderSchema = z.object({ pid: z.int(), host: z.string(), token: z.string() })

/** Locks this process holds, so that a lock left by an earlier process with our number is told from our own. */
const held = new Set<string>()

/**
 * Keeps two processes from changing one configuration folder at a time. A lock whose process is gone from this
 * machine is taken over; one of another machine is not, since nobody here can know.
 *
 * @returns ends the lock
 * @throws `CONFIG_LOCKED` at once, without waiting
 */
export function lockFolder(directory: string): Disposable {
  const folder = join(resolve(directory), VERSIONS_FOLDER)
  const path = join(folder, 'lock')
  const token = randomUUID()
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  chmodSync(folder, 0o700) // it may have been copied here with looser permissions
  const text = JSON.stringify({ pid: process.pid, host: hostname(), token })
  if (!create(path, text)) {
    takeOver(directory, path)
    if (!create(path, text)) throw folderLocked(directory, 'another process')
  }
  held.add(token)
  return {
    [Symbol.dispose]() {
      if (!held.delete(token)) return
      if (readHolder(path)?.token === token) rmSync(path, { force: true })
    },
  }
}

/** Links a written file into place, so that a lock is never seen without its content. */
function create(path: string, text: string): boolean {
  const draft = `${path}.${randomUUID()}`
  writeFileSync(draft, text, { mode: 0o600 })
  try {
    linkSync(draft, path)
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(draft, { force: true })
  }
}

function readHolder(path: string) {
  const content = readIfThere(path)
  if (content === undefined) return undefined
  try {
    return holderSchema.parse(JSON.parse(content.toString('utf8')))
  } catch {
    return { pid: 0, host: 'an unknown machine', token: content.toString('utf8') }
  }
}

function takeOver(directory: string, path: string): void {
  const holder = readHolder(path)
  if (holder === undefined) return
  const name = `process ${holder.pid} on ${holder.host}`
  const gone =
    holder.host === hostname() &&
    (holder.pid === process.pid ? !held.has(holder.token) : !isAlive(holder.pid))
  if (!gone) throw folderLocked(directory, name)
  const aside = `${path}.${randomUUID()}`
  try {
    renameSync(path, aside)
  } catch {
    throw folderLocked(directory, name) // another process took it over first
  }
  const taken = readHolder(aside)
  if (taken?.token === holder.token) rmSync(aside, { force: true })
  else {
    // Between reading and renaming somebody else took it over: what was moved aside is theirs.
    renameSync(aside, path)
    throw folderLocked(directory, 'another process')
  }
}

/** Whether a process of this number runs on this machine. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}
