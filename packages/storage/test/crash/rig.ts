import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type SqlClient, barAt } from '@varve/core'
import { createBarStore, createLocalLake, createPgliteClient, createPostgresClient } from '../../src/index.ts'
import { DAY, type Engine, seededRandom } from '../support.ts'
import { SYMBOLS, expectedBars } from './plan.ts'
import { Watch, readDays, readInTwoStatements } from './watch.ts'

export interface CrashOptions {
  readonly engine: Engine
  readonly seed: number
  /** Kills at most; then the work is left to finish. */
  readonly kills: number
  /** Where databases are made, for Postgres. */
  readonly server?: string
}

export interface CrashOutcome {
  readonly kills: number
  /** Kills by what was being done. */
  readonly phases: ReadonlyMap<string, number>
  readonly reads: number
  /** What the store's reader saw that it must not, and what differs in the end. */
  readonly faults: readonly string[]
  /** The same of the reader that takes bounds and rows by two statements. */
  readonly naiveFaults: number
}

/** Kills the work again and again, lets it finish, and compares what is stored with the plan. */
export async function runCrashSeed(options: CrashOptions): Promise<CrashOutcome> {
  const { engine, seed } = options
  const folder = mkdtempSync(join(tmpdir(), 'varve-crash-'))
  const lakeDirectory = join(folder, 'lake')
  const log = join(folder, 'reads.log')
  const database = engine === 'postgres' ? await createDatabase(options.server!) : undefined
  const target = database?.url ?? join(folder, 'database')
  const faults: string[] = []
  let reads = 0
  let naiveFaults = 0
  try {
    const spawn = () =>
      fork(join(import.meta.dirname, 'worker.ts'), [engine, target, lakeDirectory, String(seed), log], {
        execArgv: ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      })
    const readers =
      engine === 'postgres' ? startReaders(target, lakeDirectory) : { stop: () => Promise.resolve(undefined) }
    const { kills, phases } = await killAgainAndAgain(spawn, options)
    const seen = await readers.stop()
    if (seen !== undefined) {
      faults.push(...seen.faults)
      reads = seen.reads
      naiveFaults = seen.naiveFaults
    } else if (existsSync(log)) {
      for (const line of readFileSync(log, 'utf8').split('\n')) {
        if (line.startsWith('fault')) faults.push(line)
        else if (line === 'naive') naiveFaults++
        else if (line === 'read') reads++
      }
    }
    faults.push(...(await finalDifferences(engine, target, lakeDirectory, seed)))
    return {
      kills,
      phases,
      reads,
      faults: faults.map((fault) => `${engine} seed ${seed}: ${fault}`),
      naiveFaults,
    }
  } finally {
    await database?.drop()
    rmSync(folder, { recursive: true, force: true })
  }
}

/** The first kills hit the opening and the schema, the last ones the end, the others the work. */
const VICTIMS = ['open', 'migrate', 'migrate']
const WORK = ['load', 'retain', 'compact', 'retain', 'compact', 'sweep']

async function killAgainAndAgain(
  spawn: () => ChildProcess,
  { seed, kills: most, engine }: CrashOptions,
): Promise<{ kills: number; phases: Map<string, number> }> {
  const random = seededRandom(seed)
  const phases = new Map<string, number>()
  let kills = 0
  for (;;) {
    const child = spawn()
    let phase = 'start'
    let timer: NodeJS.Timeout | undefined
    const ended = endOf(child)
    if (kills < most) {
      const victim =
        VICTIMS[kills] ?? (kills >= most - 2 ? 'finish' : WORK[Math.floor(random() * WORK.length)]!)
      const delay = Math.floor(random() * (engine === 'pglite' ? 150 : 80))
      child.on('message', (name: string) => {
        phase = name
        if (name === victim) timer ??= setTimeout(() => child.kill('SIGKILL'), delay)
      })
    }
    const outcome = await ended
    clearTimeout(timer)
    if (outcome !== 'SIGKILL') return { kills, phases }
    kills++
    phases.set(phase, (phases.get(phase) ?? 0) + 1)
  }
}

