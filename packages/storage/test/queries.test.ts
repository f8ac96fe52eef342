import { type SqlClient, type SqlTx, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatQueryReport, withQueryTracking } from '../src/hot/queries/index.ts'
import { type TestStore, engines, openTestStore } from './support.ts'

/** A client that only takes time: `SELECT 30` takes 30 ms and returns 30 rows; `FAIL` fails. */
function timedClient() {
  const clock = createTestClock(0, { autoAdvance: true })
  const run = async (text: string): Promise<number> => {
    const ms = Number(/\d+/.exec(text)?.[0] ?? 0)
    await clock.sleep(ms)
    if (text.includes('FAIL')) {
      throw new VarveError('no', { code: 'DATABASE_QUERY_FAILED', details: { sqlState: '23505' } })
    }
    return ms
  }
  const tx: SqlTx = {
    query: async (text) => ({ rows: [], rowCount: await run(text) }),
    exec: async (text) => void (await run(text)),
    copyIn: (text) => run(text),
    async *copyOut(text) {
      await run(text)
      yield new Uint8Array()
    },
  }
  const client: SqlClient = {
    ...tx,
    engine: 'postgres',
    tx: (work) => work(tx),
    listen: () => Promise.resolve(() => Promise.resolve()),
    close: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  }
  return { client, clock }
}

describe('query tracking', () => {
  it('counts by name, type and priority, in and outside transactions', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock })
    await sql.query('/* name: bars.read, priority: high */ SELECT 10')
    await sql.tx(async (tx) => {
      await tx.query('/* name: bars.read, priority: high */ SELECT 30')
      await tx.copyIn('COPY bars FROM STDIN 5', [])
    })
    for await (const piece of sql.copyOut('COPY bars TO STDOUT')) expect(piece).toBeDefined()
    await sql.exec("UPDATE t SET note = 'secret 7'")
    const report = sql.queries.report()
    expect(report.total).toMatchObject({ count: 5, rows: 45, totalMs: 52 })
    const read = report.queries.find(({ name }) => name === 'bars.read')
    expect(read).toMatchObject({
      type: 'select',
      priority: 'high',
      count: 2,
      totalMs: 40,
      meanMs: 20,
      maxMs: 30,
    })
    expect(report.queries.find(({ name }) => name === 'transaction')).toMatchObject({ count: 1, totalMs: 35 })
    expect(report.byType).toMatchObject({ select: { count: 2 }, copy: { count: 2 }, update: { count: 1 } })
    expect(report.byPriority).toMatchObject({ high: { count: 2 }, normal: { count: 3 } })
    expect(JSON.stringify(report)).not.toContain('secret')
    expect(JSON.parse(JSON.stringify(report))).toEqual(report)
  })

  it('counts errors by code and passes them on untouched', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock })
    for (const attempt of [
      sql.query('SELECT FAIL'),
      sql.exec('SELECT FAIL'),
      sql.tx((tx) => tx.query('SELECT FAIL')),
    ]) {
      await expect(attempt).rejects.toMatchObject({ code: 'DATABASE_QUERY_FAILED' })
    }
    const { queries, recommendations } = sql.queries.report()
    expect(queries.find(({ type }) => type === 'select')).toMatchObject({
      count: 3,
      errors: 3,
      errorsByCode: { 'DATABASE_QUERY_FAILED 23505': 3 },
    })
    expect(recommendations.join()).toContain('failed in 3 of 3 calls (DATABASE_QUERY_FAILED 23505 3×)')
  })

  it('keeps slow statements by shape, and advises on them and on chatty ones', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock, slowKept: 2, chattyCalls: 50 })
    for (const ms of [1000, 1001, 1500, 2000]) await sql.query(`/* name: slow */ SELECT ${ms} FROM t`)
    for (let n = 0; n < 50; n++) await sql.query('/* name: chatty */ SELECT 1 FROM t')
    const report = sql.queries.report()
    expect(report.slowest.map(({ durationMs, shape }) => [durationMs, shape])).toEqual([
      [2000, 'SELECT ? FROM t'],
      [1500, 'SELECT ? FROM t'],
    ])
    expect(report.queries[0]).toMatchObject({ name: 'slow', slow: 3 })
    expect(report.recommendations).toEqual([
      expect.stringContaining('slow took longer than 1000 ms in 3 of 4 calls'),
      expect.stringContaining('chatty ran 50 times for 50 rows'),
    ])
    const text = formatQueryReport(report, 'text')
    expect(text.split('\n')[1]).toMatch(/^slow +select +4 +5501 /)
    expect(text).toContain('Recommendations\n- slow took')
    sql.queries.reset()
    expect(sql.queries.report()).toMatchObject({ total: { count: 0 }, queries: [], slowest: [] })
  })

  it('escapes what it puts into HTML', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock })
    await sql.query('SELECT "<script>" FROM "<b>"')
    const html = formatQueryReport(sql.queries.report(), 'html')
    expect(html).toContain('&lt;b&gt;')
    expect(html).not.toContain('<b>')
  })

  it('remembers a bounded number of names and texts', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock, maxNames: 10, textsKept: 5 })
    for (let n = 0; n < 100; n++) await sql.query(`SELECT 1 FROM t${n}`)
    const { queries, total } = sql.queries.report()
    expect(queries).toHaveLength(11)
    expect(queries.find(({ name }) => name === '(others)')!.count).toBe(90)
    expect(total.count).toBe(100)
  })

  it('counts nothing while it pauses', async () => {
    const { client, clock } = timedClient()
    const sql = withQueryTracking(client, { clock })
    sql.queries.pause()
    await sql.query('SELECT 1')
    await sql.tx((tx) => tx.query('SELECT 1'))
    sql.queries.resume()
    await sql.query('SELECT 1')
    expect(sql.queries.report().total.count).toBe(1)
  })
})

