import { type Clock, VarveError } from '@varve/core'
import { randomUUID } from 'node:crypto'
import { readFileSync, readlinkSync } from 'node:fs'
import { link, readFile, rename, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { hostname } from 'node:os'

interface Owner {
  readonly token: string
  readonly pid: number
  readonly host: string
  /** Namespace of process ids: two containers of one host name have two, and a pid means something in its own only. */
  readonly realm: string
  /** Boot of the machine and start of the process, where the system tells: a pid alone is used again. */
  readonly started: string
}

/** A file that belongs to this process. */
export interface FileOwnership {
  /** @throws `STATE_FILE_LOCKED` when somebody else took the file over */
  check(): Promise<void>
  release(): Promise<void>
}

export interface FileOwnerOptions {
  readonly clock: Clock
  readonly heartbeatMs: number
  readonly staleMs: number
}

/**
 * Takes `PATH.lock`. It appears whole and exclusively, as a hard link of a finished file. An owner on this machine is
 * judged by its process, one elsewhere (a container counts as elsewhere) by its heartbeat. A dead owner is replaced only by whoever holds the file named
 * after that owner's token, so that of two takers one wins.
 *
 * @throws `STATE_FILE_LOCKED`
 */
export async function ownFile(path: string, options: FileOwnerOptions): Promise<FileOwnership> {
  const lockPath = `${path}.lock`
  const owner: Owner = {
    token: randomUUID(),
    pid: process.pid,
    host: hostname(),
    realm: realm(),
    started: processStart(process.pid),
  }
  await take(lockPath, owner, options.staleMs)
  const ended = new AbortController()
  const check = async (): Promise<void> => {
    const found = await readOwner(lockPath)
    if (found?.token !== owner.token) throw locked(lockPath, found)
  }
  const beat = async (): Promise<void> => {
    while (!ended.signal.aborted) {
      await options.clock.sleep(options.heartbeatMs, { signal: ended.signal }).catch(() => undefined)
      if (ended.signal.aborted) return
      const now = new Date(options.clock.now())
      // Should somebody have taken the file over, the next write hears of it.
      await check().then(
        () => utimes(lockPath, now, now),
        () => undefined,
      )
    }
  }
  void beat().catch(() => undefined)
  return {
    check,
    async release() {
      if (ended.signal.aborted) return
      ended.abort()
      if ((await readOwner(lockPath))?.token === owner.token) await rm(lockPath, { force: true })
    },
  }
}

async function take(path: string, owner: Owner, staleMs: number): Promise<void> {
  const draft = `${path}.${owner.token}`
  await writeFile(draft, JSON.stringify(owner), { flag: 'wx', mode: 0o600 })
  try {
    for (;;) {
      try {
        await link(draft, path)
        return
      } catch (error) {
        if (!hasCode(error, 'EEXIST')) throw error
      }
      const found = await readOwner(path)
      if (found === undefined) continue // released meanwhile
      if (!(await isDead(path, draft, found, staleMs))) throw locked(path, found)
      const right = `${path}.after-${found.token}`
      await take(right, { ...owner, token: randomUUID() }, staleMs)
      try {
        if ((await readOwner(path))?.token !== found.token) continue
        await rename(draft, path)
        return
      } finally {
        await rm(right, { force: true })
      }
    }
  } finally {
    await rm(draft, { force: true })
  }
}

async function readOwner(path: string): Promise<Owner | undefined> {
  let text: string
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return undefined
    throw error
  }
  try {
    const { token, pid, host, realm, started } = JSON.parse(text) as Partial<Owner>
    if (token !== undefined && /^[\w-]+$/.test(token) && pid !== undefined) {
      return { token, pid, host: host ?? '', realm: realm ?? '', started: started ?? '' }
    }
  } catch {
    // Told below.
  }
  throw locked(path, undefined)
}

async function isDead(path: string, draft: string, owner: Owner, staleMs: number): Promise<boolean> {
  if (owner.host === hostname() && owner.realm === realm()) {
    if (!isRunning(owner.pid)) return true
    return owner.started !== '' && owner.started !== processStart(owner.pid)
  }
  // Both times come from the file system, so clocks of two machines do not matter.
  const [theirs, ours] = await Promise.all([stat(path), stat(draft)])
  return ours.mtimeMs - theirs.mtimeMs > staleMs
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return hasCode(error, 'EPERM')
  }
}

function realm(): string {
  try {
    return readlinkSync('/proc/self/ns/pid')
  } catch {
    return ''
  }
}

/** Boot and start of a process from `/proc`; empty where there is none. */
function processStart(pid: number): string {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = text
      .slice(text.lastIndexOf(')') + 1)
      .trim()
      .split(' ')
    const STATE = 0
    const START_TIME = 19
    // A killed process nobody has waited for yet has not run since.
    return fields[STATE] === 'Z' || fields[STATE] === 'X' ? 'gone' : `${boot} ${fields[START_TIME] ?? ''}`
  } catch {
    return ''
  }
}

function locked(path: string, owner: Owner | undefined): VarveError {
  const who = owner === undefined ? 'an unknown process' : `process ${owner.pid} on ${owner.host}`
  return new VarveError(
    `the state file is in use by ${who} (${path}); stop it, use another file, or, if it is gone for good, remove the lock file`,
    {
      code: 'STATE_FILE_LOCKED',
      retryable: true,
      details: owner === undefined ? { path } : { path, pid: owner.pid, host: owner.host },
    },
  )
}

function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
