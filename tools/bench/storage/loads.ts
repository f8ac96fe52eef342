import { createBarStore } from '@varve/storage'
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import {
  type BenchCase,
  type BenchOptions,
  type BenchResult,
  type Contender,
  against,
  interleave,
} from '../harness.ts'
import { hourlyBars } from '../market.ts'
import { multiRowUpsert, streamCsv, unnestUpsert, writeBinary, writeCsv } from './loadPeers.ts'
import {
  ALL_HOT,
  type BenchDatabase,
  type BenchPlace,
  NO_PSQL,
  assertTable,
  hasPsql,
  load,
  seriesIds,
  tableSums,
} from './support.ts'

interface Peer {
  readonly name: string
  /** Least times our rate is to be of the peer's. */
  readonly target: number
  run(): Promise<void>
}

/** Loads of 200,000 bars that are columns in JavaScript, into the table with its key, partitioned by month. */
export async function measureLoads(options: BenchOptions, place: BenchPlace): Promise<BenchResult> {
  const database = await place.openDatabase('loads')
  const { sql, plain, url } = database
  const batch = hourlyBars(100, 250)
  const store = createBarStore({ sql, lake: database.lake })
  // Makes the partitions and the series, which the peers need as well.
  await load(sql, store, batch, ALL_HOT)
  const expected = await tableSums(plain)
  const ids = await seriesIds(sql)
  const csv = join(place.folder, 'bars.csv')
  const binary = join(place.folder, 'bars.bin')
  writeCsv(batch, ids, csv)
  await writeBinary(plain, binary)

  const psql = hasPsql()
  const copy = (text: string) => Promise.resolve(void execFileSync('psql', [url, '-q', '-c', text]))
  const peers: Peer[] = [
    { name: 'psql \\copy csv', target: 1.4, run: () => copy(`\\copy bars from '${csv}' csv`) },
    {
      name: 'psql \\copy of a binary file',
      target: 0.95,
      run: () => copy(`\\copy bars from '${binary}' (format binary)`),
    },
    { name: 'UNNEST upsert', target: 3, run: () => unnestUpsert(plain, batch, ids) },
    { name: 'multi-row INSERT', target: 4, run: () => multiRowUpsert(plain, batch, ids) },
    { name: 'pg-copy-streams, CSV', target: 1, run: () => streamCsv(plain, batch, ids) },
  ].filter(({ name }) => {
    if (name.startsWith('psql')) return psql
    return !options.quick
  })
  const quick = options.quick ? peers.slice(0, 1) : peers
  const empty = () => emptied(database)
  const contenders: Contender[] = [
    {
      name: 'load',
      prepare: empty,
      async run() {
        const { inserted } = await load(sql, store, batch, ALL_HOT)
        if (inserted !== batch.length) throw new Error(`${inserted} rows inserted`)
      },
    },
    {
      name: 'again',
      async prepare() {
        if ((await tableSums(plain)).rows === batch.length) return
        await empty()
        await load(sql, store, batch, ALL_HOT)
      },
      async run() {
        const { unchanged, hotRows } = await load(sql, store, batch, ALL_HOT)
        if (unchanged !== batch.length || hotRows !== 0) throw new Error(`${hotRows} rows rewritten`)
      },
    },
    ...quick.map(({ name, run }) => ({ name, prepare: empty, run })),
  ]
  for (const { name, prepare, run } of contenders) {
    await prepare?.()
    await run()
    await assertTable(plain, name, expected)
  }
  const times = await interleave(contenders, options.quick ? 3 : 7)
  const rate = (name: string) => (batch.length / times.get(name)!) * 1000
  const common = { unit: 'rows/s', better: 'higher' } as const
  const cases: BenchCase[] = quick.map(({ name, target }) =>
    against(options, {
      ...common,
      case: 'load 200,000 bars',
      ours: rate('load'),
      peer: rate(name),
      peerName: name,
      target,
    }),
  )
  if (psql) {
    const peerName = 'psql \\copy csv'
    const again = { ...common, peer: rate(peerName), peerName, target: 1 }
    cases.push(against(options, { ...again, case: 'load the same again', ours: rate('again') }))
  }
  await assertNothingRewritten(database, () => load(sql, store, batch, ALL_HOT))
  await database.close()
  return { cases, skipped: psql ? [] : [NO_PSQL] }
}

async function emptied({ sql }: BenchDatabase): Promise<void> {
  await sql.exec('TRUNCATE bars')
  await sql.exec('CHECKPOINT')
}

/** @throws when the work wrote, moved or locked any row version */
async function assertNothingRewritten({ plain }: BenchDatabase, work: () => Promise<unknown>): Promise<void> {
  const versions = async () => {
    const { rows } = await plain.query<{ hash: string }>(
      `SELECT concat_ws(' ', count(*), bit_xor(hashtextextended(concat_ws(' ', tableoid, ctid, xmin, xmax), 0))) AS hash
       FROM bars`,
    )
    return rows[0]!.hash
  }
  const before = await versions()
  await work()
  const after = await versions()
  if (before !== after) throw new Error(`an identical load touched rows: ${before}, then ${after}`)
}
