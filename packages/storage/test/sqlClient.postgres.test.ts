import { randomUUID } from 'node:crypto'
import { type Server, createServer } from 'node:net'
import pg from 'pg'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createPostgresClient } from '../src/hot/PostgresClient.ts'

const url = process.env.VARVE_TEST_DATABASE_URL ?? ''

describe('postgres client', () => {
  const applicationName = `test-${randomUUID().slice(0, 8)}`
  const client = createPostgresClient({
    connectionString: url,
    maxConnections: 3,
    applicationName,
    reconnectDelayMs: 10,
  })
  const admin = new pg.Client(url)
  beforeAll(() => admin.connect())
  afterAll(async () => {
    await client.close()
    await admin.end()
  })
  const killAll = (): Promise<unknown> =>
    admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [
      applicationName,
    ])

  it('says where nobody answers, without the password, and that trying again may help', async () => {
    const nobody = createPostgresClient({ connectionString: 'postgres://u:s3cret@127.0.0.1:1/db' })
    const error: unknown = await nobody.query('SELECT 1').catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true })
    expect(String(error)).toContain('127.0.0.1:1/db')
    expect(JSON.stringify(error) + String(error)).not.toContain('s3cret')
    await nobody.close()
  })

  it('gives up on a server that accepts and says nothing', async () => {
    const silent: Server = createServer(() => undefined)
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
    const { port } = silent.address() as { port: number }
    const waiting = createPostgresClient({
      connectionString: `postgres://u@127.0.0.1:${port}/db`,
      connectTimeoutMs: 100,
    })
    await expect(waiting.query('SELECT 1')).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' })
    await waiting.close()
    silent.close()
  })

  it('does not call a refused login retryable', async () => {
    const target = new URL(url)
    target.pathname = '/no_such_database'
    const wrong = createPostgresClient({ connectionString: target.href })
    await expect(wrong.query('SELECT 1')).rejects.toMatchObject({
      code: 'DATABASE_UNREACHABLE',
      retryable: false,
      details: { sqlState: '3D000' },
    })
    await wrong.close()
  })

  it('fails the transaction whose connection was killed, and serves the next', async () => {
    await expect(
      client.tx(async (tx) => {
        await tx.query('SELECT 1')
        await killAll()
        await tx.query('SELECT 1')
      }),
    ).rejects.toMatchObject({ retryable: true })
    expect((await client.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
  })

  it('calls the outcome of a COMMIT unknown when the connection dies under it', async () => {
    await client.exec(`CREATE TABLE slow_commit (n int);
      CREATE FUNCTION slow_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(5); RETURN NULL; END $$;
      CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON slow_commit DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION slow_commit()`)
    const committing = client.tx(async (tx) => {
      await tx.query('INSERT INTO slow_commit VALUES (1)')
    })
    committing.catch(() => undefined)
    await expect
      .poll(async () => {
        const { rows } = await admin.query<{ n: string }>(
          `SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = $1 AND wait_event = 'PgSleep'`,
          [applicationName],
        )
        return rows[0]?.n
      })
      .toBe('1')
    await killAll()
    // The server's farewell (57P01) or the bare loss of the connection, whichever is read first.
    const error: unknown = await committing.catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({ retryable: true })
    await client.exec('DROP TABLE slow_commit; DROP FUNCTION slow_commit()')
  })

  it('cancels a statement at its time limit', async () => {
    const limited = createPostgresClient({ connectionString: url, statementTimeoutMs: 50 })
    await expect(limited.query('SELECT pg_sleep(5)')).rejects.toMatchObject({
      details: { sqlState: '57014' },
    })
    await limited.close()
  })

  it('listens again after its connection was killed', async () => {
    const seen: string[] = []
    const stop = await client.listen('again', (payload) => seen.push(payload))
    await killAll()
    await expect
      .poll(
        async () => {
          await client.query("SELECT pg_notify('again', 'x')").catch(() => undefined)
          return seen.length
        },
        { timeout: 10_000 },
      )
      .toBeGreaterThan(0)
    await stop()
  })

  it('serves waiting callers when there are more of them than connections', async () => {
    const answers = await Promise.all(
      Array.from(
        { length: 30 },
        async (_, n) => (await client.query<{ v: number }>('SELECT $1::int4 AS v', [n])).rows[0]!.v,
      ),
    )
    expect(answers).toEqual(Array.from({ length: 30 }, (_, n) => n))
  })

  it('keeps its parsers to itself', async () => {
    const { rows } = await admin.query<{ v: unknown }>('SELECT 1::int8 AS v')
    expect(rows[0]!.v).toBe('1')
  })
})
