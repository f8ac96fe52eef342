import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, describe, expect, it } from 'vitest'
import { createPostgresClient } from '../src/hot/PostgresClient.ts'

const url = process.env.VARVE_TEST_DATABASE_URL ?? ''

describe('the pool of a Postgres client', () => {
  const admin = new pg.Pool({ connectionString: url, max: 1 })
  afterAll(() => admin.end())

  const sessionsOf = async (applicationName: string): Promise<number> => {
    const { rows } = await admin.query<{ n: number }>(
      'SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name = $1',
      [applicationName],
    )
    return rows[0]!.n
  }
  const nameOf = (): string => `pool-${randomUUID().slice(0, 8)}`

  it('finishes 300 operations started at once through 10 connections, as the server counts them', async () => {
    const applicationName = nameOf()
    const client = createPostgresClient({ connectionString: url, maxConnections: 10, applicationName })
    let most = 0
    const answers = await Promise.all(
      Array.from({ length: 300 }, async (_, n) => {
        if (n % 3 === 0) {
          return client.tx(async (tx) => {
            if (n % 60 === 0) most = Math.max(most, await sessionsOf(applicationName))
            return (await tx.query<{ v: number }>('SELECT $1::int4 AS v', [n])).rows[0]!.v
          })
        }
        return (await client.query<{ v: number }>('SELECT $1::int4 AS v', [n])).rows[0]!.v
      }),
    )
    expect(answers).toEqual(Array.from({ length: 300 }, (_, n) => n))
    expect(most).toBeGreaterThan(0)
    expect(most).toBeLessThanOrEqual(10)
    // Some connections may still be on their way when the last answer is there.
    await expect.poll(() => client.pool.status().idle).toBe(10)
    expect(client.pool.status()).toMatchObject({ waiting: 0, inUse: 0, created: 10, closed: 0 })
    await client.close()
    await expect.poll(() => sessionsOf(applicationName)).toBe(0)
  })

  it('ends waits cleanly when everything is in use, and serves again afterwards', async () => {
    const client = createPostgresClient({ connectionString: url, maxConnections: 2, waitTimeoutMs: 100 })
    let free: () => void = () => undefined
    const gate = new Promise<void>((resolve) => {
      free = resolve
    })
    const held = [1, 2].map(() =>
      client.tx(async (tx) => {
        await tx.query("SELECT 'a secret' AS note")
        await gate
      }),
    )
    const results = await Promise.allSettled(Array.from({ length: 120 }, () => client.query('SELECT 1')))
    const reasons = results.map((result) =>
      result.status === 'rejected' ? (result.reason as Error) : undefined,
    )
    expect(new Set(reasons.map((reason) => (reason as { code?: string } | undefined)?.code))).toEqual(
      new Set(['POOL_EXHAUSTED']),
    )
    expect(reasons[0]!.message).toContain('after "SELECT ? AS note"')
    expect(client.pool.status().holders.map(({ label, activity }) => [label, activity])).toEqual([
      ['transaction', 'idle'],
      ['transaction', 'idle'],
    ])
    free()
    await Promise.all(held)
    expect((await client.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
    await client.close()
  })

  it('returns the connection of a transaction that failed, whatever it left behind', async () => {
    const client = createPostgresClient({ connectionString: url, maxConnections: 1 })
    const attempts: ((n: number) => Promise<unknown>)[] = [
      () => client.tx(() => Promise.reject(new Error('own error'))),
      () => client.tx((tx) => tx.query('SELECT 1/0')),
      () => client.tx((tx) => tx.query('SELECT 1/0').catch(() => undefined)),
      () => client.exec('BEGIN; SELECT 1/0'),
      () => client.query('BEGIN'),
      () => client.tx((tx) => tx.exec('COMMIT; SELECT 1/0')),
    ]
    for (const [n, attempt] of attempts.entries()) {
      await attempt(n).catch(() => undefined)
      const { rows } = await client.query<{ v: boolean }>(
        'SELECT pg_current_xact_id_if_assigned() IS NULL AND now() = statement_timestamp() AS v',
      )
      expect(rows).toEqual([{ v: true }])
      expect(client.pool.status()).toMatchObject({ inUse: 0, size: 1 })
    }
    await client.close()
  })

  it('does not lend a connection that the server has just ended under a statement', async () => {
    const applicationName = nameOf()
    const client = createPostgresClient({ connectionString: url, maxConnections: 1, applicationName })
    for (let round = 0; round < 5; round++) {
      const broken = client
        .query('SELECT pg_terminate_backend(pg_backend_pid())')
        .catch((error: unknown) => error)
      const next = client.query('SELECT 1 AS v')
      expect(await broken).toMatchObject({ retryable: true })
      expect((await next).rows).toEqual([{ v: 1 }])
    }
    expect(client.pool.status()).toMatchObject({ invalid: 5, healthy: false, created: 6 })
    await client.close()
  })

  it('cuts what does not end when it closes, and the server rolls it back', async () => {
    const applicationName = nameOf()
    const client = createPostgresClient({ connectionString: url, maxConnections: 2, applicationName })
    const table = `drained_${randomUUID().replaceAll('-', '')}`
    await client.exec(`CREATE TABLE ${table} (n int)`)
    let started: () => void = () => undefined
    const running = new Promise<void>((resolve) => {
      started = resolve
    })
    const stuck = client
      .tx(async (tx) => {
        await tx.query(`INSERT INTO ${table} VALUES (1)`)
        started()
        await tx.query('SELECT pg_sleep(60)')
      })
      .catch((error: unknown) => error)
    await running
    const result = await client.drain({ timeoutMs: 100 })
    expect(result.forced).toMatchObject([{ label: 'transaction', activity: 'running' }])
    expect(await stuck).toMatchObject({ code: 'DATABASE_UNREACHABLE' })
    await expect(client.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_CLOSED' })
    await client.close()
    await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      applicationName,
    ])
    const { rows } = await admin.query(`SELECT * FROM ${table}`)
    expect(rows).toEqual([])
    await admin.query(`DROP TABLE ${table}`)
  })

  it('refuses options that contradict each other', () => {
    expect(() => createPostgresClient({ connectionString: url, maxConnections: 3, overflow: 3 })).toThrow(
      expect.objectContaining({ code: 'OPTION_INVALID' }) as Error,
    )
  })
})
