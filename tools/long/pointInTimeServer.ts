// A second server beside one of the tests', on a copy of its files: what an operator does to recover to a moment.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chownSync, lchownSync, readdirSync, statSync } from 'node:fs'
import { cp, mkdir, readdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { freePort } from '../testing/freePort.ts'

export interface RecoveredServer {
  readonly url: string
  /** What it wrote while it recovered. */
  log(): string
  stop(): Promise<void>
}

/** Hands a folder and all in it to the owner of another, since Postgres does not run as root. */
export function giveTo(owner: string, folder: string): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(owner)
  chownSync(folder, uid, gid)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
    lchownSync(join(folder, name), uid, gid)
  }
}

/** Folders whose content a base backup leaves out, and files that belong to the running server. */
const EMPTIED = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])
const LEFT_OUT = new Set(['postmaster.pid', 'postmaster.opts', 'pg_internal.init'])

/** Copies a server's files between `pg_backup_start` and `pg_backup_stop`, as the Postgres manual describes. */
export async function copyDataDirectory(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true, mode: 0o700 })
  for (const entry of await readdir(from, { withFileTypes: true })) {
    if (LEFT_OUT.has(entry.name)) continue
    if (EMPTIED.has(entry.name)) {
      await mkdir(join(to, entry.name), { mode: 0o700 })
      continue
    }
    await cp(join(from, entry.name), join(to, entry.name), {
      recursive: true,
      filter: (path) => !/\/(pgsql_tmp[^/]*|pg_internal\.init)$/.test(path),
    })
  }
  await mkdir(join(to, 'pg_wal', 'archive_status'), { recursive: true, mode: 0o700 })
}

/** Starts a server on a restored folder and waits until it has recovered and accepts writes. */
export async function startRecovered(bin: string, data: string): Promise<RecoveredServer> {
  const port = await freePort()
  const { uid, gid } = statSync(data)
  const child: ChildProcess = spawn(
    join(bin, 'postgres'),
    ['-D', data, '-p', String(port), '-h', '127.0.0.1', '-k', '', '-c', 'archive_mode=off'],
    {
      ...(process.getuid?.() === 0 ? { uid, gid } : {}),
      cwd: dirname(data),
      stdio: ['ignore', 'ignore', 'pipe'],
    },
  )
  let log = ''
  child.stderr!.on('data', (chunk: Buffer) => (log += chunk.toString()))
  const deadline = Date.now() + 60_000
  while (!/archive recovery complete[\s\S]*ready to accept connections/.test(log)) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`the recovery did not end:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    log: () => log,
    async stop() {
      if (child.exitCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGINT')
        await ended
      }
      await rm(data, { recursive: true, force: true })
    },
  }
}
