// Point-in-time recovery, proved: `node --conditions=@varve/source tools/long/pointInTime.ts --seed N`. Starts a
// Postgres of its own with WAL archiving, takes a base backup while rows are being written, notes moments of a history
// of loads and deletions, destroys rows, recovers to each moment on a second server and compares; the control recovers
// to the end and must see the destruction.
import { BarBatchBuilder, type SqlClient, applyMigrations } from '@varve/core'
import {
  backupsForTime,
  createBackup,
  createBarStore,
  createLocalLake,
  createPostgresClient,
  storageMigrations,
} from '@varve/storage'
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../testing/postgres.ts'
import { copyDataDirectory, giveTo, startRecovered } from './pointInTimeServer.ts'
import { seededRandom } from '../../packages/storage/test/support.ts'

const MOMENTS = 3
const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' } } })
const seed = Number(values.seed)
const random = seededRandom(seed)
const between = (low: number, high: number): number => Math.floor(low + random() * (high - low + 1))

const folder = mkdtempSync(join(tmpdir(), 'varve-pitr-'))
const archive = join(folder, 'wal')
mkdirSync(archive)
const server = await startPostgres({
  archive_mode: 'on',
  archive_command: `test ! -f ${archive}/%f && cp %p ${archive}/%f`,
  full_page_writes: 'on',
  wal_level: 'replica',
})
const sql = createPostgresClient({ connectionString: server.url })
const lake = createLocalLake({ directory: join(folder, 'lake') })
const store = createBarStore({ sql, lake })
let passed = 0
let failed = 0
const check = (what: string, ok: boolean): void => {
  console.log(`${ok ? 'ok  ' : 'FAIL'} seed ${seed} ${what}`)
  if (ok) passed++
  else failed++
}
const bin = await dataDirectory().then((data) => join(dirname(data), 'native', 'bin'))

