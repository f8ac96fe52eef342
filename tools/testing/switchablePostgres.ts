// A Postgres of its own that can be killed as by a power switch and started again on the same data.
import { systemClock } from '@varve/core'
import { type PostgresClient, createPostgresClient } from '@varve/storage'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { connect } from 'node:net'
import { dirname, join } from 'node:path'
import { startPostgres } from './postgres.ts'

const START_TIMEOUT_MS = 60_000
const LOOK_AGAIN_MS = 20
/** A file system keeps what a killed process wrote: only losing power would need the flushes. */
const SETTINGS = { fsync: 'off', full_page_writes: 'off', synchronous_commit: 'on', max_connections: '100' }

export interface SwitchablePostgres {
  readonly url: string
  /** SIGQUIT: no goodbye to anybody, recovery at the next start. */
  kill(): Promise<void>
  /** Resolves once the server accepts connections again. */
  start(): Promise<void>
  stop(): Promise<void>
}

export async function startSwitchablePostgres(): Promise<SwitchablePostgres> {
  const server = await startPostgres(SETTINGS)
  const look = createPostgresClient({ connectionString: server.url, maxConnections: 1 })
  const { data, binaries } = await placesOf(look)
  await look.close()
  const port = new URL(server.url).port
  let pid = server.pid
  let child: ChildProcess | undefined

  const kill = async (): Promise<void> => {
    if (child !== undefined && child.exitCode !== null) return
    const ended = child === undefined ? gone(pid) : once(child, 'exit')
    process.kill(pid, 'SIGQUIT')
    await ended
  }
  /** `false` when the server gave up, as it does while a process of the killed one still holds its memory. */
  const tryToStart = async (): Promise<boolean> => {
    const { uid, gid } = statSync(data)
    const settings = Object.entries(SETTINGS).flatMap(([key, value]) => ['-c', `${key}=${value}`])
    const started = spawn(
      join(binaries, 'postgres'),
      ['-D', data, '-p', port, '-h', '127.0.0.1', '-k', '', ...settings],
      { ...(process.getuid?.() === 0 ? { uid, gid } : {}), cwd: dirname(data), stdio: 'ignore' },
    )
    child = started
    pid = started.pid!
    while (started.exitCode === null) {
      if (await answers(Number(port))) return true
      await systemClock.sleep(LOOK_AGAIN_MS)
    }
    return false
  }
  return {
    url: server.url,
    kill,
    async start() {
      const until = systemClock.monotonicMs() + START_TIMEOUT_MS
      while (!(await tryToStart())) {
        if (systemClock.monotonicMs() > until) throw new Error(`Postgres in ${data} did not start again`)
        await systemClock.sleep(LOOK_AGAIN_MS)
      }
    },
    async stop() {
      if (child !== undefined) await kill()
      await server.stop()
    },
  }
}

async function placesOf(client: PostgresClient): Promise<{ data: string; binaries: string }> {
  const { rows } = await client.query<{ data: string; binaries: string }>(
    `SELECT current_setting('data_directory') AS data, (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS binaries`,
  )
  return rows[0]!
}

async function gone(pid: number): Promise<void> {
  for (;;) {
    try {
      process.kill(pid, 0)
    } catch {
      return
    }
    await systemClock.sleep(LOOK_AGAIN_MS)
  }
}

/** Whether the server says anything but "starting up" to a client that asks. */
function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const end = (answer: boolean): void => {
      socket.destroy()
      resolve(answer)
    }
    socket.once('connect', () => {
      // Protocol 3.0, user and database postgres; R asks for authentication, E says not yet.
      const body = Buffer.from('user\0postgres\0database\0postgres\0\0')
      const head = Buffer.alloc(8)
      head.writeInt32BE(body.length + 8, 0)
      head.writeInt32BE(196_608, 4)
      socket.write(Buffer.concat([head, body]))
    })
    socket.once('data', (said: Buffer) => end(said[0] === 'R'.charCodeAt(0)))
    socket.once('error', () => end(false))
    socket.once('close', () => resolve(false))
  })
}
