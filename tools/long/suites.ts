import { join } from 'node:path'

const root = join(import.meta.dirname, '../..')

/** What one batch of a long run found. */
export interface BatchTotals {
  /** Seeds, cases or whatever the suite counts by; the next batch begins after them. */
  readonly seeds: number
  readonly kills: number
  readonly failures: number
}

/** A long run with a record of its own. */
export interface Suite {
  readonly name: string
  /** Where totals are kept. */
  readonly target: string
  readonly title: string
  readonly text: string
  /** Heads of the columns seeds, kills and failures. */
  readonly columns: readonly [string, string, string]
  /** What the first column counts of one seed; the next batch begins at the first seed that was not played. */
  readonly perSeed: number
  /** Sources the totals hold for. */
  readonly sources: readonly string[]
  /** Arguments of one batch from a seed on. */
  command(seed: number): { readonly args: readonly string[]; readonly env?: Readonly<Record<string, string>> }
  /** Totals of a finished batch; `undefined` when it did not finish. */
  read(output: string): BatchTotals | undefined
}

const FLOW_SEEDS = 5
const ENGINES = 2
const CRASH_SEEDS = 2
const CRASH_KILLS = 20
const ORACLE_SEEDS = 25
const ORACLE_STEPS = 40
const FAULT_SECONDS = 60
const POINT_IN_TIME_CHECKS = 8
/** Sources run as they are, without a build. */
const FROM_SOURCE = ['--conditions=@varve/source', '--disable-warning=ExperimentalWarning']

const STORAGE_SOURCES = ['packages/storage/src/**/*.ts', 'packages/core/src/**/*.ts']
const FAULT_SOURCES = ['faults*', 'storageFaults', 'switchablePostgres', 'seededRandom'].map(
  (name) => `tools/long/${name}.ts`,
)