try {
  giveTo(await dataDirectory(), archive)
  chmodSync(folder, 0o755) // the server's user must reach what lies in it
  await applyMigrations(sql, storageMigrations)
  await sql.exec('CREATE TABLE ticks (n bigint PRIMARY KEY)')
  await load('EARLY', 300)

  // The base backup, with rows arriving meanwhile.
  let writing = true
  let written = 0
  const writer = (async () => {
    while (writing) await sql.query('INSERT INTO ticks VALUES ($1)', [written++])
  })()
  const base = join(folder, 'base')
  const admin = createPostgresClient({ connectionString: server.url, maxConnections: 1 })
  // Start and stop belong to one session; the pool of one connection is one session.
  await admin.query("SELECT pg_backup_start('varve', true)")
  await copyDataDirectory(await dataDirectory(), base)
  const { rows: label } = await admin.query<{ labelfile: string }>(
    'SELECT labelfile FROM pg_backup_stop(true)',
  )
  const baseFinishedAt = await serverTime()
  await admin.close()
  writing = false
  await writer
  writeFileSync(join(base, 'backup_label'), label[0]!.labelfile)
  check(`base backup taken while ${written} rows were written`, written > 0)

  await load('LATER', 300)
  const restorePoint = await createBackup({
    sql,
    lake,
    destination: createLocalLake({ directory: join(folder, 'backups') }),
  })
  const moments: { readonly at: number; readonly content: string }[] = []
  for (let moment = 0; moment < MOMENTS; moment++) {
    await sql.query('INSERT INTO ticks SELECT generate_series($1::bigint, $2::bigint)', [
      written,
      (written += between(1, 200)) - 1,
    ])
    await sql.query('DELETE FROM ticks WHERE n % 97 = $1', [between(0, 96)])
    await load(`MOMENT${moment}`, between(50, 400))
    moments.push({ content: await contentOf(sql), at: await serverTime() })
    await sql.query('SELECT pg_sleep(0.2)')
  }
  const { at: wanted, content: expected } = moments.at(-1)!

  await sql.exec(
    'DELETE FROM ticks WHERE n % 2 = 0; TRUNCATE bars; DELETE FROM companies; INSERT INTO ticks VALUES (-1)',
  )
  const destroyed = await contentOf(sql)
  check('the destruction changed the content', destroyed !== expected)
  await archiveAll()
  const archivedTo = await serverTime()

  const advice = await backupsForTime({
    source: createLocalLake({ directory: join(folder, 'backups') }),
    at: wanted,
    walArchive: { baseBackups: [{ name: 'base', finishedAt: baseFinishedAt }], archivedTo },
  })
  console.log(`     ${advice.advice}`)
  check(
    'point-in-time recovery is recommended, the restore point comes second',
    advice.recommended?.id === 'base' && advice.choices[1]?.id === restorePoint.id,
  )

  for (const { at, content } of moments) {
    const recovered = await recoverTo(base, new Date(at).toISOString())
    check(`recovered to ${new Date(at).toISOString()}: exactly the rows of that time`, recovered === content)
  }
  const latest = await recoverTo(base, undefined)
  check('recovered to the end (control): the destruction is in it', latest === destroyed)

  for (const name of readdirSync(archive).sort().slice(-1)) rmSync(join(archive, name))
  const cut = await recoverTo(base, new Date(wanted).toISOString()).catch((error: unknown) => String(error))
  check('with the last WAL file missing (control) the time is not reached', cut !== expected)
} finally {
  await sql.close()
  await server.stop()
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1

async function dataDirectory(): Promise<string> {
  const { rows } = await sql.query<{ path: string }>("SELECT current_setting('data_directory') AS path")
  return rows[0]!.path
}

async function serverTime(): Promise<number> {
  const { rows } = await sql.query<{ at: Date }>('SELECT clock_timestamp() AS at')
  return rows[0]!.at.getTime() + 1 // what was before is before the whole millisecond that follows
}

/** A company and its daily bars, some of them in the lake. */
async function load(name: string, days: number): Promise<void> {
  await sql.query('INSERT INTO companies (symbol, is_active) VALUES ($1, true)', [name])
  const bars = new BarBatchBuilder('1d', { provider: 'file', feed: 'example', adjustment: 'raw' })
  for (let day = 0; day < days; day++) {
    const price = BigInt(1_000_000 + day)
    bars.add(name, Date.UTC(2019, 4, 1 + day), price, price, price, price, 5_000_000n)
  }
  const plan = { hotFrom: () => Date.UTC(2020, 0, 1), initialWatermark: Date.UTC(2020, 0, 1) }
  const staged = await store.stage(bars.build(), plan)
  await sql.tx((tx) => store.commit(tx, staged))
}

/** All rows that matter, as one text. */
async function contentOf(client: SqlClient): Promise<string> {
  const { rows } = await client.query<{ n: bigint; sum: string }>(
    'SELECT count(*) AS n, coalesce(sum(n), 0)::text AS sum FROM ticks',
  )
  return JSON.stringify([
    await createBarStore({ sql: client, lake }).checksums(),
    String(rows[0]!.n),
    rows[0]!.sum,
  ])
}

async function archiveAll(): Promise<void> {
  const { rows } = await sql.query<{ name: string }>('SELECT pg_walfile_name(pg_switch_wal()) AS name')
  for (;;) {
    const { rows: state } = await sql.query<{ last: string | null }>(
      'SELECT last_archived_wal AS last FROM pg_stat_archiver',
    )
    if ((state[0]?.last ?? '') >= rows[0]!.name) return
    await sql.query('SELECT pg_sleep(0.05)')
  }
}

async function recoverTo(base: string, time: string | undefined): Promise<string> {
  const data = join(folder, `recovered-${process.hrtime.bigint()}`)
  cpSync(base, data, { recursive: true })
  chmodSync(data, 0o700)
  writeFileSync(join(data, 'recovery.signal'), '')
  const settings = [
    `restore_command = 'cp ${archive}/%f %p'`,
    ...(time === undefined
      ? []
      : [
          `recovery_target_time = '${time.replace('T', ' ').replace('Z', '+00')}'`,
          "recovery_target_action = 'promote'",
        ]),
  ]
  writeFileSync(join(data, 'postgresql.auto.conf'), `${settings.join('\n')}\n`)
  giveTo(await dataDirectory(), data)
  const started = await startRecovered(bin, data)
  try {
    await using client = createPostgresClient({ connectionString: started.url })
    return await contentOf(client)
  } finally {
    await started.stop()
  }
}
