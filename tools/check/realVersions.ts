// The whole US market of a year as it was crawled day by day, 68,081 restated versions included, into the bar store:
// what was known on a day reads back as it was, the latest version wins, loading again changes nothing.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DuckDBInstance } from '@duckdb/node-api'
import { applyMigrations, BarBatchBuilder, DAY_MS } from '@varve/core'
import { createBarStore, createLocalLake, createPostgresClient, storageMigrations } from '@varve/storage'
import { startPostgres } from '../testing/postgres.ts'
import type { Checker } from './checker.ts'

const SOURCE = { provider: 'crawl', feed: 'daily', adjustment: 'raw' } as const
/** Days from here on are hot, the others in the lake. */
const HOT_FROM = Date.UTC(2015, 11, 1)
/** Every so many crawls is looked at as of its day. */
const EVERY = 87
const RELOADED_EVERY = 60
const NAMES = ['open', 'high', 'low', 'close', 'volume'] as const

interface Crawls {
  readonly snaps: readonly number[]
  readonly symbols: readonly string[]
  readonly length: number
  /** Per row: crawl, symbol, day and the five values scaled by 10^6. */
  readonly snap: Int32Array
  readonly symbol: Int32Array
  readonly day: Int32Array
  readonly values: readonly BigInt64Array[]
}