describe.each(engines)('plan advice on %s', (engine) => {
  let store: TestStore
  beforeAll(async () => {
    store = await openTestStore(engine)
    await store.sql.exec(`
      CREATE TABLE parted (symbol text, ts date, n int) PARTITION BY RANGE (ts);
      CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM ('2024-01-01') TO ('2024-02-01');
      CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM ('2024-02-01') TO ('2024-03-01');
      CREATE TABLE heap (id int PRIMARY KEY, symbol text, note text);
      INSERT INTO heap SELECT g, 'S' || g, 'x' FROM generate_series(1, 20000) g`)
    await store.sql.exec('ANALYZE heap')
  })
  afterAll(() => store.close())

  /** Advice for one statement; every statement counts as slow. */
  const adviceFor = async (
    text: string,
    params: readonly unknown[],
  ): Promise<readonly string[] | undefined> => {
    const sql = withQueryTracking(store.sql, { slowMs: 1e-9 })
    await sql.query(text, params)
    expect(await sql.queries.advise()).toBe(1)
    expect(await sql.queries.advise()).toBe(0)
    return sql.queries.report().slowest[0]!.advice
  }

  it.each([
    [
      'SELECT * FROM parted WHERE symbol = $1',
      ['A'],
      ['It reads all 2 partitions of parted: give it a range of ts, so that Postgres skips the others.'],
    ],
    [
      'SELECT * FROM parted WHERE ts >= $1',
      ['2024-01-05'],
      ['Its plan shows nothing to improve: the time goes into the rows it reads.'],
    ],
    [
      'SELECT * FROM heap WHERE symbol = $1 AND note > $2',
      ['S5', 'a'],
      [
        'It reads all of heap (about 20000 rows) to find some of them: an index on (symbol, note) would help.',
      ],
    ],
    [
      'SELECT * FROM heap WHERE id = $1',
      [5],
      ['Its plan shows nothing to improve: the time goes into the rows it reads.'],
    ],
  ])('%s', async (text, params, advice) => {
    expect(await adviceFor(text, params)).toEqual(advice)
  })

  it('explains reads only, and never runs what follows a semicolon', async () => {
    const sql = withQueryTracking(store.sql, { slowMs: 1e-9 })
    await sql.exec("UPDATE heap SET note = 'y' WHERE id = 1")
    await sql.exec('SELECT 1; UPDATE heap SET id = -id WHERE id = 1')
    expect(await sql.queries.advise()).toBe(1)
    expect(sql.queries.report().slowest[0]!.advice).toEqual(['Its plan is not looked at: not a single read.'])
    expect((await store.sql.query('SELECT id FROM heap WHERE id < 0')).rows).toEqual([{ id: -1 }])
  })

  it('says so when the database no longer knows the table', async () => {
    await store.sql.exec('CREATE TABLE brief (n int)')
    const sql = withQueryTracking(store.sql, { slowMs: 1e-9 })
    await sql.query('SELECT * FROM brief')
    await store.sql.exec('DROP TABLE brief')
    await sql.queries.advise()
    expect(sql.queries.report().slowest[0]!.advice).toEqual([expect.stringContaining('could not be read')])
    expect((await sql.query('SELECT 1 AS v')).rows).toEqual([{ v: 1 }])
  })
})
