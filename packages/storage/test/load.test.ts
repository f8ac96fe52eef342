import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { DAY_MS, VarveError } from '@varve/core'
import { createTestClock } from '@varve/core/testing'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createBarStore } from '../src/index.ts'
import { type LoadBatch, type RowLoadError, createLoader } from '../src/load/index.ts'
import { type RecordStore, createRecordStore } from '../src/records/index.ts'
import { FEED, allRows, openRecordTest } from './recordsSupport.ts'
import { type TestStore, batchOf, day, engines } from './support.ts'

const T0 = Date.UTC(2024, 2, 1)

describe.each(engines)('one loader on %s', (engine) => {
  let test: TestStore
  let records: RecordStore
  let directory: string
  const clock = createTestClock(T0 + 30 * DAY_MS, { autoAdvance: true })
  const plan = () => ({ hotFrom: () => day(100), initialWatermark: day(100) })

  beforeAll(async () => {
    test = await openRecordTest(engine)
    records = createRecordStore({ sql: test.sql, lake: test.lake, clock })
  })
  afterAll(() => test.close())
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'varve-load-'))
    return () => rmSync(directory, { recursive: true, force: true })
  })

  const loader = (more: object = {}) => {
    const store = createBarStore({ sql: test.sql, lake: test.lake, clock })
    return createLoader({
      records,
      bars: { sql: test.sql, store, plan },
      recovery: { directory },
      clock,
      batchSize: 4,
      ...more,
    })
  }
  const trades = (symbol: string, count: number, price = '10.5'): LoadBatch => ({
    dataset: 'trades',
    source: FEED,
    rows: Array.from({ length: count }, (_, sequence) => ({
      symbol,
      time: T0 + sequence,
      values: { price, size: '1', sequence },
    })),
  })
  const broken = (code: string, retryable: boolean, times: number) => {
    let calls = 0
    return {
      calls: () => calls,
      load: ((batch, options) => {
        calls++
        if (calls <= times) return Promise.reject(new VarveError('the disk is full', { code, retryable }))
        return records.load(batch, options)
      }) as RecordStore['load'],
    }
  }

  it('loads bars and records by the same call, and a second time changes nothing', async () => {
    const load = loader()
    const bars: LoadBatch = {
      dataset: 'bars',
      batch: batchOf([
        ['A', day(101), 5],
        ['A', day(102), 6],
      ]),
    }
    expect(await load.load(bars)).toMatchObject({ inserted: 2, batches: 1, failed: 0 })
    expect(await load.load(bars)).toMatchObject({ inserted: 0, unchanged: 2 })
    expect(await load.load(trades('B', 10))).toMatchObject({
      inserted: 10,
      batches: 3,
      failed: 0,
      errors: [],
    })
    const before = await rowIds()
    expect(await load.load(trades('B', 10))).toMatchObject({
      inserted: 0,
      updated: 0,
      unchanged: 10,
      batches: 3,
    })
    // Neither rewritten nor added: every row is where it was, by its physical place and transaction.
    expect(await rowIds()).toEqual(before)
    expect(await load.load(trades('B', 2, '11'))).toMatchObject({ updated: 2 })
    expect((await rowIds()).length).toBe(before.length + 2)
  })

  it('hands refused rows to the result and the quarantine, with their place in the whole batch', async () => {
    const set: RowLoadError[] = []
    const load = loader({ quarantine: (rows: readonly RowLoadError[]) => void set.push(...rows) })
    const batch = trades('C', 6) as Extract<LoadBatch, { dataset: 'trades' }>
    const rows = batch.rows.map((row, index) =>
      index === 5 ? { ...row, values: { ...row.values!, price: '1.1234567' } } : row,
    )
    const result = await load.load({ ...batch, rows })
    expect(result).toMatchObject({ inserted: 5, failed: 1, batches: 2 })
    expect(result.errors).toMatchObject([
      { kind: 'row', dataset: 'trades', index: 5, rule: 'too_many_decimals', column: 'price', row: rows[5] },
    ])
    expect(set).toEqual(result.errors)
  })

  it('tries again with growing pauses while the error allows it', async () => {
    const failing = broken('DATABASE_UNREACHABLE', true, 3)
    const start = clock.now()
    expect(await loader({ records: failing }).load(trades('D', 2))).toMatchObject({ inserted: 2, failed: 0 })
    expect(failing.calls()).toBe(4)
    expect(clock.now() - start).toBe(1000 + 2000 + 4000)
  })

  it('keeps a batch that still fails and replays it to the digit', async () => {
    const failing = broken('DISK_FULL', false, 1)
    const load = loader({ records: failing })
    const result = await load.load(trades('E', 6, '0.000001'))
    expect(result).toMatchObject({
      inserted: 2,
      failed: 4,
      batches: 2,
      errors: [{ kind: 'batch', code: 'DISK_FULL', rows: 4 }],
    })
    const [file] = readdirSync(directory)
    const [header] = (await readFile(join(directory, file!), 'utf8')).split('\n')
    expect(JSON.parse(header!)).toMatchObject({
      format: 'varve.load/1',
      dataset: 'trades',
      source: 'polygon/all/raw',
      rows: 4,
      error: { code: 'DISK_FULL' },
    })
    expect(await load.replay()).toMatchObject({ replayed: 1, inserted: 4, kept: [], damaged: [] })
    expect(readdirSync(directory)).toEqual([])
    const rows = await allRows(records, { dataset: 'trades', symbols: ['E'] })
    expect(rows.map((row) => [row.values.price, row.values.sequence])).toEqual(
      [0, 1, 2, 3, 4, 5].map((n) => [1n, n]),
    )
    expect(await load.replay()).toMatchObject({ replayed: 0, inserted: 0 })
  })

  it('keeps bars that fail, with the time they were known', async () => {
    const store = createBarStore({ sql: test.sql, lake: test.lake, clock })
    const refusing = {
      stage: () => Promise.reject(new VarveError('no', { code: 'NO', retryable: false })),
      commit: store.commit,
    }
    const batch = batchOf([['Z', day(103), 142_857_142_857]])
    const result = await loader({ bars: { sql: test.sql, store: refusing, plan } }).load({
      dataset: 'bars',
      batch,
    })
    expect(result).toMatchObject({ failed: 1, errors: [{ kind: 'batch', dataset: 'bars', code: 'NO' }] })
    await loader().load({
      dataset: 'bars',
      batch: batchOf([['Z', day(103), 7]]),
      recordedAt: clock.now() + 5,
    })
    expect(await loader().replay()).toMatchObject({ replayed: 1, failed: 0 })
    const seen: bigint[] = []
    for await (const bars of store.read({ interval: '1d', symbols: ['Z'], from: day(100), to: day(110) }))
      seen.push(...bars.open.subarray(0, bars.length))
    // The replayed values are older than those that came meanwhile.
    expect(seen).toEqual([7n])
  })

  it('reports a damaged file and keeps it; what comes after a failure of its kind waits', async () => {
    const failing = broken('DISK_FULL', false, 3)
    const load = loader({ records: failing })
    await load.load(trades('F', 8))
    const files = readdirSync(directory).sort()
    expect(files.length).toBe(2)
    const whole = await readFile(join(directory, files[0]!), 'utf8')
    await writeFile(join(directory, files[0]!), whole.replace('10.5', '10.6'))
    const first = await load.replay()
    expect(first).toMatchObject({
      replayed: 0,
      failed: 4,
      damaged: [{ problem: expect.stringMatching(/differs from its checksum/) }],
      kept: [join(directory, files[1]!)],
    })
    expect(readdirSync(directory).length).toBe(2)
    await writeFile(join(directory, files[0]!), whole)
    expect(await load.replay()).toMatchObject({ replayed: 2, inserted: 8, damaged: [] })
  })

  it('returns from an async load once the batch is durable, and the next loader finishes what one left', async () => {
    const stuck = broken('DATABASE_UNREACHABLE', true, Infinity)
    const never = createTestClock(clock.now())
    const first = loader({ records: stuck, clock: never })
    expect(await first.load(trades('G', 6), { mode: 'async' })).toMatchObject({
      mode: 'async',
      spooled: 6,
      inserted: 0,
    })
    expect(readdirSync(join(directory, 'spool')).length).toBe(1)
    await first.close()
    expect(readdirSync(join(directory, 'spool')).length).toBe(1)
    await using second = loader()
    expect(await second.load(trades('H', 3), { mode: 'async' })).toMatchObject({ spooled: 3 })
    const done = await second.flush()
    const again = await second.flush()
    expect(done.inserted + again.inserted).toBe(9)
    expect(readdirSync(join(directory, 'spool'))).toEqual([])
    expect((await allRows(records, { dataset: 'trades', symbols: ['G', 'H'] })).length).toBe(9)
  })

  it('publishes and writes nothing in mode event_only', async () => {
    const seen: LoadBatch[] = []
    const load = loader({ mode: 'event_only', publish: (batch: LoadBatch) => void seen.push(batch) })
    const batch = trades('I', 2)
    expect(await load.load(batch)).toMatchObject({
      mode: 'event_only',
      published: 2,
      inserted: 0,
      batches: 0,
    })
    expect(seen).toEqual([batch])
    expect(await allRows(records, { dataset: 'trades', symbols: ['I'] })).toEqual([])
    await expect(loader().load(batch, { mode: 'event_only' })).rejects.toMatchObject({
      code: 'OPTION_INVALID',
    })
  })

  it('says so when a failed batch cannot be kept either', async () => {
    await writeFile(join(directory, 'taken'), '')
    const load = loader({
      records: broken('DISK_FULL', false, 1),
      recovery: { directory: join(directory, 'taken') },
    })
    await expect(load.load(trades('J', 2))).rejects.toMatchObject({
      code: 'LOAD_RECOVERY_FAILED',
      retryable: true,
    })
  })

  async function rowIds(): Promise<string[]> {
    const { rows } = await test.sql.query<{ id: string }>(
      "SELECT tableoid::text || ' ' || ctid::text || ' ' || xmin::text AS id FROM records_trades WHERE symbol = 'B' ORDER BY 1",
    )
    return rows.map((row) => row.id)
  }
})

it('needs the store a batch is for', async () => {
  const load = createLoader({ recovery: { directory: join(tmpdir(), 'never-made') } })
  await expect(load.load({ dataset: 'bars', batch: batchOf([['A', day(1), 1]]) })).rejects.toMatchObject({
    code: 'OPTION_INVALID',
  })
})
