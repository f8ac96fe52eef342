import { type Clock, VarveError, checkedOptions, publish, systemClock } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { type FileHandle, link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { hostname } from 'node:os'
import { join } from 'node:path'

import { type DirectoryLockSettings, directoryLockOptionsSchema } from '../options.ts'

export const LOCK_FILE = 'varve.lock'

/** Its data, with their defaults: {@link directoryLockOptionsSchema}. */
export interface DirectoryLockOptions extends DirectoryLockSettings {
  readonly directory: string
  /** @defaultValue `systemClock` */
  readonly clock?: Clock
}

/** A data directory held by this process. */
export interface DirectoryLock {
  readonly token: string
  /** Aborted, with `DIRECTORY_LOCK_LOST`, when somebody else took the directory or its lock file vanished. */
  readonly lost: AbortSignal
  /** Gives the directory back. Releasing twice is fine. */
  release(): Promise<void>
}

interface LockOwner {
  readonly pid: number
  readonly host: string
  /** Boot and pid namespace: only inside the same one does a pid name the same process. */
  readonly realm: string
  /** When the process started, as the kernel counts it; empty where that cannot be known. */
  readonly processStart: string
  readonly token: string
  readonly since: string
}

/**
 * Takes `varve.lock` in a directory, so that the embedded database in it has one opener at a time: two would
 * silently lose rows.
 *
 * The file appears whole and exclusively (hard link of a finished file). An owner on this machine is judged by its
 * process: alive keeps the lock however long it sleeps, dead loses it at once. An owner elsewhere (another host,
 * container or boot) is judged by its heartbeat. Only the holder of a lock named after the dead owner's token may
 * replace that owner, so two takers cannot both win.
 *
 * @throws `DIRECTORY_LOCKED`
 */
export async function acquireDirectoryLock(options: DirectoryLockOptions): Promise<DirectoryLock> {
  const { directory, clock = systemClock } = options
  const { lockStaleMs, heartbeatMs, missedBeats } = checkedOptions(
    directoryLockOptionsSchema,
    options,
    `the lock of ${directory}`,
  )
  const path = join(directory, LOCK_FILE)
  const owner: LockOwner = {
    pid: process.pid,
    host: hostname(),
    realm: realm(),
    processStart: processStart(process.pid) ?? '',
    token: randomUUID(),
    since: new Date(clock.now()).toISOString(),
  }
  const handle = await take(path, owner, { staleMs: lockStaleMs, watchMs: heartbeatMs * missedBeats, clock })
  return hold(path, handle, owner, heartbeatMs, clock)
}

/** How long an owner that can only be judged by its heartbeat is given. */
interface Patience {
  readonly staleMs: number
  readonly watchMs: number
  readonly clock: Clock
}

/** Puts a lock file of `owner` at `path`; returns it open. */
async function take(path: string, owner: LockOwner, patience: Patience): Promise<FileHandle> {
  const draft = `${path}.${owner.token}`
  const text = serialize(owner)
  const handle = await open(draft, 'wx+', 0o600)
  let kept = false
  try {
    await handle.writeFile(text)
    await place(path, draft, owner, patience)
    kept = true
    return handle
  } finally {
    await unlink(draft).catch(ignoreMissing)
    if (!kept) await handle.close()
  }
}

/** Links or moves the finished file `draft` to `path`. */
async function place(path: string, draft: string, owner: LockOwner, patience: Patience): Promise<void> {
  for (;;) {
    try {
      await link(draft, path)
      return
    } catch (error) {
      if (!hasCode(error, 'EEXIST')) throw error
    }
    const found = await inspect(path)
    if (found === undefined) continue // released meanwhile
    if (!(await isDead(found, path, draft, patience))) throw lockedError(path, found.owner)
    // The right to replace this very owner. Named after its token, hence of no use against any later owner.
    const rightPath = `${path}.after-${found.owner?.token ?? 'unreadable'}`
    const right = await take(rightPath, { ...owner, token: randomUUID() }, patience)
    try {
      const still = await inspect(path)
      if (still === undefined || still.inode !== found.inode || still.owner?.token !== found.owner?.token)
        continue
      await rename(draft, path)
      return
    } finally {
      await unlink(rightPath).catch(ignoreMissing)
      await right.close()
    }
  }
}

function hold(
  path: string,
  handle: FileHandle,
  owner: LockOwner,
  heartbeatMs: number,
  clock: Clock,
): DirectoryLock {
  const text = serialize(owner)
  const lost = new AbortController()
  const stopped = new AbortController()
  let releasing: Promise<void> | undefined

  const beat = async (): Promise<void> => {
    while (!stopped.signal.aborted) {
      try {
        await clock.sleep(heartbeatMs, { signal: stopped.signal })
      } catch {
        return
      }
      try {
        if (!(await isOurs(path, handle))) {
          lost.abort(
            new VarveError(
              `the lock ${path} is no longer ours; another process opened this directory. Stop one of the two`,
              {
                code: 'DIRECTORY_LOCK_LOST',
                details: { path, pid: owner.pid },
              },
            ),
          )
          return
        }
        // Writing makes the file system's own clock set the time, which is what others compare against.
        await handle.write(text, 0)
      } catch (error) {
        publish('log', () => ({
          level: 'warn',
          component: 'storage',
          message: `heartbeat of ${path} failed: ${String(error)}`,
        }))
      }
    }
  }
  const beating = beat()

  return {
    token: owner.token,
    lost: lost.signal,
    release() {
      releasing ??= (async () => {
        stopped.abort()
        await beating
        if (await isOurs(path, handle).catch(() => false)) await unlink(path).catch(ignoreMissing)
        await handle.close()
      })()
      return releasing
    },
  }
}

async function isOurs(path: string, handle: FileHandle): Promise<boolean> {
  const ours = await handle.stat()
  try {
    return (await stat(path)).ino === ours.ino
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return false
    throw error
  }
}

interface FoundLock {
  /** `undefined` when the file cannot be understood. */
  readonly owner: LockOwner | undefined
  readonly inode: number
  readonly beatAtMs: number
}

async function inspect(path: string): Promise<FoundLock | undefined> {
  try {
    const [text, info] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    return { owner: parse(text), inode: info.ino, beatAtMs: info.mtimeMs }
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
}

async function isDead(found: FoundLock, path: string, draft: string, patience: Patience): Promise<boolean> {
  const { owner } = found
  if (owner !== undefined && owner.host === hostname() && owner.realm === realm() && owner.realm !== '') {
    const started = processStart(owner.pid)
    if (started === undefined || owner.processStart === '') return !isRunning(owner.pid)
    return started !== owner.processStart
  }
  if (owner !== undefined && owner.host === hostname() && owner.realm === '' && !isRunning(owner.pid))
    return true
  // Both times come from the file system that holds the lock, so clocks of two machines do not matter.
  const { mtimeMs } = await stat(draft)
  if (mtimeMs - found.beatAtMs <= patience.staleMs) return false
  // A machine that just woke up finds every heartbeat old: give the owner time for its next one.
  await patience.clock.sleep(patience.watchMs)
  const later = await inspect(path)
  return later !== undefined && later.inode === found.inode && later.beatAtMs === found.beatAtMs
}

/** True when a process with this id exists, be it somebody else's. */
function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

/**
 * Start time of a process from `/proc`, in clock ticks since boot; `undefined` where `/proc` does not tell. A
 * killed process nobody has waited for yet counts as started never.
 */
function processStart(pid: number): string | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8')
  } catch (error) {
    // On Linux a missing entry means there is no such process.
    return hasCode(error, 'ENOENT') && realm() !== '' ? 'gone' : undefined
  }
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return fields[0] === 'Z' || fields[0] === 'X' ? 'gone' : fields[19]
}

