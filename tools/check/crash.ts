// Kills `varve run` with SIGKILL at random moments, runs it again, and compares everything stored with an
// uninterrupted run: companies, events, bars, lake, coverage, suspect rows and gaps.
import { randomInt } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { startPostgres } from '../testing/postgres.ts'
import { realData, writeMarketSlice } from './marketSlice.ts'
import { contentHashes, createDatabase } from './contentHashes.ts'
import { type CommandResult, varve } from './varve.ts'

/** Earliest moment of death; before it nothing but start-up happens. */
const EARLIEST_MS = 200
const TRIES = 5

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '20' },
    seed: { type: 'string' },
    nth: { type: 'string', default: '20' },
  },
})
const seeds = Number(values.seeds)
const firstSeed = values.seed === undefined ? randomInt(1_000_000) : Number(values.seed)

/** A number in [0, 1) that depends on the seed alone (mulberry32). */
function randomOf(seed: number): number {
  let state = (seed + 0x6d2b79f5) | 0
  state = Math.imul(state ^ (state >>> 15), state | 1)
  state ^= state + Math.imul(state ^ (state >>> 7), state | 61)
  return ((state ^ (state >>> 14)) >>> 0) / 4_294_967_296
}

function differences(
  expected: Readonly<Record<string, string>>,
  found: Readonly<Record<string, string>>,
): string[] {
  return Object.keys({ ...expected, ...found }).filter((key) => expected[key] !== found[key])
}

interface Place {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly dataDir: string
}

/** Kills a run once, half the seeds also kill its recovery, and lets the last one finish. */
async function killAndRecover(
  seed: number,
  engine: string,
  fresh: (name: string) => Promise<Place>,
  args: (dataDir: string) => string[],
  wholeMs: number,
): Promise<{ last: CommandResult; found: Record<string, string>; killed: number; moments: number[] }> {
  const moments: number[] = []
  let place = await fresh(`${seed}`)
  // A run that was faster than its moment of death proves nothing: a fresh one is killed earlier.
  for (let share = randomOf(seed), tries = 0; moments.length === 0 && tries < TRIES; share *= 0.7, tries++) {
    if (tries > 0) {
      rmSync(place.dataDir, { recursive: true, force: true })
      place = await fresh(`${seed}_${tries}`)
    }
    const after = Math.round(EARLIEST_MS + share * wholeMs)
    const result = await varve(args(place.dataDir), { env: place.env, killAfterMs: after })
    if (result.signal === 'SIGKILL') moments.push(after)
  }
  if (moments.length > 0 && seed % 2 === 0) {
    const after = Math.round(EARLIEST_MS + randomOf(seed + 7919) * wholeMs)
    const result = await varve(args(place.dataDir), { env: place.env, killAfterMs: after })
    if (result.signal === 'SIGKILL') moments.push(after)
  }
  const last = await varve(args(place.dataDir), { env: place.env })
  const found = last.code === 0 ? await contentHashes(place.dataDir, place.env) : {}
  if (last.code === 0 && engine === 'pglite') rmSync(place.dataDir, { recursive: true, force: true })
  return { last, found, killed: moments.length, moments }
}

if (realData('market/us_daily_2015-03_2016-03.parquet') === undefined) {
  console.log('skipped: the market tape is not here; set VARVE_TEST_DATA')
  console.log('0 passed, 0 failed, 1 skipped')
  process.exit(0)
}

const folder = mkdtempSync(join(tmpdir(), 'varve-crash-'))
const postgres = await startPostgres()
let passed = 0
let failed = 0
try {
  const file = join(folder, 'market.parquet')
  await writeMarketSlice(file, Number(values.nth))
  for (const engine of ['pglite', 'postgres'] as const) {
    const fresh = async (name: string) => {
      const env =
        engine === 'pglite' ? {} : { DATABASE_URL: await createDatabase(postgres.url, `crash_${name}`) }
      return { env, dataDir: join(folder, `${engine}-${name}`) }
    }
    const args = (dataDir: string) => [
      'run',
      '--bars',
      file,
      '--as-of',
      '2015-06-30',
      '--data-dir',
      dataDir,
      '--json',
    ]
    // The first run of an engine also fills caches of compiled code; the second tells how long one takes.
    let wholeMs = 0
    let expected: Record<string, string> = {}
    for (const name of ['warm', 'reference']) {
      const place = await fresh(name)
      const whole = await varve(args(place.dataDir), { env: place.env })
      if (whole.code !== 0) throw new Error(`the uninterrupted run failed:\n${whole.stderr}`)
      wholeMs = whole.elapsedMs
      const found = await contentHashes(place.dataDir, place.env)
      if (name === 'reference' && differences(expected, found).length > 0) {
        throw new Error(`two uninterrupted runs differ in ${differences(expected, found).join(', ')}`)
      }
      expected = found
      rmSync(place.dataDir, { recursive: true, force: true })
    }
    console.log(`${engine}: an uninterrupted run takes ${Math.round(wholeMs)} ms`)
    for (let seed = firstSeed; seed < firstSeed + seeds; seed++) {
      const attempt = await killAndRecover(seed, engine, fresh, args, wholeMs)
      const differs = attempt.last.code === 0 ? differences(expected, attempt.found) : []
      const same = attempt.last.code === 0 && differs.length === 0 && attempt.killed > 0
      if (same) passed++
      else failed++
      const fault =
        attempt.last.code !== 0
          ? attempt.last.stderr.trim()
          : attempt.killed === 0
            ? 'every run ended before it could be killed'
            : `differs in ${differs.join(', ')}`
      console.log(
        `${engine} seed ${seed}: killed after ${attempt.moments.join(' and ') || '-'} ms, ${same ? 'same content' : `FAILED: ${fault}`}`,
      )
    }
  }
} finally {
  await postgres.stop()
  rmSync(folder, { recursive: true, force: true })
}
console.log(`${passed} passed, ${failed} failed, 0 skipped`)
process.exitCode = failed === 0 ? 0 : 1
