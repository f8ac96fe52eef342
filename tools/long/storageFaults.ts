// The store under long faults: `node --conditions=@varve/source tools/long/storageFaults.ts --seed N --seconds S`. A
// Postgres of its own is killed and started again every few seconds and a bucket on this machine flaps, while loaders,
// a late writer, a reader and a housekeeper work. In the end what callers were told is compared with what is stored.
import { Secret, applyMigrations, channelNames, systemClock } from '@varve/core'
import {
  createBarStore,
  createLoader,
  createPostgresClient,
  createRecordStore,
  storageMigrations,
} from '@varve/storage'
import { createS3Lake } from '@varve/storage/s3'
import { randomInt } from 'node:crypto'
import { subscribe } from 'node:diagnostics_channel'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startS3Double } from '../../packages/storage/src/testing/s3Double.ts'
import { createLedger, taintedFaults } from './faultsLedger.ts'
import { FIRST_WATERMARK, type Kind, barKind, recordKind } from './faultsKinds.ts'
import {
  type Notes,
  type Player,
  playCareless,
  playHousekeeper,
  playLateWriter,
  playLoader,
  playReader,
} from './faultsPlayers.ts'
import { makeWeather } from './faultsWeather.ts'
import { seededRandom } from '../../packages/storage/test/support.ts'
import { startSwitchablePostgres } from '../testing/switchablePostgres.ts'

const { values } = parseArgs({
  options: { seed: { type: 'string' }, seconds: { type: 'string', default: '60' } },
})
const seed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)
const seconds = Number(values.seconds)
if (!Number.isInteger(seed) || !(seconds > 0)) {
  console.error('usage: storageFaults.ts --seed N --seconds S')
  process.exit(2)
}
const SHOWN = 5
const MOMENTS = 6
/** Longest a player may take to come to an end once everything is well again. */
const ENDING_MS = 120_000

let passed = 0
let failed = 0
const check = (name: string, good: boolean, found: string, faults: readonly string[] = []): void => {
  console.log(`${good ? 'ok  ' : 'FAIL'} seed ${seed} ${name}: ${found}`)
  if (!good) for (const fault of faults.slice(0, SHOWN)) console.log(`     ${fault}`)
  if (good) passed++
  else failed++
}

const unhandled: string[] = []
process.on('unhandledRejection', (error) => unhandled.push(String(error)))
const alerts = new Map<string, number>()
subscribe(channelNames.alert, (message) => {
  const { key } = message as { key: string }
  alerts.set(key, (alerts.get(key) ?? 0) + 1)
})

const folder = mkdtempSync(join(tmpdir(), 'varve-faults-'))
const server = await startSwitchablePostgres()
const bucket = await startS3Double()
const sql = createPostgresClient({ connectionString: server.url, waitTimeoutMs: 2500, outageRetryMs: 50 })
const lake = createS3Lake({
  bucket: bucket.bucket,
  prefix: 'varve',
  endpoint: bucket.endpoint,
  credentials: { accessKeyId: new Secret(bucket.accessKeyId), secretAccessKey: new Secret('of the double') },
  attempts: 4,
  retryDelayMs: 20,
  retryDelayMaxMs: 200,
  requestTimeoutMs: 1000,
  deadlineMs: 5000,
})
const bars = createBarStore({
  sql,
  lake,
  minDeltaRows: 20,
  maxFileRows: 5000,
  rowGroupRows: 500,
  compactSpareFiles: 2,
})
const records = createRecordStore({ sql, lake, maxFileRows: 5000, rowGroupRows: 500 })
const plan = () => ({ hotFrom: () => FIRST_WATERMARK, initialWatermark: FIRST_WATERMARK })
const loaderNames = ['A', 'B', 'late'] as const
const loaders = loaderNames.map((name) =>
  createLoader({
    bars: { sql, store: bars, plan },
    records,
    recovery: { directory: join(folder, name) },
    retries: 2,
    retryDelayMs: 100,
    retryDelayMaxMs: 400,
  }),
)