let knownRealm: string | undefined

function realm(): string {
  if (knownRealm === undefined) {
    try {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
      knownRealm = `${boot} ${readlinkSync('/proc/self/ns/pid')}`
    } catch {
      knownRealm = ''
    }
  }
  return knownRealm
}

function serialize(owner: LockOwner): string {
  return `${JSON.stringify(owner)}\n`
}

function parse(text: string): LockOwner | undefined {
  try {
    const value = JSON.parse(text) as Partial<LockOwner>
    if (typeof value.pid !== 'number' || typeof value.token !== 'string' || !/^[\w-]+$/.test(value.token))
      return undefined
    return {
      pid: value.pid,
      token: value.token,
      host: value.host ?? '',
      realm: value.realm ?? '',
      processStart: value.processStart ?? '',
      since: value.since ?? '',
    }
  } catch {
    return undefined
  }
}

function lockedError(path: string, owner: LockOwner | undefined): VarveError {
  const who =
    owner === undefined
      ? 'an unknown process'
      : `process ${owner.pid}${owner.pid === process.pid && owner.host === hostname() ? ' (this one)' : ''} on ${owner.host} since ${owner.since}`
  return new VarveError(
    `the data directory is in use by ${who}: ${path}; close it there, talk to the process that owns it, or use another directory`,
    {
      code: 'DIRECTORY_LOCKED',
      retryable: true,
      details:
        owner === undefined ? { path } : { path, pid: owner.pid, host: owner.host, since: owner.since },
    },
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}

function ignoreMissing(error: unknown): void {
  if (!hasCode(error, 'ENOENT')) throw error
}
