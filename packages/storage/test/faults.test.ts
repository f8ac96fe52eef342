import { execFile } from 'node:child_process'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Secret, channelNames } from '@varve/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type BarReadBatch, type BarStore, createBarStore } from '../src/index.ts'
import { createS3Lake } from '../src/s3/index.ts'
import { startS3Double } from '../src/testing/s3Double.ts'
import { type TestStore, batchOf, day, openTestStore } from './support.ts'

const run = promisify(execFile)
const PLAN = { hotFrom: () => day(110), initialWatermark: day(110) }
const EVERYTHING = { interval: '1d', from: -Infinity, to: Infinity } as const

/** Two symbols, half of their days hot. */
const history = (from = 0, to = 120) =>
  batchOf(
    ['A', 'B'].flatMap((symbol) =>
      Array.from({ length: to - from }, (_, index) => [symbol, day(from + index), from + index] as const),
    ),
  )

describe('what goes wrong is said, raises an alert, and loses nothing', () => {
  let test: TestStore
  const alerts: { key: string; severity: string; message: string }[] = []
  const note = (message: unknown) => alerts.push(message as (typeof alerts)[0])

  beforeEach(async () => {
    test = await openTestStore('postgres')
    alerts.length = 0
    subscribe(channelNames.alert, note)
  })
  afterEach(async () => {
    unsubscribe(channelNames.alert, note)
    await test.close()
  })

  const load = async (store: BarStore, batch = history()) => {
    const staged = await store.stage(batch, PLAN)
    return test.sql.tx((tx) => store.commit(tx, staged))
  }
  const read = async (store: BarStore, query: object = {}) => {
    const batches: BarReadBatch[] = []
    for await (const batch of store.read({ ...EVERYTHING, ...query })) batches.push(batch)
    return batches
  }
  const count = (batches: readonly BarReadBatch[]) => batches.reduce((sum, batch) => sum + batch.length, 0)

  it('a disk that takes no more: the rows wait in Postgres and compaction writes them', async () => {
    const child = join(import.meta.dirname, 'faultsChild.ts')
    const flags = '--conditions=@varve/source --disable-warning=ExperimentalWarning'
    const { stdout } = await run('sh', [
      '-c',
      // Files of at most 4 KiB; the lake file would have more.
      `ulimit -f 8; exec "$0" ${flags} "$1" "$2" "$3"`,
      process.execPath,
      child,
      test.connectionString!,
      test.lakeDirectory,
    ])
    const result = JSON.parse(stdout) as { counts: object; alerts: string[]; lakePath: string | null }
    expect(result).toMatchObject({
      counts: { inserted: 20_000, coldRows: 20_000 },
      alerts: ['lake LAKE_UNREACHABLE'],
      lakePath: null,
    })
    const store = createBarStore({ sql: test.sql, lake: test.lake })
    const files = []
    for await (const file of test.lake.list()) files.push(file.path)
    expect(files, 'no torn file is left').toEqual([])
    expect(count(await read(store))).toBe(20_000)
    const before = await store.checksums()
    expect(await store.compact('1d')).toMatchObject({ lateFolded: 20_000 })
    expect((await store.stats()).coldFiles).toBeGreaterThan(0)
    expect(await store.checksums()).toEqual(before)
  })

  it('a damaged lake file: an error that names it, a labelled part by choice, everything after its repair', async () => {
    const store = createBarStore({ sql: test.sql, lake: test.lake, minDeltaRows: 10 })
    await load(store)
    const files = []
    for await (const entry of test.lake.list('bars')) files.push(entry)
    const [file] = files
    const content = await test.lake.read(file!.path, 0, file!.bytes)
    const damaged = content.slice()
    damaged[200]! ^= 4
    await test.lake.write(file!.path, damaged)
    const fresh = createBarStore({ sql: test.sql, lake: test.lake })
    await expect(read(fresh)).rejects.toMatchObject({
      code: 'LAKE_UNREADABLE',
      details: { path: file!.path },
    })
    expect(alerts).toMatchObject([{ key: 'lake LAKE_UNREADABLE', severity: 'critical' }])
    const [part] = await read(fresh, { onLakeFailure: 'partial' })
    expect(part).toMatchObject({ length: 20, partial: { missing: 'cold', symbols: ['A', 'B'] } })
    expect(part!.partial!.cause.code).toBe('LAKE_UNREADABLE')
    // Hot rows alone need no lake, and are no part of anything.
    expect(await read(fresh, { from: day(110) })).toMatchObject([{ length: 20 }])
    expect((await read(fresh, { from: day(110) }))[0]!.partial).toBeUndefined()
    expect((await fresh.verify()).problems).toMatchObject([{ path: file!.path, kind: 'damaged' }])
    await test.lake.write(file!.path, content)
    expect(count(await read(fresh))).toBe(240)
  })

  it('a bucket that refuses: typed, nothing half done; hot loads go on, and what was refused goes in later', async () => {
    const key = { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'canary-of-the-secret' }
    const double = await startS3Double({ accessKeyId: key.accessKeyId })
    const lake = createS3Lake({
      bucket: 'lake',
      endpoint: double.endpoint,
      attempts: 2,
      retryDelayMs: 1,
      credentials: {
        accessKeyId: new Secret(key.accessKeyId),
        secretAccessKey: new Secret(key.secretAccessKey),
      },
    })
    try {
      const store = createBarStore({ sql: test.sql, lake, minDeltaRows: 10 })
      double.fail({ kind: 'accessDenied', method: 'PUT', times: 1000 })
      await expect(load(store)).rejects.toMatchObject({ code: 'LAKE_ACCESS_DENIED', retryable: false })
      expect(alerts).toMatchObject([{ key: 'lake LAKE_ACCESS_DENIED' }])
      expect(JSON.stringify(alerts)).not.toContain(key.secretAccessKey)
      expect(count(await read(store))).toBe(0)
      expect(await load(store, history(110, 120))).toMatchObject({ inserted: 20, hotRows: 20 })
      double.heal()
      // Busy instead of refusing: the rows wait.
      double.fail({ kind: 'slowDown', method: 'PUT', times: 1000 })
      expect(await load(store)).toMatchObject({ inserted: 220, unchanged: 20, coldRows: 220 })
      double.heal()
      expect(await store.compact('1d')).toMatchObject({ lateFolded: 220 })
      expect(count(await read(store))).toBe(240)
    } finally {
      await lake.close()
      await double.close()
    }
  })
})