async function endOf(child: ChildProcess): Promise<string | number> {
  let log = ''
  child.stderr!.on('data', (chunk: Buffer) => {
    log = (log + chunk.toString()).slice(-4000)
  })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (code !== 0 && signal !== 'SIGKILL') throw new Error(`the worker failed with ${code ?? signal}:\n${log}`)
  return signal ?? code!
}

/** Readers of a server, beside the work in processes of their own. */
function startReaders(url: string, lakeDirectory: string) {
  const sql = createPostgresClient({ connectionString: url, maxConnections: 2 })
  const store = createBarStore({ sql, lake: createLocalLake({ directory: lakeDirectory }) })
  const [watch, naive] = [new Watch(), new Watch()]
  const failures: string[] = []
  let stop = false
  const migrated = async () =>
    (await sql.query<{ there: boolean }>("SELECT to_regclass('bar_versions') IS NOT NULL AS there")).rows[0]!
      .there
  const loop = async (observe: () => Promise<void>) => {
    while (!stop && !(await migrated())) await new Promise((resolve) => setTimeout(resolve, 20))
    while (!stop) await observe()
  }
  const running = Promise.all([
    loop(async () => {
      watch.observe(await readDays(store))
    }),
    loop(async () => {
      naive.observe(await readInTwoStatements(sql))
    }),
  ]).catch((error: unknown) => failures.push(String(error)))
  return {
    async stop() {
      stop = true
      await running
      await sql.close()
      return {
        faults: [...watch.faults, ...failures],
        reads: watch.reads,
        naiveFaults: naive.faults.length,
      }
    },
  }
}

/** Everything that differs from the plan: bars, their history, and files nobody refers to. */
async function finalDifferences(
  engine: Engine,
  target: string,
  lakeDirectory: string,
  seed: number,
): Promise<string[]> {
  const sql: SqlClient =
    engine === 'postgres'
      ? createPostgresClient({ connectionString: target, maxConnections: 2 })
      : createPgliteClient({ directory: target })
  try {
    const lake = createLocalLake({ directory: lakeDirectory })
    const store = createBarStore({ sql, lake })
    const differences: string[] = []
    for (const knownAt of [Infinity, 12_250, 25_750]) {
      const found = new Map<string, bigint>()
      let rows = 0
      const query = knownAt === Infinity ? {} : { knownAt }
      for await (const batch of store.read({ interval: '1d', from: -Infinity, to: Infinity, ...query })) {
        for (let row = 0; row < batch.length; row++) {
          const bar = barAt(batch, row)
          found.set(`${bar.symbol}|${bar.time / DAY}`, bar.open)
          rows++
        }
      }
      const expected = expectedBars(seed, knownAt)
      if (rows !== found.size) differences.push(`${rows - found.size} bars twice, known at ${knownAt}`)
      for (const [key, price] of expected)
        if (found.get(key) !== price)
          differences.push(`${key} is ${found.get(key)}, not ${price}, known at ${knownAt}`)
      for (const key of found.keys())
        if (!expected.has(key)) differences.push(`${key} should not be, known at ${knownAt}`)
    }
    await store.sweep({ graceMs: -60_000 })
    const files: string[] = []
    for await (const file of lake.list()) files.push(file.path)
    const { coldFiles } = await store.stats()
    if (files.length !== coldFiles) differences.push(`${files.length} files where ${coldFiles} are listed`)
    const { problems } = await store.verify()
    for (const { path, problem } of problems) differences.push(`${path}: ${problem}`)
    const summary = await store.seriesSummary('1d')
    if (summary.length !== SYMBOLS.length) differences.push(`${summary.length} series`)
    return differences
  } finally {
    await sql.close()
  }
}

async function createDatabase(server: string) {
  const name = `crash_${randomUUID().replaceAll('-', '')}`
  const admin = createPostgresClient({ connectionString: server, maxConnections: 1 })
  await admin.exec(`CREATE DATABASE ${name}`)
  const url = new URL(server)
  url.pathname = `/${name}`
  return {
    url: url.href,
    async drop() {
      await admin.exec(`DROP DATABASE ${name} WITH (FORCE)`)
      await admin.close()
    },
  }
}
