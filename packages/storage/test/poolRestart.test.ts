import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
// eslint-disable-next-line @nx/enforce-module-boundaries -- a server of its own, which no package may bring along
import { type TestPostgres, startPostgres } from '../../../tools/testing/postgres.ts'
import { createPostgresClient } from '../src/hot/PostgresClient.ts'

const RESTARTS = 3
const UP_MS = 900
const DOWN_MS = 300
const WRITERS = 120
const CONNECTIONS = 10

/** A server that can be killed as by a power switch and started again on the same data. */
interface Switchable {
  readonly url: string
  kill(): Promise<void>
  start(): Promise<void>
  stop(): Promise<void>
}

async function startSwitchable(): Promise<Switchable> {
  // Commits must be in the kernel before they are acknowledged: killing a process loses nothing that is there.
  const server: TestPostgres = await startPostgres({ synchronous_commit: 'on' })
  const look = createPostgresClient({ connectionString: server.url, maxConnections: 1 })
  const { rows } = await look.query<{ data: string; binaries: string }>(
    `SELECT current_setting('data_directory') AS data, (SELECT setting FROM pg_config WHERE name = 'BINDIR') AS binaries`,
  )
  await look.close()
  const { data, binaries } = rows[0]!
  const { uid, gid } = statSync(data)
  const port = new URL(server.url).port
  let pid = server.pid
  let again: ChildProcess | undefined
  const gone = async (): Promise<void> => {
    for (;;) {
      try {
        process.kill(pid, 0)
      } catch {
        return
      }
      await pause(10)
    }
  }
  const kill = async (): Promise<void> => {
    process.kill(pid, 'SIGQUIT') // "immediate": no goodbye, recovery at the next start
    await (again === undefined || again.exitCode !== null ? gone() : once(again, 'exit'))
  }
  return {
    url: server.url,
    kill,
    start() {
      again = spawn(
        join(binaries, 'postgres'),
        [
          '-D',
          data,
          '-p',
          port,
          '-h',
          '127.0.0.1',
          '-k',
          '',
          '-c',
          'fsync=off',
          '-c',
          'full_page_writes=off',
        ],
        {
          ...(process.getuid?.() === 0 ? { uid, gid } : {}),
          cwd: dirname(data),
          stdio: 'ignore',
        },
      )
      pid = again.pid!
      return Promise.resolve()
    },
    async stop() {
      if (again !== undefined && again.exitCode === null) await kill()
      await server.stop()
    },
  }
}

describe('a pool whose server is killed and started again under load', () => {
  let server: Switchable
  beforeAll(async () => {
    server = await startSwitchable()
  })
  afterAll(() => server.stop())

  it('goes on by itself, and every acknowledged write is there exactly once', async () => {
    const failures: unknown[] = []
    process.on('unhandledRejection', (error) => failures.push(error))
    const client = createPostgresClient({
      connectionString: server.url,
      maxConnections: CONNECTIONS,
      waitTimeoutMs: 10_000,
      outageRetryMs: 50,
    })
    // No key on n: a write done twice must be seen.
    await client.exec('CREATE TABLE written (n int8 NOT NULL)')
    const acknowledged = new Set<number>()
    const codes = new Map<string, number>()
    let next = 0
    let stopped = false
    let mostOpen = 0
    const writer = async (): Promise<void> => {
      while (!stopped) {
        const n = next++
        try {
          if (n % 2 === 0) await client.query('INSERT INTO written VALUES ($1)', [n])
          else await client.tx((tx) => tx.query('INSERT INTO written VALUES ($1)', [n]))
          acknowledged.add(n)
        } catch (error) {
          const { code, retryable } = error as { code: string; retryable: boolean }
          codes.set(`${code} ${retryable}`, (codes.get(`${code} ${retryable}`) ?? 0) + 1)
        }
        mostOpen = Math.max(mostOpen, client.pool.status().size)
      }
    }
    const writers = Array.from({ length: WRITERS }, writer)
    const acknowledgedAfter: number[] = []
    for (let restart = 0; restart < RESTARTS; restart++) {
      await pause(UP_MS)
      await server.kill()
      await pause(DOWN_MS)
      const before = acknowledged.size
      await server.start()
      await expect.poll(() => acknowledged.size, { timeout: 9000, interval: 20 }).toBeGreaterThan(before)
      acknowledgedAfter.push(acknowledged.size)
    }
    stopped = true
    await Promise.all(writers)

    const { rows } = await client.query<{ n: bigint; times: bigint }>(
      'SELECT n, count(*) AS times FROM written GROUP BY n',
    )
    const found = new Map(rows.map(({ n, times }) => [Number(n), Number(times)]))
    expect([...acknowledged].filter((n) => found.get(n) !== 1)).toEqual([])
    expect([...found.values()].filter((times) => times !== 1)).toEqual([])
    // Only work that was under way failed, and as something worth trying again; who waited was served.
    expect([...codes.keys()].filter((code) => !code.endsWith(' true'))).toEqual([])
    const failed = [...codes.values()].reduce((sum, count) => sum + count, 0)
    expect(failed).toBeGreaterThan(0)
    expect(failed).toBeLessThanOrEqual(RESTARTS * CONNECTIONS * 3)
    expect(mostOpen).toBeLessThanOrEqual(CONNECTIONS)
    const { created, closed, size } = client.pool.status()
    expect(created - closed).toBe(size)
    console.log(
      `${acknowledged.size} writes acknowledged, ${failed} failed over ${RESTARTS} restarts (${[...codes].map(([code, count]) => `${code}: ${count}`).join(', ')}), ${created} connections opened`,
    )
    await client.close()
    expect(failures).toEqual([])
  })
})
