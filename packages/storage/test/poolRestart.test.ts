import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
// eslint-disable-next-line @nx/enforce-module-boundaries -- a server of its own, which no package may bring along
import {
  type SwitchablePostgres,
  startSwitchablePostgres,
} from '../../../tools/testing/switchablePostgres.ts'
import { createPostgresClient } from '../src/hot/PostgresClient.ts'

const RESTARTS = 3
const UP_MS = 900
const DOWN_MS = 300
const WRITERS = 120
const CONNECTIONS = 10

describe('a pool whose server is killed and started again under load', () => {
  let server: SwitchablePostgres
  beforeAll(async () => {
    server = await startSwitchablePostgres()
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
