// Long runs: `npm run test:long -- --minutes N --seed S [--suite NAME]`. Each suite goes on where the last run of the
// same sources stopped and adds its totals to its own record. A run on changed sources starts a new row. Without
// --suite the minutes are divided between all suites.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { SUITES, type Suite } from './suites.ts'

const root = resolve(import.meta.dirname, '../..')
const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: '1' },
    suite: { type: 'string' },
  },
})
const minutes = Number(values.minutes)
const firstSeed = Number(values.seed)
const suites = SUITES.filter((suite) => values.suite === undefined || suite.name === values.suite)
if (!(minutes > 0) || !Number.isInteger(firstSeed) || suites.length === 0) {
  console.error(
    `usage: npm run test:long -- --minutes N --seed S [--suite ${SUITES.map((suite) => suite.name).join('|')}]`,
  )
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

function headerOf({ title, text, columns }: Suite): string {
  return `# ${title}

${text}
Totals count while the sources they were measured on are unchanged; every change of the sources starts a new row.

| date | sources | first seed | ${columns.join(' | ')} |
|---|---|---|---|---|---|
`
}

/** A hash of everything that runs when the suite runs. */
function sourcesHash(suite: Suite): string {
  const hash = createHash('sha256')
  const files = globSync([...suite.sources], { cwd: root })
  for (const file of files.filter((name) => !name.endsWith('.test.ts')).sort()) {
    hash.update(`${file}\n`).update(readFileSync(join(root, file)))
  }
  return hash.digest('hex').slice(0, 12)
}

function readRows(target: string): Row[] {
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

function runSuite(suite: Suite, untilMs: number): Row {
  const target = join(root, suite.target)
  const sources = sourcesHash(suite)
  const rows = readRows(target)
  let row = rows.find((item) => item.sources === sources && item.seed === firstSeed)
  if (row === undefined) {
    row = { sources, seed: firstSeed, date: '', seeds: 0, kills: 0, failures: 0 }
    rows.push(row)
  }
  while (Date.now() < untilMs) {
    const { args, env } = suite.command(firstSeed + row.seeds / suite.perSeed)
    const result = spawnSync(process.execPath, args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { ...process.env, ...env },
    })
    process.stdout.write(result.stdout)
    const totals = suite.read(result.stdout)
    if (totals === undefined) {
      const how =
        result.error?.message ??
        (result.signal === null ? `exit ${result.status}` : `signal ${result.signal}`)
      console.error(`a batch of ${suite.name} did not finish (${how}); nothing of it is counted`)
      process.exit(1)
    }
    row.date = new Date().toISOString().slice(0, 10)
    row.seeds += totals.seeds
    row.kills += totals.kills
    row.failures += totals.failures
    const lines = rows.map(
      (item) =>
        `| ${item.date} | ${item.sources} | ${item.seed} | ${item.seeds} | ${item.kills} | ${item.failures} |`,
    )
    writeFileSync(target, `${headerOf(suite)}${lines.join('\n')}\n`)
  }
  return row
}

let passed = 0
let failed = 0
for (const suite of suites) {
  const row = runSuite(suite, Date.now() + (minutes * 60_000) / suites.length)
  passed += row.seeds - row.failures
  failed += row.failures
  console.log(
    `${suite.name}: ${row.seeds} ${suite.columns[0]}, ${row.kills} ${suite.columns[1]}, ${row.failures} failures`,
  )
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1