try {
  await run()
} finally {
  for (const loader of loaders) await loader.close()
  await sql.close()
  await lake.close()
  await bucket.close()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1

async function run(): Promise<void> {
  await applyMigrations(sql, storageMigrations)
  const ledger = () => createLedger(() => systemClock.now())
  const kinds: readonly Kind[] = [
    barKind(bars, ledger()),
    recordKind(records, 'trades', ledger()),
    recordKind(records, 'news', ledger()),
  ]
  const careless = barKind(bars, ledger())
  const ours = (key: string): boolean => !key.startsWith('CARELESS')
  const storedOf = async (kind: Kind, knownAt?: number) => {
    const wanted = kind === careless ? (key: string) => !ours(key) : ours
    const stored = await kind.read(knownAt === undefined ? {} : { knownAt })
    return new Map([...stored].filter(([key]) => wanted(key)))
  }

  const storm = new AbortController()
  const ending = new AbortController()
  const notes: Notes = {
    codes: new Map(),
    faults: [],
    damage: [],
    lasting: [],
    refused: [],
    reads: 0,
    chores: new Map(),
    swept: 0,
  }
  const player = (number: number): Player => ({
    notes,
    random: seededRandom(seed * 16 + number),
    signal: ending.signal,
  })
  const players = [
    ...(['A', 'B'] as const).flatMap((name, index) =>
      kinds.map((kind) => playLoader(player(index), name, kind, loaders[index]!)),
    ),
    playLateWriter(player(3), kinds, loaders[2]!),
    playReader(player(4), kinds, ours),
    // Two of them, so that they meet.
    playHousekeeper(player(5), bars, records),
    playHousekeeper(player(8), bars, records),
    playCareless(player(6), careless, async (batch) => {
      if (batch.dataset !== 'bars') return
      const known = batch.recordedAt === undefined ? {} : { recordedAt: batch.recordedAt }
      const staged = await bars.stage(batch.batch, plan(), known)
      await sql.tx((tx) => bars.commit(tx, staged))
    }),
  ]
  const blowing = makeWeather(server, bucket, seededRandom(seed * 16), storm.signal)
  await systemClock.sleep(seconds * 1000)
  storm.abort()
  const { restarts, spells } = await blowing
  ending.abort()
  const watch = new AbortController()
  const late = systemClock.sleep(ENDING_MS, { signal: watch.signal }).then(
    () => false,
    () => true,
  )
  const inTime = await Promise.race([Promise.all(players).then(() => true), late])
  watch.abort()
  const refused = bucket.requests.filter(
    ({ status }) => status === 0 || status === 403 || status >= 500,
  ).length
  check(
    'everybody came to an end',
    inTime && restarts > 0 && refused > 0,
    `${restarts} restarts of Postgres, ${refused} of ${bucket.requests.length} requests to the bucket failed (${listed(spells)})`,
  )
  check(
    'errors had codes and reads were whole',
    notes.faults.length === 0,
    `${notes.reads} reads, chores done: ${listed(notes.chores)}, ${notes.swept} files swept, ${notes.faults.length} faults; seen: ${listed(notes.codes)}`,
    notes.faults,
  )
  for (const message of notes.refused.slice(0, SHOWN)) console.log(`     told ${message}`)
  check(
    'no file was called missing or damaged',
    notes.damage.length === 0,
    `${notes.damage.length} times`,
    notes.damage,
  )
  check(
    'what passes was called retryable',
    notes.lasting.length === 0,
    `${notes.lasting.length} errors were not`,
    notes.lasting,
  )

  for (const kind of kinds) {
    const { batches } = kind.ledger
    const kept = batches.filter(({ standing }) => standing === 'kept').length
    const stored = await storedOf(kind)
    const faults = [...kind.ledger.faults(stored, kind.ledger.acknowledged()), ...kind.ledger.halves(stored)]
    const missing = kind.ledger.differences(stored).length
    check(
      `${kind.name} before the replay`,
      faults.length === 0,
      `${batches.length - kept} loads acknowledged, ${kept} kept, ${stored.size} rows, ${missing} still to come, ${faults.length} faults`,
      faults,
    )
    const caught = taintedFaults(kind.ledger, stored)
    check(
      `control, ${kind.name} with a row taken away, doubled, made up or put back`,
      caught.every((count) => count > 0),
      `${caught.join(', ')} faults found`,
    )
  }

  let replayed = 0
  const left: string[] = []
  for (const loader of loaders) {
    const result = await loader.replay()
    replayed += result.replayed
    left.push(...result.kept, ...result.damaged.map(({ file, problem }) => `${file}: ${problem}`))
    left.push(...result.errors.map(({ message }) => message))
  }
  check('replay', left.length === 0, `${replayed} loads replayed, ${left.length} left`, left)
  await compareAll('after the replay')

  const swept: string[] = []
  await bars.compact('1d', { force: true })
  for (const dataset of ['trades', 'news'] as const) await records.compact(dataset, { force: true })
  await bars.sweep({ graceMs: 0 })
  await records.sweep({ graceMs: 0 })
  const { problems, orphans, files } = await bars.verify()
  swept.push(...problems.map(({ path, problem }) => `${path}: ${problem}`))
  swept.push(...orphans.map(({ path, kind }) => `${path} is a file of kind ${kind}`))
  const { rows: cataloged } = await sql.query<{ path: string }>(
    'SELECT path FROM lake_files UNION ALL SELECT path FROM record_files',
  )
  const known = new Set(cataloged.map(({ path }) => `varve/${path}`))
  for (const key of bucket.objects.keys()) if (!known.has(key)) swept.push(`${key} belongs to nobody`)
  for (const key of known) if (!bucket.objects.has(key)) swept.push(`${key} is not in the bucket`)
  check(
    'lake after a sweep',
    swept.length === 0,
    `${files} files of bars, ${bucket.objects.size} objects, ${swept.length} problems`,
    swept,
  )
  await compareAll('after compaction')

  const lakeAlerts = [...alerts].filter(([key]) => key.startsWith('lake '))
  check('alerts for the lake', lakeAlerts.length > 0, listed(new Map(alerts)) || 'none')
  check('unhandled rejections', unhandled.length === 0, String(unhandled.length), unhandled)
  const lost = careless.ledger.differences(await storedOf(careless))
  check(
    'control, a loader without retries and recovery folder',
    lost.length > 0,
    `${lost.length} rows lost of ${careless.ledger.batches.length} loads`,
  )

  async function compareAll(when: string): Promise<void> {
    const random = seededRandom(seed * 16 + 7)
    for (const kind of kinds) {
      const { ledger: truth } = kind
      const stored = await storedOf(kind)
      const now = truth.differences(stored)
      const past: string[] = []
      for (let moment = 0; moment < MOMENTS; moment++) {
        const { recordedAt } = truth.batches[Math.floor(random() * truth.batches.length)]!
        const then = truth.differences(await storedOf(kind, recordedAt), recordedAt)
        past.push(...then.map((difference) => `as known at ${recordedAt}: ${difference}`))
      }
      check(
        `${kind.name} ${when}`,
        now.length === 0 && past.length === 0,
        `${stored.size} rows, ${now.length} differences now, ${past.length} at ${MOMENTS} past moments`,
        [...now, ...past],
      )
    }
  }
}

function listed(counts: ReadonlyMap<string, number>): string {
  return [...counts].map(([name, count]) => `${name} ${count}`).join(', ')
}
