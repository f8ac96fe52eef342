import { VarveError, channelNames } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import fc from 'fast-check'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { describe, expect, it } from 'vitest'
import { type Lease, type PoolDriver, createConnectionPool } from './ConnectionPool.ts'
import { type PoolSettings, poolOptionsSchema } from './options.ts'
import { poolChannelName } from './poolReports.ts'

interface FakeConnection {
  readonly id: number
  end?: 'closed' | 'destroyed'
  answers: boolean
  break(): void
}

interface FakeServer {
  readonly connections: FakeConnection[]
  up: boolean
  loginRefused: boolean
  attempts: number
  /** Connections that have not been closed. */
  open(): number
  readonly driver: PoolDriver<FakeConnection>
}

/** A server that can be switched off, and remembers every connection it ever had. */
function fakeServer(): FakeServer {
  const connections: FakeConnection[] = []
  const lost = new Map<FakeConnection, (error: unknown) => void>()
  const server: FakeServer = {
    connections,
    up: true,
    loginRefused: false,
    attempts: 0,
    open: () => connections.filter((connection) => connection.end === undefined).length,
    driver: {
      open() {
        server.attempts++
        if (!server.up || server.loginRefused) {
          return Promise.reject(
            new VarveError('nobody there', { code: 'DATABASE_UNREACHABLE', retryable: !server.loginRefused }),
          )
        }
        const connection: FakeConnection = {
          id: connections.length,
          answers: true,
          break() {
            lost.get(connection)?.(new Error('gone'))
          },
        }
        connections.push(connection)
        return Promise.resolve(connection)
      },
      ping: (connection) => (connection.answers ? Promise.resolve() : new Promise(() => undefined)),
      close(connection) {
        connection.end = 'closed'
        return Promise.resolve()
      },
      destroy(connection) {
        connection.end = 'destroyed'
      },
      onLost(connection, handler) {
        lost.set(connection, handler)
      },
    },
  }
  return server
}

function setUp(settings: PoolSettings = {}) {
  const server = fakeServer()
  const clock = createTestClock()
  const pool = createConnectionPool(
    server.driver,
    poolOptionsSchema.parse({ maxConnections: 2, ...settings }),
    clock,
    'the test server',
  )
  return { server, clock, pool }
}

const later = async (): Promise<void> => {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
}

