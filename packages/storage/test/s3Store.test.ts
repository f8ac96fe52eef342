import { Secret, barAt } from '@varve/core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type BarStore, type LakeFiles, createBarStore } from '../src/index.ts'
import { createS3Lake } from '../src/s3/index.ts'
import { type S3Double, type S3FaultKind, startS3Double } from '../src/testing/s3Double.ts'
import { type TestStore, batchOf, day, openTestStore, seededRandom } from './support.ts'

const SYMBOLS = ['A', 'B', 'C', 'D']
const FAULTS: readonly S3FaultKind[] = [
  'error500',
  'slowDown',
  'reset',
  'lostAnswer',
  'truncatedBody',
  'shortBody',
  'ignoredRange',
  'wrongETag',
]

describe('a store whose lake lies on S3', () => {
  let double: S3Double
  let remote: ReturnType<typeof createS3Lake>
  let onS3: TestStore
  let local: TestStore
  beforeAll(async () => {
    double = await startS3Double({ listingDelayMs: 3_600_000 })
    remote = createS3Lake({
      bucket: double.bucket,
      prefix: 'varve',
      endpoint: double.endpoint,
      credentials: { accessKeyId: new Secret(double.accessKeyId), secretAccessKey: new Secret('x') },
      retryDelayMs: 1,
      retryDelayMaxMs: 1,
      listPageKeys: 3,
      attempts: 20,
    })
    onS3 = await openTestStore('postgres')
    local = await openTestStore('postgres')
  })
  afterAll(async () => {
    await onS3.close()
    await local.close()
    await remote.close()
    await double.close()
  })

  const openOver = (test: TestStore, lake: LakeFiles) =>
    createBarStore({
      sql: test.sql,
      lake,
      minDeltaRows: 4,
      maxFileRows: 60,
      rowGroupRows: 20,
      compactSpareFiles: 0,
    })
  const load = async (test: TestStore, store: BarStore, rows: Parameters<typeof batchOf>[0]) => {
    const staged = await store.stage(batchOf(rows), { hotFrom: () => day(90), initialWatermark: day(100) })
    await test.sql.tx((tx) => store.commit(tx, staged))
  }
  const everything = async (store: BarStore) => {
    const seen: string[] = []
    for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity })) {
      for (let row = 0; row < batch.length; row++) {
        const bar = barAt(batch, row)
        seen.push(`${bar.symbol}@${bar.time}=${bar.open},${bar.volume}`)
      }
    }
    return seen
  }

  it('answers like one in a directory, whatever goes wrong on the way and though listings lag behind', async () => {
    const away = openOver(onS3, remote)
    const near = openOver(local, local.lake)
    const random = seededRandom(5)
    const trouble = () => {
      double.heal()
      for (const kind of FAULTS) double.fail({ kind, times: 1 + Math.floor(random() * 2) })
    }
    for (let turn = 0; turn < 4; turn++) {
      const rows = SYMBOLS.flatMap((symbol) =>
        Array.from(
          { length: 15 },
          () => [symbol, day(Math.floor(random() * 120)), Math.floor(random() * 1e9)] as const,
        ),
      )
      trouble()
      await load(onS3, away, rows)
      await load(local, near, rows)
      if (turn % 2 === 1) {
        const policy = {
          interval: '1d',
          asOf: day(120),
          archiveTo: day(100 + turn),
          hotFrom: () => day(90 + turn),
          coldFrom: () => null,
        } as const
        trouble()
        await away.retain(policy)
        await near.retain(policy)
        trouble()
        await away.compact('1d', { force: true })
        await near.compact('1d', { force: true })
        await away.sweep({ graceMs: 0 })
      }
      trouble()
      expect(await everything(away)).toEqual(await everything(near))
    }
    double.heal()
    expect((await away.verify()).problems).toEqual([])
    expect(await away.checksums()).toEqual(await near.checksums())
    const { rows } = await onS3.sql.query<{ path: string }>(
      'SELECT path FROM lake_files WHERE removed_at IS NULL',
    )
    expect(rows.length).toBeGreaterThan(0)
    for (const row of rows) expect(double.objects.has(`varve/${row.path}`)).toBe(true)
    expect(double.requests.filter(({ status }) => status === 0 || status >= 500).length).toBeGreaterThan(20)
  })

  it('says so when S3 is gone, rather than answer from Postgres alone', async () => {
    double.fail({ kind: 'slowDown', times: 1000 })
    await expect(everything(openOver(onS3, remote))).rejects.toThrow(/HTTP 503/)
    double.heal()
  })
})