export const SUITES: readonly Suite[] = [
  {
    name: 'flow',
    target: 'packages/pipeline/RELIABILITY.md',
    title: 'Reliability of the flow',
    text: `\`npm run test:long -- --minutes N --seed S\` kills \`varve run\` with SIGKILL at random moments (every second seed also
during its recovery), on the embedded database and on a Postgres server, runs it again, and compares companies,
events, bars, lake, coverage, suspect rows and gaps with an uninterrupted run. A failure is any difference, or a
recovery that does not end well. The market is every 20th symbol of a real tape of the US market, as of 2015-06-30.`,
    columns: ['seeds × engines', 'kills', 'failures'],
    perSeed: ENGINES,
    sources: ['packages/*/src/**/*.ts', 'apps/cli/src/**/*.ts', 'packages/application/defaults/*.yaml'],
    command: (seed) => ({
      args: [join(root, 'tools/check/crash.ts'), '--seed', String(seed), '--seeds', String(FLOW_SEEDS)],
    }),
    read(output) {
      const outcomes = [...output.matchAll(/seed \d+: killed after ([\d and]+) ms, (same content|FAILED)/g)]
      if (outcomes.length !== FLOW_SEEDS * ENGINES) return undefined
      return {
        seeds: outcomes.length,
        kills: outcomes.reduce((sum, [, moments]) => sum + moments!.split(' and ').length, 0),
        failures: outcomes.filter(([, , outcome]) => outcome !== 'same content').length,
      }
    },
  },
  {
    name: 'storage-crash',
    target: 'packages/storage/RELIABILITY.md',
    title: 'Killed at any point',
    text: `\`npm run test:long -- --suite storage-crash --minutes N --seed S\` kills the store's work with SIGKILL while it opens,
migrates, loads, archives, expires, compacts, sweeps and finishes, on a Postgres server and on the embedded engine,
with a late writer and readers beside it, and starts it again. A failure is a gap, a bar twice or a step back in any
read, any difference from the plan in the end (present values and those known at two past moments), a stray or a
damaged file. In every batch two controls must fail: a reader that takes bounds and rows by two statements, and a
second opener of the directory that takes no lock.`,
    columns: ['seeds × engines', 'kills', 'failures'],
    perSeed: ENGINES,
    sources: STORAGE_SOURCES,
    command: (seed) => ({
      args: [
        ...FROM_SOURCE,
        join(root, 'tools/check/storageCrash.ts'),
        ...['--seed', String(seed), '--seeds', String(CRASH_SEEDS), '--kills', String(CRASH_KILLS)],
      ],
    }),
    read(output) {
      const outcomes = [...output.matchAll(/^(ok|FAIL)\s+(?:postgres|pglite) seed \d+: (\d+) kills/gm)]
      const controls = [...output.matchAll(/^(ok|FAIL)\s+\w+ control/gm)]
      if (outcomes.length !== CRASH_SEEDS * ENGINES || controls.length !== ENGINES + 1) return undefined
      return {
        seeds: outcomes.length,
        kills: outcomes.reduce((sum, [, , kills]) => sum + Number(kills), 0),
        failures: [...outcomes, ...controls].filter(([, outcome]) => outcome !== 'ok').length,
      }
    },
  },
  {
    name: 'storage-oracle',
    target: 'packages/storage/ORACLE.md',
    title: 'Any history against a plain map',
    text: `\`npm run test:long -- --suite storage-oracle --minutes N --seed S\` plays generated histories of loads, late rows,
restatements, older versions that arrive late, moves between hot and cold, expiries, compactions and sweeps, and after
every step reads a random range (half of them as known at a past moment) and compares it with a map in memory, on a
Postgres server and on the embedded engine.`,
    columns: ['seeds × engines', 'cases', 'failures'],
    perSeed: ENGINES,
    sources: STORAGE_SOURCES,
    command: (seed) => ({
      args: [
        join(root, 'node_modules/vitest/vitest.mjs'),
        'run',
        'packages/storage/test/oracle.test.ts',
        '--testTimeout=1800000',
      ],
      env: { VARVE_ORACLE_SEED: String(seed), VARVE_ORACLE_SEEDS: String(ORACLE_SEEDS) },
    }),
    read(output) {
      const totals = /^(\d+) passed, (\d+) failed/m.exec(output)
      if (totals === null || Number(totals[1]) + Number(totals[2]) !== ENGINES) return undefined
      return {
        seeds: ORACLE_SEEDS * ENGINES,
        kills: ORACLE_SEEDS * ENGINES * ORACLE_STEPS,
        failures: Number(totals[2]),
      }
    },
  },
  {
    name: 'storage-faults',
    target: 'packages/storage/FAULTS.md',
    title: 'Restarts of Postgres and a flapping bucket under load',
    text: `\`npm run test:long -- --suite storage-faults --minutes N --seed S\` lets two loaders, a late writer, a reader and
two housekeepers (retention, compaction, sweep, verification) work on bars, trades and news for ${FAULT_SECONDS} seconds a seed,
while Postgres is killed and started again every 5 to 10 seconds and a double of S3 is busy, slow, refusing, cuts
answers short or breaks connections. A failure is an acknowledged row that is missing, doubled or older at any read, a
load that is there in part, a difference after the replay of what failed (present values and those known at past
moments), a stray or damaged file, an error without a code, an outage called damage or lasting, a missing alert, an
unhandled rejection or work that does not end. In every run controls must fail: a loader without retries and recovery
folder, and the same comparison with rows taken away, doubled, made up or put back.`,
    columns: ['seeds', 'restarts', 'failures'],
    perSeed: 1,
    sources: [...STORAGE_SOURCES, ...FAULT_SOURCES],
    command: (seed) => ({
      args: [
        ...FROM_SOURCE,
        join(root, 'tools/long/storageFaults.ts'),
        ...['--seed', String(seed), '--seconds', String(FAULT_SECONDS)],
      ],
    }),
    read(output) {
      const restarts = /^(?:ok|FAIL)\s+seed \d+ everybody came to an end: (\d+) restarts/m.exec(output)
      const totals = /^\d+ passed, (\d+) failed/m.exec(output)
      if (restarts === null || totals === null) return undefined
      return { seeds: 1, kills: Number(restarts[1]), failures: Number(totals[1]) === 0 ? 0 : 1 }
    },
  },
  {
    name: 'point-in-time',
    target: 'packages/storage/POINT_IN_TIME.md',
    title: 'Recovery to a moment',
    text: `\`npm run test:long -- --suite point-in-time --minutes N --seed S\` starts a Postgres with WAL archiving, takes a base
backup while rows are written, notes three moments of a seeded history of loads and deletions, destroys rows, and
recovers to each moment on a second server. A failure is any difference from what was there at the moment. Two
controls must differ: the recovery to the end, which has the destruction in it, and one whose last WAL file is gone.`,
    columns: ['seeds', 'checks', 'failures'],
    perSeed: 1,
    sources: [...STORAGE_SOURCES, 'tools/long/pointInTime*.ts', 'tools/long/seededRandom.ts'],
    command: (seed) => ({
      args: [...FROM_SOURCE, join(root, 'tools/long/pointInTime.ts'), '--seed', String(seed)],
    }),
    read(output) {
      const totals = /^(\d+) passed, (\d+) failed/m.exec(output)
      if (totals === null || Number(totals[1]) + Number(totals[2]) !== POINT_IN_TIME_CHECKS) return undefined
      return { seeds: 1, kills: POINT_IN_TIME_CHECKS, failures: Number(totals[2]) === 0 ? 0 : 1 }
    },
  },
]