describe('connection pool', () => {
  it('opens on demand, lends again what came back, and serves who waits in order', async () => {
    const { pool, server } = setUp()
    const first = await pool.acquire('a')
    const second = await pool.acquire('b')
    const order: string[] = []
    const waiting = ['c', 'd', 'e'].map((label) =>
      pool.acquire(label).then((lease) => {
        order.push(label)
        return lease
      }),
    )
    expect(pool.status()).toMatchObject({ size: 2, inUse: 2, waiting: 3, usage: 1, healthy: false })
    first.release('fit')
    second.release('fit')
    ;(await waiting[0]!).release('fit')
    const last = await Promise.all(waiting)
    last[0]!.release('fit') // a second time: it belongs to somebody else by now
    expect(order).toEqual(['c', 'd', 'e'])
    expect(pool.status()).toMatchObject({ size: 2, inUse: 2, waiting: 0 })
    for (const lease of last) lease.release('fit')
    expect(pool.status()).toMatchObject({ size: 2, idle: 2, inUse: 0, healthy: true, warnings: [] })
    expect(server.connections).toHaveLength(2)
  })

  it('ends a wait at its time limit and names who holds the connections', async () => {
    const { pool, clock } = setUp({ maxConnections: 1, waitTimeoutMs: 500 })
    const lease = await pool.acquire('transaction')
    lease.holder.statement = "SELECT * FROM bars WHERE symbol = 'SECRET'"
    lease.holder.running = true
    const refused = pool.acquire('query').catch((error: unknown) => error)
    await clock.advance(500)
    const error = await refused
    expect(error).toMatchObject({
      code: 'POOL_EXHAUSTED',
      retryable: true,
      details: { waitedMs: 500, maxConnections: 1, holders: [{ label: 'transaction', heldMs: 500 }] },
    })
    expect(String(error)).toContain('transaction for 500 ms running "SELECT * FROM bars WHERE symbol = ?"')
    expect(JSON.stringify(error)).not.toContain('SECRET')
    lease.release('fit')
    expect(pool.status()).toMatchObject({ waiting: 0, idle: 1, timedOut: 1 })
  })

  it('lets a caller stop waiting', async () => {
    const { pool } = setUp({ maxConnections: 1 })
    const lease = await pool.acquire('a')
    const stop = new AbortController()
    const reason = new Error('not needed any more')
    const waiting = pool.acquire('b', stop.signal)
    stop.abort(reason)
    await expect(waiting).rejects.toBe(reason)
    await expect(pool.acquire('c', stop.signal)).rejects.toBe(reason)
    lease.release('fit')
    expect(pool.status()).toMatchObject({ waiting: 0, idle: 1 })
  })

  it('opens extra connections for a peak and closes them when nobody waits', async () => {
    const { pool, server } = setUp({ maxConnections: 3, overflow: 2 })
    const leases = await Promise.all(['a', 'b', 'c'].map((label) => pool.acquire(label)))
    expect(pool.status()).toMatchObject({ size: 3, overflow: 2 })
    const waiting = pool.acquire('d')
    leases[0]!.release('fit')
    leases[1]!.release('fit')
    ;(await waiting).release('fit')
    leases[2]!.release('fit')
    expect(pool.status()).toMatchObject({ size: 1, idle: 1, overflow: 0, closed: 2 })
    expect(server.open()).toBe(1)
  })

  it('tries a connection that has rested before lending it, and replaces one that is dead', async () => {
    const { pool, server, clock } = setUp({ pingAfterIdleMs: 1000, pingTimeoutMs: 50, idleTimeoutMs: 0 })
    ;(await pool.acquire('a')).release('fit')
    server.connections[0]!.answers = false
    // Used a moment ago: lent without a trial.
    ;(await pool.acquire('b')).release('fit')
    await clock.advance(1001)
    const asked = pool.acquire('c')
    await later()
    expect(pool.status()).toMatchObject({ opening: 1, waiting: 1 })
    await clock.advance(50)
    expect((await asked).connection.id).toBe(1)
    expect(server.connections[0]!.end).toBe('destroyed')
    expect(pool.status()).toMatchObject({ invalid: 1, created: 2, closed: 1 })
  })

  it('drops an idle connection that breaks, and tries the others before they serve again', async () => {
    const { pool, server } = setUp()
    const leases = [await pool.acquire('a'), await pool.acquire('b')]
    for (const lease of leases) lease.release('fit')
    server.connections[1]!.break()
    server.connections[0]!.answers = false
    expect(pool.status()).toMatchObject({ size: 1, invalid: 1 })
    void pool.acquire('c')
    await later()
    expect(pool.status()).toMatchObject({ opening: 1 })
  })

  it('closes what is idle or old, and counts', async () => {
    const { pool, server, clock } = setUp({ idleTimeoutMs: 10_000, maxAgeMs: 60_000, poolCheckMs: 1000 })
    const [a, b] = [await pool.acquire('a'), await pool.acquire('b')]
    a.release('fit')
    await clock.advance(10_000)
    expect(pool.status()).toMatchObject({ size: 1, inUse: 1, closed: 1 })
    await clock.advance(50_000)
    b.release('fit')
    expect(pool.status()).toMatchObject({ size: 0, closed: 2, created: 2 })
    expect(server.open()).toBe(0)
    await clock.advance(2000)
    expect(clock.sleeping).toBe(0) // with no connections nothing is left to look after
  })

  it('never lends a connection that grew old between two looks', async () => {
    const { pool, clock } = setUp({ maxAgeMs: 60_000, idleTimeoutMs: 0, poolCheckMs: 3_600_000 })
    ;(await pool.acquire('a')).release('fit')
    await clock.advance(60_000)
    expect((await pool.acquire('b')).connection.id).toBe(1)
  })

  it('fails at once when the server never answered, and waits for one that was lost', async () => {
    const { pool, server, clock } = setUp({ waitTimeoutMs: 5000, outageRetryMs: 250 })
    server.up = false
    await expect(pool.acquire('a')).rejects.toMatchObject({ code: 'DATABASE_UNREACHABLE' })
    server.up = true
    const lease = await pool.acquire('b')
    server.up = false
    server.connections[0]!.break()
    lease.release('fit')
    const waiting = Promise.allSettled([pool.acquire('c'), pool.acquire('d'), pool.acquire('e')])
    const before = server.attempts
    await clock.advance(2000)
    expect(server.attempts - before).toBeLessThanOrEqual(10) // one at a time, with pauses
    expect(pool.status()).toMatchObject({ serverLost: true, healthy: false, waiting: 3 })
    server.up = true
    await clock.advance(250)
    expect(pool.status()).toMatchObject({ serverLost: false, inUse: 2, waiting: 1 })
    await clock.advance(5000)
    const results = await waiting
    expect(results.map((result) => result.status)).toEqual(['fulfilled', 'fulfilled', 'rejected'])
  })

  it('says that the server is away when a wait ends during an outage, and passes on a refused login', async () => {
    const { pool, server, clock } = setUp({ waitTimeoutMs: 1000 })
    ;(await pool.acquire('a')).release('unfit')
    server.up = false
    const waiting = pool.acquire('b').catch((error: unknown) => error)
    await clock.advance(1000)
    expect(await waiting).toMatchObject({ code: 'DATABASE_UNREACHABLE', retryable: true })
    server.loginRefused = true
    await clock.advance(1000)
    await expect(pool.acquire('c')).rejects.toMatchObject({ retryable: false })
  })

  it('reports a connection held too long, once, with the place that took it', async () => {
    const { pool, clock } = setUp({ maxConnections: 4, heldWarningMs: 30_000, poolCheckMs: 5000 })
    const alerts: unknown[] = []
    const states: unknown[] = []
    const onAlert = (message: unknown) => alerts.push(message)
    const onState = (message: unknown) => states.push(message)
    subscribe(channelNames.alert, onAlert)
    subscribe(poolChannelName, onState)
    async function forgetfulReader(): Promise<Lease<FakeConnection>> {
      return pool.acquire('copyOut')
    }
    const lease = await forgetfulReader()
    await clock.advance(60_000)
    unsubscribe(channelNames.alert, onAlert)
    unsubscribe(poolChannelName, onState)
    expect(alerts).toEqual([
      {
        key: 'database.pool.held',
        severity: 'warning',
        message: 'a connection to the test server has not been returned: copyOut for 35000 ms',
      },
    ])
    expect(states.at(-1)).toMatchObject({ target: 'the test server', created: 1, inUse: 1, idle: 0 })
    const status = pool.status()
    expect(status.warnings).toEqual([expect.stringContaining('this looks like a leak')])
    expect(status.recommendations).toHaveLength(1)
    expect(status.holders[0]!.stack).toContain('forgetfulReader')
    lease.release('fit')
    expect(pool.status().warnings).toEqual([])
  })

  it('closes in order: refuses, waits, cuts what is left, and says what that was', async () => {
    const { pool, server, clock } = setUp({ drainTimeoutMs: 30_000 })
    const ending = await pool.acquire('query')
    const stuck = await pool.acquire('transaction')
    const waiting = pool.acquire('late').catch((error: unknown) => error)
    const drained = pool.drain()
    expect(await waiting).toMatchObject({ code: 'DATABASE_CLOSED' })
    await expect(pool.acquire('later')).rejects.toMatchObject({ code: 'DATABASE_CLOSED' })
    await clock.advance(10_000)
    ending.release('fit')
    expect(server.open()).toBe(1)
    await clock.advance(20_000)
    expect(await drained).toMatchObject({
      waitedMs: 30_000,
      refused: 1,
      forced: [{ label: 'transaction', heldMs: 30_000 }],
    })
    expect(server.connections.map((connection) => connection.end)).toEqual(['closed', 'destroyed'])
    stuck.release('fit')
    expect(await pool.drain()).toMatchObject({ refused: 1 })
    expect(pool.status()).toMatchObject({ size: 0, created: 2, closed: 2 })
    await later()
    expect(clock.sleeping).toBe(0)
  })

  it('ends a drain as soon as the last connection is back', async () => {
    const { pool, clock } = setUp()
    const lease = await pool.acquire('query')
    const drained = pool.drain()
    await clock.advance(5)
    lease.release('fit')
    expect(await drained).toEqual({ waitedMs: 5, refused: 0, forced: [] })
  })

  it('never lends one connection twice, never exceeds its cap, and loses none, whatever happens', async () => {
    const step = fc.oneof(
      { weight: 4, arbitrary: fc.constant('acquire' as const) },
      { weight: 4, arbitrary: fc.constant('release' as const) },
      fc.constantFrom('unfit', 'dead', 'break', 'silence', 'down', 'up', 'abort', 'pass'),
    )
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 0, max: 3 }),
        async (steps, maxConnections, overflow) => {
          const { pool, server, clock } = setUp({
            maxConnections,
            overflow: Math.min(overflow, maxConnections - 1),
            waitTimeoutMs: 3000,
            pingAfterIdleMs: 500,
            pingTimeoutMs: 100,
            idleTimeoutMs: 2000,
            maxAgeMs: 4000,
            poolCheckMs: 700,
          })
          const held: Lease<FakeConnection>[] = []
          const aborts: AbortController[] = []
          let pending = 0
          for (const [n, what] of steps.entries()) {
            if (what === 'acquire') {
              const stop = new AbortController()
              aborts.push(stop)
              pending++
              pool
                .acquire('x', stop.signal)
                .then((lease) => held.push(lease))
                .catch(() => undefined)
                .finally(() => pending--)
            } else if (what === 'release') held.shift()?.release('fit')
            else if (what === 'unfit' || what === 'dead') held.shift()?.release(what)
            else if (what === 'break') server.connections[n % (server.connections.length || 1)]?.break()
            else if (what === 'silence') {
              for (const connection of server.connections.slice(-1)) connection.answers = false
            } else if (what === 'down') server.up = false
            else if (what === 'up') server.up = true
            else if (what === 'abort') aborts.shift()?.abort(new Error('stop'))
            else await clock.advance(650)
            await later()
            const lent = held.map((lease) => lease.connection.id)
            expect(new Set(lent).size).toBe(lent.length)
            expect(server.open()).toBeLessThanOrEqual(maxConnections)
            const { size, idle, inUse, opening, created, closed } = pool.status()
            expect(inUse).toBe(held.length)
            expect(created - closed).toBe(size)
            expect(size).toBe(server.open())
            expect(idle + inUse).toBeLessThanOrEqual(size)
            expect(size - idle - inUse).toBeLessThanOrEqual(opening)
          }
          server.up = true
          while (held.length > 0 || pending > 0) {
            held.shift()?.release('fit')
            await clock.advance(650)
          }
          await pool.drain()
          expect(server.open()).toBe(0)
        },
      ),
      { numRuns: 150 },
    )
  })
})