/** @param market - one row per bar, as last seen; restatements - every version of those that changed */
export async function checkVersions(
  market: string,
  restatements: string,
  check: Checker['check'],
): Promise<void> {
  const crawls = await readCrawls(market, restatements)
  const folder = mkdtempSync(join(tmpdir(), 'varve-versions-'))
  const postgres = await startPostgres()
  const sql = createPostgresClient({ connectionString: postgres.url })
  try {
    await applyMigrations(sql, storageMigrations)
    const store = createBarStore({ sql, lake: createLocalLake({ directory: join(folder, 'lake') }) })
    const plan = { hotFrom: () => HOT_FROM, initialWatermark: HOT_FROM }
    const load = async (crawl: number) => {
      const staged = await store.stage(batchOf(crawls, crawl), plan, { recordedAt: crawls.snaps[crawl]! })
      return sql.tx((tx) => store.commit(tx, staged))
    }
    const began = performance.now()
    const totals = { inserted: 0, updated: 0, unchanged: 0 }
    for (let crawl = 0; crawl < crawls.snaps.length; crawl++) {
      const counts = await load(crawl)
      for (const name of ['inserted', 'updated', 'unchanged'] as const) totals[name] += counts[name]
    }
    const seconds = (performance.now() - began) / 1000
    console.log(
      `${crawls.snaps.length} crawls, ${crawls.length} versions in ${seconds.toFixed(1)} s: ${JSON.stringify(totals)}`,
    )
    check('every bar of the year is there once', totals.inserted === 1_580_708, String(totals.inserted))
    await store.compact('1d')
    const readAt = (knownAt: number | undefined) => readAll(store, knownAt)
    const last = crawls.snaps.length - 1
    const days = crawls.snaps.flatMap((_, crawl) => (crawl % EVERY === 0 || crawl === last ? [crawl] : []))
    let wrong = 0
    let other = 0
    const now = expectedAt(crawls, last)
    for (const crawl of days) {
      const expected = expectedAt(crawls, crawl)
      const found = await readAt(crawls.snaps[crawl])
      wrong += differences(found, expected)
      for (const [key, text] of expected) if (now.get(key) !== text) other++
    }
    check(`what was known on ${days.length} days reads back as it was`, wrong === 0, `${wrong} differences`)
    check('today’s values would be wrong on those days (control)', other > 100, `${other} bars`)
    check('the latest version wins by default', differences(await readAt(undefined), now) === 0)
    const before = await store.checksums()
    const { versions } = await store.stats()
    let rewritten = 0
    for (let crawl = 0; crawl <= last; crawl += RELOADED_EVERY) {
      const counts = await load(crawl)
      rewritten += counts.hotRows + counts.coldRows
    }
    const after = await store.checksums()
    check(
      'loading crawls again changes nothing',
      rewritten === 0 && after.bars === before.bars,
      `${rewritten} rows`,
    )
    check('and adds no version', (await store.stats()).versions === versions, String(versions))
  } finally {
    await sql.close()
    await postgres.stop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Versions by crawl: those of restated bars as they came, of all others the one there is. */
async function readCrawls(market: string, restatements: string): Promise<Crawls> {
  const duck = await DuckDBInstance.create(':memory:', { threads: '2' })
  const connection = await duck.connect()
  const scaled = NAMES.map((name) =>
    name === 'volume' ? 'volume::BIGINT * 1000000' : `(${name} * 1000000)::BIGINT`,
  ).join(', ')
  const reader = await connection.stream(
    `SELECT (snap - DATE '1970-01-01')::INTEGER, symbol, (date - DATE '1970-01-01')::INTEGER, ${scaled} FROM (
       SELECT snap, symbol, date, open, high, low, close, volume FROM read_parquet('${restatements}')
       UNION ALL
       SELECT first_snap AS snap, symbol, date, open, high, low, close, volume FROM read_parquet('${market}')
       WHERE (symbol, date) NOT IN (SELECT (symbol, date) FROM read_parquet('${restatements}'))
     ) ORDER BY snap, symbol, date`,
  )
  const snaps: number[] = []
  const symbols: string[] = []
  const index = new Map<string, number>()
  const capacity = 1_700_000
  const snap = new Int32Array(capacity)
  const symbol = new Int32Array(capacity)
  const day = new Int32Array(capacity)
  const values = NAMES.map(() => new BigInt64Array(capacity))
  let length = 0
  for (;;) {
    const chunk = await reader.fetchChunk()
    if (chunk === null || chunk.rowCount === 0) break
    const columns = chunk.getColumns()
    for (let row = 0; row < chunk.rowCount; row++) {
      const time = Number(columns[0]![row]) * DAY_MS
      if (snaps.at(-1) !== time) snaps.push(time)
      const name = String(columns[1]![row])
      let at = index.get(name)
      if (at === undefined) {
        at = symbols.push(name) - 1
        index.set(name, at)
      }
      snap[length] = snaps.length - 1
      symbol[length] = at
      day[length] = Number(columns[2]![row])
      for (let column = 0; column < NAMES.length; column++)
        values[column]![length] = columns[3 + column]![row] as bigint
      length++
    }
  }
  connection.closeSync()
  return { snaps, symbols, length, snap, symbol, day, values }
}

function batchOf(crawls: Crawls, crawl: number) {
  const builder = new BarBatchBuilder('1d', SOURCE)
  for (let row = firstOf(crawls, crawl); row < crawls.length && crawls.snap[row] === crawl; row++) {
    const [open, high, low, close, volume] = crawls.values.map((column) => column[row]!) as [
      bigint,
      bigint,
      bigint,
      bigint,
      bigint,
    ]
    builder.add(
      crawls.symbols[crawls.symbol[row]!]!,
      crawls.day[row]! * DAY_MS,
      open,
      high,
      low,
      close,
      volume,
    )
  }
  return builder.build()
}

function firstOf({ snap, length }: Crawls, crawl: number): number {
  let low = 0
  let high = length
  while (low < high) {
    const middle = (low + high) >> 1
    if (snap[middle]! < crawl) low = middle + 1
    else high = middle
  }
  return low
}

/** What the crawls up to one say, in the plainest terms. */
function expectedAt(crawls: Crawls, crawl: number): Map<string, string> {
  const known = new Map<string, string>()
  for (let row = 0; row < crawls.length && crawls.snap[row]! <= crawl; row++)
    known.set(
      `${crawls.symbols[crawls.symbol[row]!]}|${crawls.day[row]}`,
      crawls.values.map((column) => column[row]).join(' '),
    )
  return known
}

async function readAll(
  store: ReturnType<typeof createBarStore>,
  knownAt: number | undefined,
): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity, knownAt })) {
    for (let row = 0; row < batch.length; row++)
      found.set(
        `${batch.symbols[batch.symbolIndex[row]!]}|${batch.time[row]! / DAY_MS}`,
        NAMES.map((name) => batch[name][row]).join(' '),
      )
  }
  return found
}

function differences(found: ReadonlyMap<string, string>, expected: ReadonlyMap<string, string>): number {
  let count = 0
  for (const [key, text] of expected) if (found.get(key) !== text) count++
  for (const key of found.keys()) if (!expected.has(key)) count++
  return count
}
