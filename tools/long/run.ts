// Long crash runs: `npm run test:long -- --minutes N --seed S`. Goes on where the last run of the same sources
// stopped, and adds its totals to packages/pipeline/RELIABILITY.md. A run on changed sources starts a new row.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'

const root = resolve(import.meta.dirname, '../..')
const target = join(root, 'packages/pipeline/RELIABILITY.md')
const { values } = parseArgs({
  options: { minutes: { type: 'string', default: '10' }, seed: { type: 'string', default: '1' } },
})
const minutes = Number(values.minutes)
const firstSeed = Number(values.seed)
if (!(minutes > 0) || !Number.isInteger(firstSeed)) {
  console.error('usage: npm run test:long -- --minutes N --seed S')
  process.exit(2)
}

interface Row {
  readonly sources: string
  readonly seed: number
  date: string
  seeds: number
  kills: number
  failures: number
}

const HEADER = `# Reliability of the flow

\`npm run test:long -- --minutes N --seed S\` kills \`varve run\` with SIGKILL at random moments (every second seed also
during its recovery), on the embedded database and on a Postgres server, runs it again, and compares companies,
events, bars, lake, coverage, suspect rows and gaps with an uninterrupted run. A failure is any difference, or a
recovery that does not end well. The market is every 20th symbol of a real tape of the US market, as of 2015-06-30.
Totals count while the sources they were measured on are unchanged; every change of the sources starts a new row.

| date | sources | first seed | seeds × engines | kills | failures |
|---|---|---|---|---|---|
`

/** Everything that runs when the flow runs. */
function sourcesHash(): string {
  const hash = createHash('sha256')
  const files = globSync(
    ['packages/*/src/**/*.ts', 'apps/cli/src/**/*.ts', 'packages/application/defaults/*.yaml'],
    { cwd: root },
  )
  for (const file of files.filter((name) => !name.endsWith('.test.ts')).sort()) {
    hash.update(`${file}\n`).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex').slice(0, 12)
}

function readRows(): Row[] {
  if (!existsSync(target)) return []
  return [
    ...readFileSync(target, 'utf8').matchAll(
      /^\| (\S+) \| ([0-9a-f]{12}) \| (\d+) \| (\d+) \| (\d+) \| (\d+) \|$/gm,
    ),
  ].map(([, date, sources, seed, seeds, kills, failures]) => ({
    date: date!,
    sources: sources!,
    seed: Number(seed),
    seeds: Number(seeds),
    kills: Number(kills),
    failures: Number(failures),
  }))
}

function writeRows(rows: readonly Row[]): void {
  const lines = rows.map(
    (row) => `| ${row.date} | ${row.sources} | ${row.seed} | ${row.seeds} | ${row.kills} | ${row.failures} |`,
  )
  writeFileSync(target, `${HEADER}${lines.join('\n')}\n`)
}

const sources = sourcesHash()
const rows = readRows()
let row = rows.find((item) => item.sources === sources && item.seed === firstSeed)
if (row === undefined) {
  row = { sources, seed: firstSeed, date: '', seeds: 0, kills: 0, failures: 0 }
  rows.push(row)
}
const ENGINES = 2
const SEEDS_AT_ONCE = 5
const deadline = Date.now() + minutes * 60_000
while (Date.now() < deadline) {
  const seed = firstSeed + row.seeds / ENGINES
  const result = spawnSync(
    process.execPath,
    [join(root, 'tools/check/crash.ts'), '--seed', String(seed), '--seeds', String(SEEDS_AT_ONCE)],
    { cwd: root, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] },
  )
  process.stdout.write(result.stdout)
  const outcomes = [
    ...result.stdout.matchAll(/seed \d+: killed after ([\d and]+) ms, (same content|FAILED)/g),
  ]
  if (outcomes.length !== SEEDS_AT_ONCE * ENGINES) {
    const how =
      result.error?.message ?? (result.signal === null ? `exit ${result.status}` : `signal ${result.signal}`)
    console.error(`the crash run did not finish (${how}); nothing of it is counted`)
    process.exit(1)
  }
  row.date = new Date().toISOString().slice(0, 10)
  row.seeds += outcomes.length
  row.kills += outcomes.reduce((sum, [, moments]) => sum + moments!.split(' and ').length, 0)
  row.failures += outcomes.filter(([, , outcome]) => outcome !== 'same content').length
  writeRows(rows)
}
console.log(`${row.seeds - row.failures} passed, ${row.failures} failed, 0 skipped`)
process.exitCode = row.failures === 0 ? 0 : 1
